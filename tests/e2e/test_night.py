"""The DAGs as Airflow runs them, triggered through its REST API, on a platform that is really up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.platform import NIGHT, Platform, interval_of
from data_platform.intervals import ONE_DAY
from data_platform.settings import get_settings
from tests.e2e.conftest import DAY
from tests.landing import add_purchases, purchase

pytestmark = pytest.mark.e2e
FORM = {"start": "1998-06-01", "end": "1998-06-03", "reason": "a test of the form"}


def ask(platform: Platform, statement: str) -> list[dict[str, Any]]:
    return json.loads(platform.dp("sql", "--json", statement))


def test_a_night_takes_each_step_once_and_is_green(night: dict[str, Any]) -> None:
    assert night["run"]["state"] == "success"
    assert len(night["tasks"]) == 10
    assert {task["state"] for task in night["tasks"]} == {"success"}
    assert {task["try_number"] for task in night["tasks"]} == {1}


def test_a_night_publishes_the_day_it_is_about(running: Platform, night: dict[str, Any]) -> None:
    (row,) = ask(running, f"select count(*) as purchases from raw.purchases where purchased_on = '{DAY}'")
    assert row["purchases"] > 0
    newest = json.loads(running.dp("runs", "--json", "--limit", "1"))[0]
    assert (newest["kind"], newest["state"], newest["asked_start"]) == ("night", "published", str(DAY))


def test_build_and_gates_link_their_reports(running: Platform, night: dict[str, Any]) -> None:
    path = f"/dags/{NIGHT}/dagRuns/{night['run']['dag_run_id']}/taskInstances"
    build = running.airflow.get(f"{path}/build/links")["extra_links"]
    gate = running.airflow.get(f"{path}/gate_stage/links")["extra_links"]
    assert build["dbt models"].endswith(".html")
    assert gate["Data Docs"].endswith("data_docs/index.html")


def test_xcom_holds_the_run_and_links_only(running: Platform, night: dict[str, Any]) -> None:
    path = f"/dags/{NIGHT}/dagRuns/{night['run']['dag_run_id']}/taskInstances/~/xcomEntries"
    entries = running.airflow.get(path, limit=100)["xcom_entries"]
    assert {entry["key"] for entry in entries} <= {"return_value", "_link_dbt_models", "_link_data_docs"}
    assert [entry["task_id"] for entry in entries if entry["key"] == "return_value"] == ["discover"]


def test_a_dry_backfill_opens_no_run(running: Platform, night: dict[str, Any]) -> None:
    before = running.dp("runs", "--json")
    states = backfill(running, dry_run=True)
    assert states.pop("discover") == "success"
    assert set(states.values()) == {"skipped"}
    assert running.dp("runs", "--json") == before


def test_a_backfill_of_reversed_days_fails_at_once(running: Platform, night: dict[str, Any]) -> None:
    states = backfill(running, start="1998-06-03", end="1998-06-01")
    assert states.pop("discover") == "failed"
    assert set(states.values()) == {"upstream_failed"}


def test_a_range_is_done_chunk_by_chunk(running: Platform, night: dict[str, Any]) -> None:
    backfill(running, chunk_days=1)
    airflow = running.airflow
    first, second = airflow.get("/dags/backfill_range/dagRuns", order_by="-run_after", limit=2)["dag_runs"][::-1]
    airflow.wait_for_run("backfill_range", second["dag_run_id"])
    assert second["dag_run_id"].endswith("__from_1998-06-02")
    assert second["conf"]["reason"] == FORM["reason"]
    assert airflow.task_states("backfill_range", first["dag_run_id"])["next_chunk"] == "success"
    assert airflow.task_states("backfill_range", second["dag_run_id"])["next_chunk"] == "skipped"
    done = json.loads(running.dp("runs", "--json", "--limit", "2"))
    assert [(run["kind"], run["asked_start"]) for run in done] == [
        ("backfill", "1998-06-02"),
        ("backfill", "1998-06-01"),
    ]
    assert {run["state"] for run in done} == {"published"}


def test_airflows_own_backfill_publishes_what_came_late(running: Platform, night: dict[str, Any]) -> None:
    day = DAY - 2 * ONE_DAY
    add_purchases(Path(get_settings().landing), day, purchase(day, "3.21"))
    start, _ = interval_of(day)
    asked = {"dag_id": NIGHT, "from_date": start.isoformat(), "to_date": start.isoformat()}
    running.airflow.request("POST", "/backfills", {**asked, "reprocess_behavior": "completed", "max_active_runs": 1})
    (begun,) = running.airflow.get(f"/dags/{NIGHT}/dagRuns", run_type="backfill")["dag_runs"]
    assert running.airflow.wait_for_run(NIGHT, begun["dag_run_id"])["state"] == "success"
    (row,) = ask(running, f"select count(*) as n from raw.purchases where purchased_on = '{day}' and amount_usd = 3.21")
    assert row["n"] == 1
    newest = json.loads(running.dp("runs", "--json", "--limit", "1"))[0]
    assert (newest["kind"], newest["state"], newest["asked_start"]) == ("night", "published", str(day))


def backfill(platform: Platform, **form: object) -> dict[str, str | None]:
    """Triggers ``backfill_range`` with a form, waits for its end, and returns the state of each task."""
    airflow = platform.airflow
    airflow.unpause("backfill_range")
    run_id = airflow.trigger("backfill_range", conf={**FORM, **form})
    airflow.wait_for_run("backfill_range", run_id)
    return airflow.task_states("backfill_range", run_id)
