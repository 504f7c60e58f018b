"""A whole run whose log is for programs: every line is an object that names run, step and publication."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from data_platform.intervals import ONE_DAY
from data_platform.local.postgres import EmbeddedPostgres
from data_platform.runs import STEPS
from data_platform.warehouse.connection import query, transaction
from sample_company.small import land_small_shop
from tests.conftest import Platform, make_platform

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("spark_server")]

START, DAYS = date(1998, 1, 5), 3
DP = Path(sys.executable).with_name("dp")


@pytest.fixture
def shop(postgres: EmbeddedPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    """A small shop that landed and was not run; its logs are JSON."""
    for platform in make_platform(postgres, tmp_path, monkeypatch, today=START + DAYS * ONE_DAY):
        land_small_shop(platform.landing, customers=10, days=DAYS, start=START)
        monkeypatch.setenv("LOG_FORMAT", "json")
        yield platform


def test_every_line_of_a_run_is_an_object_with_its_ids(shop: Platform) -> None:
    done = subprocess.run([DP, "run", "--progress", "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines: list[dict[str, Any]] = [json.loads(line) for line in done.stderr.splitlines()]
    assert not [line for line in lines if not {"ts", "level", "logger", "event"} <= line.keys()]
    (run_id,) = {line["run_id"] for line in lines if "run_id" in line}
    assert run_id == json.loads(done.stdout)["run_id"]
    done_steps = [line for line in lines if line["event"] == "step done"]
    assert [line["step"] for line in done_steps] == list(STEPS[1:])
    assert all(line["seconds"] >= 0 for line in done_steps)
    read = [line["rows_read"] for line in lines if line.get("step") == "ingest" and line["event"] == "step line"]
    assert sum(read) > 0
    with transaction() as connection:
        (publication,) = query(connection, "select publication_id from ops.publications")
    for step in ("publish", "export"):
        (ended,) = [line for line in done_steps if line["step"] == step]
        assert ended["publication_id"] == publication["publication_id"]
