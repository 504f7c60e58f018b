"""The chain of steps as Airflow runs it: what each exit code of ``dp`` comes to, and what is passed on."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.models.dagrun import DagRun
from airflow.sdk.exceptions import AirflowFailException
from conftest import SECRET, FakeDp, Trigger

from dags._shared.dp import TransientStepFailure, failure_of, select_fields
from dags._shared.process import Finished, StreamedProcess
from data_platform.failures import BudgetFailure, GateFailure, InputError, PermanentFailure, TransientFailure

DAGS = Path(__file__).parents[3] / "dags"
STEPS = [
    ["ingest"],
    ["gate", "ingest"],
    ["stage"],
    ["gate", "stage"],
    ["build"],
    ["gate", "build"],
    ["publish"],
    ["export"],
    ["report"],
]


def states(run: DagRun) -> dict[str, str]:
    return {ti.task_id: str(ti.state) for ti in run.get_task_instances()}


def tries(run: DagRun, task_id: str) -> int:
    return next(ti.try_number for ti in run.get_task_instances() if ti.task_id == task_id)


def test_a_night_takes_every_step_of_the_run_that_discover_opened(trigger: Trigger, dp: FakeDp) -> None:
    run = trigger("run_nightly")
    assert str(run.state) == "success"
    assert set(states(run).values()) == {"success"}
    first, *rest = [call["arguments"] for call in dp.calls()]
    assert first == [
        "discover",
        "--night=2026-03-01",
        *(f"--dataset={name}" for name in ("customers", "products", "purchases", "tickets", "web_events")),
        "--reason=the nightly run",
        "--json",
    ]
    assert rest == [[*step, "--run", "r1"] for step in STEPS]


def test_a_night_without_a_logical_date_leaves_the_day_to_dp(trigger: Trigger, dp: FakeDp) -> None:
    trigger("run_nightly", logical_date=None)
    assert not [a for a in dp.calls()[0]["arguments"] if a.startswith("--night")]


@pytest.mark.parametrize(
    ("start", "argument"), [(None, ""), (datetime(2026, 3, 1, 2, tzinfo=UTC), "--night=2026-03-01")]
)
def test_a_night_names_its_day_only_where_it_has_an_interval(start: datetime | None, argument: str) -> None:
    dag = DagBag(DAGS / "run_nightly.py").dags["run_nightly"]
    context = {"dag_run": SimpleNamespace(data_interval_start=start), "data_interval_start": start}
    task = dag.get_task("discover")
    assert task.render_template(task.arguments[1], context, dag.get_template_env()) == argument


def test_a_night_with_nothing_to_do_is_green_and_skips_the_rest(trigger: Trigger, dp: FakeDp) -> None:
    dp.answer(discover=[{"out": '{"run_id": null}'}])
    run = trigger("run_nightly")
    assert str(run.state) == "success"
    found = states(run)
    assert found.pop("discover") == "success"
    assert set(found.values()) == {"skipped"}
    assert len(dp.calls()) == 1


def test_a_backfill_passes_on_what_the_form_says(trigger: Trigger, dp: FakeDp) -> None:
    form = {"start": "1998-06-01", "end": "1998-07-01", "datasets": ["purchases"], "reason": "--dry-run; rm -rf $HOME"}
    trigger("backfill_range", **form, rebuild=True, dry_run=True)
    assert dp.calls()[0]["arguments"] == [
        "discover",
        "1998-06-01",
        "1998-07-01",
        "--chunk-days=366",
        "--rebuild",
        "--dataset=purchases",
        "--reason=--dry-run; rm -rf $HOME",
        "--dry-run",
        "--json",
    ]


def test_a_transient_failure_is_retried_and_passes(trigger: Trigger, dp: FakeDp) -> None:
    down = {"code": TransientFailure.exit_code, "err": "transient failure: PostgreSQL does not answer"}
    dp.answer(simulate_day=[down, down, {}])
    run = trigger("land_sample_day")
    assert (str(run.state), tries(run, "land")) == ("success", 3)


def test_a_killed_step_is_retried(trigger: Trigger, dp: FakeDp) -> None:
    dp.answer(simulate_day=[{"signal": signal.SIGKILL}, {}])
    run = trigger("land_sample_day")
    assert (str(run.state), tries(run, "land")) == ("success", 2)


@pytest.mark.parametrize("code", [1, *(kind.exit_code for kind in (InputError, PermanentFailure, BudgetFailure))])
def test_any_other_failure_is_not_retried(trigger: Trigger, dp: FakeDp, code: int) -> None:
    dp.answer(simulate_day=[{"code": code, "err": "permanent failure: no"}, {}])
    run = trigger("land_sample_day")
    assert (str(run.state), tries(run, "land")) == ("failed", 1)


def test_a_failed_gate_is_final_and_stops_the_publication(trigger: Trigger, dp: FakeDp, project: Path) -> None:
    said = "gate failure: raw.purchases breaks amounts_are_positive: 3 rows, limit 0\n  → correct the file"
    dp.answer(
        discover=[{"out": '{"run_id": "r1"}'}],
        gate_stage=[{"code": GateFailure.exit_code, "err": f"Spark says hello\n{said}"}, {}],
    )
    run = trigger("run_nightly")
    assert str(run.state) == "failed"
    found = states(run)
    assert (found["gate_stage"], tries(run, "gate_stage")) == ("failed", 1)
    assert {found[task] for task in ("build", "gate_build", "publish", "export", "report")} == {"upstream_failed"}
    assert not [call for call in dp.calls() if call["arguments"][0] == "publish"]


def test_the_failure_is_what_dp_said_last() -> None:
    errors = ("noise", "gate failure: old", "gate failure: raw.purchases breaks a rule", "  → correct the file")
    failure = failure_of(Finished(GateFailure.exit_code, (), errors))
    assert isinstance(failure, AirflowFailException)
    assert str(failure) == "gate failure: raw.purchases breaks a rule\n  → correct the file"
    assert isinstance(failure_of(Finished(75, (), errors)), TransientStepFailure)
    assert "said nothing" in str(failure_of(Finished(3, (), ())))


TOO_LONG = json.dumps({"run_id": "x" * 201})


@pytest.mark.parametrize("out", ["", "not JSON", "[]", '{"other": 1}', '{"run_id": ["r1"]}', TOO_LONG])
def test_only_short_scalars_go_to_xcom(out: str) -> None:
    with pytest.raises(AirflowFailException):
        select_fields(Finished(0, (out,), ()), ("run_id",))


def test_the_command_sees_nothing_of_airflow(trigger: Trigger, dp: FakeDp) -> None:
    trigger("land_sample_day")
    (call,) = dp.calls()
    assert call["arguments"] == ["simulate", "day", "--through-due"]
    assert not [name for name in call["environment"] if name.startswith(("AIRFLOW_", "PYTHONPATH"))]
    assert call["environment"]["WAREHOUSE_PASSWORD_PLATFORM"] == SECRET


def test_the_warm_client_is_used_where_it_is_installed(trigger: Trigger, dp: FakeDp) -> None:
    warm = dp.home / "dp-warm"
    warm.write_text((dp.home / "dp").read_text(encoding="utf-8"), encoding="utf-8")
    warm.chmod(0o755)
    (dp.home / "dp").unlink()
    try:
        assert str(trigger("land_sample_day").state) == "success"
    finally:
        warm.unlink()


def test_links_lead_to_pages_that_are_there(trigger: Trigger, project: Path) -> None:
    for page in ("dbt/r1.html", "data_docs/index.html"):
        (project / "state" / "reports" / page).parent.mkdir(parents=True, exist_ok=True)
        (project / "state" / "reports" / page).touch()
    run = trigger("run_nightly")
    instances = {ti.task_id: ti for ti in run.get_task_instances()}
    assert instances["build"].xcom_pull(key="_link_dbt_models") == "http://127.0.0.1:8099/dbt/r1.html"
    assert instances["gate_stage"].xcom_pull(key="_link_data_docs") == "http://127.0.0.1:8099/data_docs/index.html"


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_killing_a_command_ends_what_it_started() -> None:
    child = "import subprocess as s, time; print(s.Popen(['sleep', '60']).pid, flush=True); time.sleep(60)"
    lines: list[str] = []
    process = StreamedProcess([sys.executable, "-c", child], os.environ, lines.append)
    thread = threading.Thread(target=process.wait)
    thread.start()
    while not lines:
        time.sleep(0.01)
    assert is_running(int(lines[0]))
    process.kill()
    thread.join(10)
    assert not thread.is_alive()
    for _ in range(500):  # a process that was killed takes a moment to go
        if not is_running(int(lines[0])):
            break
        time.sleep(0.01)
    assert not is_running(int(lines[0]))
