"""A component whose port somebody else was quicker to take says so, and is not confused with whoever answers there."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from data_platform.failures import PermanentFailure
from data_platform.local.airflow import airflow_components, airflow_environment
from data_platform.local.components import daemon_component
from data_platform.local.processes import Daemon, require_free_port, wait_until
from data_platform.local.secrets import ensure_env_file, pick_port
from data_platform.settings import Settings, get_settings
from tests.conftest import forget_settings

SERVER = """
import socket, sys, time
time.sleep(0.3)
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
time.sleep(600)
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A server that takes a while until it has its port, its last argument."""
    argv = (sys.executable, "-c", SERVER, str(pick_port()))
    made = Daemon("probe", argv, tmp_path / "run", tmp_path / "logs", tmp_path)
    yield made
    made.stop()


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Those of a machine that was set up."""
    monkeypatch.setenv("AIRFLOW_PORT", str(pick_port()))
    ensure_env_file(tmp_path / ".env")
    monkeypatch.setenv("DP_ENV_FILE", str(tmp_path / ".env"))
    monkeypatch.setenv("STATE_DIR", str(tmp_path / "state"))
    forget_settings()
    yield get_settings()
    forget_settings()


def test_who_listens_is_told_from_others(daemon: Daemon) -> None:
    port = int(daemon.argv[-1])
    assert not daemon.listens_on(port)
    daemon.start()
    assert wait_until(lambda: daemon.listens_on(port), 20)
    with socket.create_server(("127.0.0.1", 0)) as ours:
        assert not daemon.listens_on(ours.getsockname()[1])


def test_a_port_that_is_taken_while_it_starts_is_named(daemon: Daemon) -> None:
    port = int(daemon.argv[-1])
    with socket.socket() as quicker:

        def take_the_port() -> None:
            quicker.bind(("127.0.0.1", port))
            quicker.listen()

        component = daemon_component(
            daemon,
            probe=lambda: daemon.listens_on(port),
            check=lambda: require_free_port(port, what="the probe", setting="PROBE_PORT"),
            before_start=take_the_port,
        )
        with pytest.raises(PermanentFailure, match=f"the probe cannot start: port {port} is taken") as caught:
            component.start()
    assert "PROBE_PORT" in (caught.value.hint or "")


def test_airflow_names_its_port_when_it_is_taken(settings: Settings) -> None:
    (server,) = [c for c in airflow_components(settings) if c.name == "airflow-api-server"]
    with (
        socket.create_server(("127.0.0.1", settings.airflow_port)),
        pytest.raises(PermanentFailure, match=f"Airflow cannot start: port {settings.airflow_port} is taken") as caught,
    ):
        server.check()
    assert "AIRFLOW_PORT" in (caught.value.hint or "")


def test_folders_of_ours_that_airflow_is_told_of_are_there(settings: Settings) -> None:
    told = {n: Path(v) for n, v in airflow_environment(settings).items() if n.endswith("_FOLDER")}
    ours = {name: path for name, path in told.items() if not path.is_relative_to(settings.state_dir)}
    assert "AIRFLOW__CORE__DAGS_FOLDER" in ours
    assert [name for name, path in ours.items() if not path.is_dir()] == []
