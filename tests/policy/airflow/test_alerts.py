"""What people hear of a DAG: its callbacks as Airflow calls them, with a real webhook at the other end."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.execution_time.callback_supervisor import execute_callback
from conftest import FakeDp, Trigger

from data_platform.failures import BudgetFailure, GateFailure, PermanentFailure, TransientFailure
from data_platform.settings import PROJECT_ROOT, get_settings
from tests.receivers import Webhook, webhook

DAGS = Path(__file__).parents[3] / "dags"
DOWN = {"code": TransientFailure.exit_code, "err": "transient failure: PostgreSQL does not answer\n  → `make up`"}

IN_JSON = json.dumps({"event": "failure", "kind": "permanent", "message": "no such file", "exit_code": 3})


@pytest.fixture
def hook(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    """A webhook that alerts go to; nothing is open."""
    (project / "state" / "incidents.json").unlink(missing_ok=True)
    with webhook() as received:
        monkeypatch.setenv("ALERT_WEBHOOK_URL", received.url)
        get_settings.cache_clear()
        yield received
    monkeypatch.undo()
    get_settings.cache_clear()


def titles(hook: Webhook) -> list[str]:
    return [post["title"] for post in hook.posts]


def miss_deadline(dag_id: str, run_id: str) -> None:
    """Does what Airflow's executor does when a run is late."""
    (deadline,) = DagBag(DAGS / f"{dag_id}.py").dags[dag_id].deadline
    context = {
        "dag_run": {"dag_id": dag_id, "dag_run_id": run_id},
        "deadline": {"id": "1", "deadline_time": "2026-03-02T06:00:00Z"},
    }
    done = execute_callback(
        deadline.callback.path, {**deadline.callback.kwargs, "context": context}, "", None, structlog.get_logger()
    )
    assert done == (True, None)


def test_a_failed_gate_is_told_with_what_is_needed_to_act(trigger: Trigger, dp: FakeDp, hook: Webhook) -> None:
    said = "gate failure: raw.purchases breaks amounts_are_positive: 3 rows, limit 0\n  → correct the file"
    dp.answer(
        discover=[{"out": '{"run_id": "r1"}'}],
        gate_stage=[{"code": GateFailure.exit_code, "err": f"Spark says hello\n{said}"}],
    )
    run = trigger("run_nightly")
    (alert,) = hook.posts
    assert {k: alert[k] for k in ("dag", "step", "run_id", "kind", "severity", "runbook")} == {
        "dag": "run_nightly",
        "step": "gate_stage",
        "run_id": run.run_id,
        "kind": "gate",
        "severity": "error",
        "runbook": "docs/runbooks/failed-gate.md",
    }
    assert alert["message"] == f"{said}\nplatform's run: r1"
    assert "/dags/run_nightly/runs/" in alert["log_url"]
    assert "/tasks/gate_stage" in alert["log_url"]


def test_a_try_that_is_followed_by_another_tells_nothing(trigger: Trigger, dp: FakeDp, hook: Webhook) -> None:
    dp.answer(simulate_day=[DOWN, DOWN, {}])
    assert str(trigger("land_sample_day").state) == "success"
    assert len(dp.calls()) == 3
    assert hook.posts == []


def test_the_last_try_tells_once(trigger: Trigger, dp: FakeDp, hook: Webhook) -> None:
    dp.answer(simulate_day=[DOWN])
    assert str(trigger("land_sample_day").state) == "failed"
    assert len(dp.calls()) == 4
    (alert,) = hook.posts
    assert (alert["kind"], alert["runbook"]) == ("transient", "docs/runbooks/platform-up-and-down.md")


def test_night_after_night_is_one_incident_until_the_step_succeeds(trigger: Trigger, dp: FakeDp, hook: Webhook) -> None:
    broken = {"code": PermanentFailure.exit_code, "err": "permanent failure: no generator"}
    dp.answer(simulate_day=[broken, broken, {}, {}, broken])
    for _ in range(5):
        trigger("land_sample_day")
    failed, resolved = "land_sample_day.land failed (permanent)", "resolved: land_sample_day.land"
    assert titles(hook) == [failed, resolved, failed]


@pytest.mark.parametrize(
    ("answer", "kind", "says"),
    [
        ({"code": BudgetFailure.exit_code, "err": "budget failure: 4 h are used up"}, "budget", "4 h are used up"),
        ({"code": 3, "err": IN_JSON}, "permanent", "no such file"),
        ({"code": 1, "err": "Traceback\nValueError: jane@example.com, 12 Main Street"}, "unknown", "ended with code 1"),
        ({"code": 75, "err": "lost: jane, 12 Main Street"}, "transient", "ended with code 75"),
        ({"signal": signal.SIGKILL, "err": "row of jane, 12 Main Street"}, "lost", "signal 9"),
    ],
    ids=["budget", "json", "untyped", "transient-untyped", "killed"],
)
def test_an_alert_says_what_dp_reported_and_nothing_else(
    trigger: Trigger, dp: FakeDp, hook: Webhook, answer: dict[str, Any], kind: str, says: str
) -> None:
    dp.answer(simulate_day=[answer])
    trigger("land_sample_day")
    (alert,) = hook.posts
    assert alert["kind"] == kind
    assert says in alert["message"]
    assert "Main Street" not in json.dumps(alert)


def test_a_delivery_that_is_held_back_is_a_warning(trigger: Trigger, dp: FakeDp, hook: Webhook) -> None:
    held = "permanent failure: these deliveries are held back:\n  landing/shop/x.txt: no header"
    dp.answer(discover=[{"out": '{"run_id": "r1"}'}], report=[{"code": 3, "err": held}])
    trigger("run_nightly")
    (alert,) = hook.posts
    assert (alert["severity"], alert["runbook"]) == ("warning", "docs/runbooks/late-or-wrong-file.md")
    assert "landing/shop/x.txt" in alert["message"]


def test_a_late_run_is_told_once_and_over_when_a_run_is_through(trigger: Trigger, dp: FakeDp, hook: Webhook) -> None:
    for run_id in ("night 1", "night 1", "night 2"):
        miss_deadline("run_nightly", run_id)
    assert titles(hook) == ["run_nightly missed its deadline"] * 2
    assert hook.posts[0]["runbook"] == "docs/runbooks/nightly-run-failed.md"
    assert "/dags/run_nightly/runs/night%201" in hook.posts[0]["log_url"]
    trigger("run_nightly")
    assert titles(hook)[2:] == ["resolved: run_nightly"] * 2


def test_every_runbook_that_an_alert_may_name_is_there() -> None:
    from dags._shared.alerts import RUNBOOK_OF_KIND, RUNBOOK_OF_STEP

    named = {*RUNBOOK_OF_KIND.values(), *RUNBOOK_OF_STEP.values(), "alerts"}
    assert [name for name in named if not (PROJECT_ROOT / "docs" / "runbooks" / f"{name}.md").is_file()] == []


def test_a_webhook_that_is_down_leaves_the_task_as_it_is(trigger: Trigger, dp: FakeDp, hook: Webhook) -> None:
    hook.status = 500
    dp.answer(simulate_day=[{"code": 3, "err": "permanent failure: no"}])
    assert str(trigger("land_sample_day").state) == "failed"
    line = (get_settings().state_dir / "alerts.jsonl").read_text(encoding="utf-8").splitlines()[-1]
    assert json.loads(line)["title"] == "land_sample_day.land failed (permanent)"
