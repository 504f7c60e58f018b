"""A row that somebody has mended in quarantine, taken in from Airflow."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from benchmarks.platform import Platform
from data_platform.settings import get_settings
from tests.e2e.conftest import DAY

pytestmark = pytest.mark.e2e
DAG = "replay_quarantine"
BROKEN_DAY = DAY - timedelta(days=4)
BROKEN, MENDED = (f" 00001 {BROKEN_DAY:%Y%m%d}  {count}   66.66" for count in ("two", "2"))


def mended_rows(platform: Platform) -> int:
    statement = "select count(*) as n from raw.purchases where amount_usd = 66.66"
    (row,) = json.loads(platform.dp("sql", "--json", statement))
    return int(row["n"])


def test_a_mended_row_is_taken_in_at_once(running: Platform) -> None:
    file = get_settings().state_dir / "landing" / "shop" / "purchases" / f"{BROKEN_DAY}.txt"
    file.write_bytes(file.read_bytes() + f"{BROKEN}\r\n".encode())
    running.dp("run")
    assert mended_rows(running) == 0
    path, line = f"landing/shop/purchases/{BROKEN_DAY}.txt", str(len(file.read_bytes().splitlines()))
    fix = ("quarantine", "fix", path, line, "--to-text", MENDED, "--reason", "the till's owner says two")
    running.dp(*fix)

    airflow = running.airflow
    airflow.unpause(DAG)
    run_id = airflow.trigger(DAG, conf={"reason": "it cannot wait"})
    assert airflow.wait_for_run(DAG, run_id)["state"] == "success"
    assert set(airflow.task_states(DAG, run_id).values()) == {"success"}
    assert mended_rows(running) == 1
    again = airflow.trigger(DAG, conf={"reason": "nothing is left to do"})
    airflow.wait_for_run(DAG, again)
    states = airflow.task_states(DAG, again)
    assert (states.pop("discover"), set(states.values())) == ("success", {"skipped"})
