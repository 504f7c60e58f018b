"""A rollback from Airflow: nothing is written before a person has approved it."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from benchmarks.platform import Platform
from data_platform.local.airflow_client import AirflowClient
from data_platform.local.processes import wait_until
from data_platform.settings import get_settings
from tests.e2e.conftest import DAY

pytestmark = pytest.mark.e2e
DAG = "rollback_publication"
SECONDS_TO_READ = 5


@pytest.fixture(scope="module")
def correction(running: Platform, night: dict[str, Any]) -> int:
    """A publication that brought a purchase for 77.77."""
    file = get_settings().state_dir / "landing" / "shop" / "purchases" / f"{DAY}.txt"
    file.write_bytes(file.read_bytes() + f" 00001 {DAY:%Y%m%d}  1   77.77\r\n".encode())
    running.dp("run", "--reason", "a corrected file")
    return int(json.loads(running.dp("publications", "--json", "--limit", "1"))[0]["publication_id"])


def is_there(platform: Platform) -> bool:
    (row,) = json.loads(
        platform.dp("sql", "--json", "select count(*) as n from raw.purchases where amount_usd = 77.77")
    )
    return bool(row["n"])


def asked_to_approve(airflow: AirflowClient, publication: int) -> str:
    """Triggers the rollback, waits until it waits, and lets as much time pass as the quickest person would.

    An answer within a second meets the scheduler before it has heard that the asking process ended; it then takes the
    task for lost, and asks again.
    """
    airflow.unpause(DAG)
    run_id = airflow.trigger(DAG, conf={"publication": publication, "reason": "a price of 77.77 is nonsense"})
    assert wait_until(lambda: airflow.task_states(DAG, run_id)["approve"] == "awaiting_input", 120)
    time.sleep(SECONDS_TO_READ)
    return run_id


def answer_path(run_id: str) -> str:
    return f"/dags/{DAG}/dagRuns/{run_id}/taskInstances/approve/-1/hitlDetails"


def answer(airflow: AirflowClient, run_id: str, option: str) -> dict[str, str | None]:
    """Gives a person's answer and returns the state of each task once the run has ended."""
    airflow.request("PATCH", answer_path(run_id), {"chosen_options": [option], "params_input": {}})
    airflow.wait_for_run(DAG, run_id)
    return airflow.task_states(DAG, run_id)


def test_a_rejected_rollback_changes_nothing(running: Platform, correction: int) -> None:
    states = answer(running.airflow, asked_to_approve(running.airflow, correction), "Reject")
    assert {states.pop("show"), states.pop("approve")} == {"success"}
    assert set(states.values()) == {"skipped"}
    assert is_there(running)
    assert json.loads(running.dp("holds", "--json")) == []


def test_an_approved_rollback_takes_the_delivery_back(running: Platform, correction: int) -> None:
    run_id = asked_to_approve(running.airflow, correction)
    assert is_there(running)
    assert set(answer(running.airflow, run_id, "Approve").values()) == {"success"}
    assert not is_there(running)
    (hold,) = json.loads(running.dp("holds", "--json"))
    assert (hold["publication_id"], hold["first"], hold["last"]) == (correction, str(DAY), str(DAY))


def test_a_released_delivery_comes_again(running: Platform, correction: int) -> None:
    running.dp("release", str(correction))
    running.dp("run")
    assert is_there(running)
