"""Which Spark works for us."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_platform.failures import TransientFailure
from data_platform.local.secrets import pick_port
from data_platform.local.spark import owns_spark_server, server_properties
from data_platform.settings import Settings, get_settings
from spark_jobs.session import get_spark


def test_a_server_of_somebody_else_that_does_not_answer_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    remote = f"sc://localhost:{pick_port()}"
    monkeypatch.setenv("SPARK_REMOTE", remote)
    monkeypatch.setenv("SPARK_CONNECT_PORT", "1")
    get_settings.cache_clear()
    get_spark.cache_clear()
    with pytest.raises(TransientFailure, match=f"the Spark server {remote} does not answer"):
        get_spark()
    get_settings.cache_clear()


@pytest.mark.parametrize(
    ("remote", "own"),
    [("sc://localhost:15002", True), ("sc://localhost:1", False), ("sc://spark:15002", False), ("", False)],
)
def test_the_platforms_own_server_is_known_by_its_port(remote: str, own: bool) -> None:
    settings = Settings(spark_remote=remote, spark_connect_port=15002)
    assert owns_spark_server(settings) == own
    assert settings.has_foreign_spark == (bool(remote) and not own)


def test_the_platforms_own_server_computes_where_it_is_told(tmp_path: Path) -> None:
    here = server_properties(Settings(state_dir=tmp_path, spark_master="local[2]"), tmp_path / "classes")
    assert (here["spark.master"], here["spark.driver.host"]) == ("local[2]", "127.0.0.1")
    cluster = server_properties(Settings(state_dir=tmp_path, spark_master="spark://a:7077"), tmp_path / "classes")
    assert cluster["spark.master"] == "spark://a:7077"
    assert "spark.driver.host" not in cluster, "workers call it back"
    assert cluster["spark.connect.grpc.binding.address"] == "127.0.0.1"
