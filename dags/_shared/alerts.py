"""What Airflow calls when a task or run ends, as alerts of the platform: one for each incident, one when it is over.

A try that will be followed by another one is no failure: Airflow calls ``report_failed_task`` after the last one only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowTaskTimeout

from dags._shared.dp import LOST, UNKNOWN, FinalStepFailure, TransientStepFailure
from dags._shared.links import run_of
from data_platform.alerts import DEADLINE, Alert, Severity, report_failure, report_success
from data_platform.failures import BudgetFailure, GateFailure, TransientFailure

Callback = Callable[[Mapping[str, Any]], None]
WHOLE_RUN = ""
# What to read first: by the step, else by the kind of failure, else what the DAG names.
RUNBOOK_OF_STEP = {"report": "late-or-wrong-file"}
RUNBOOK_OF_KIND = {GateFailure.kind: "failed-gate", TransientFailure.kind: "platform-up-and-down"}
SEVERITY_OF_STEP: dict[str, Severity] = {"report": "warning"}  # all but the deliveries that it names is published


def failed_task(runbook: str) -> Callback:
    """What Airflow calls when a task of a DAG with this runbook has failed for good."""

    def report_failed_task(context: Mapping[str, Any]) -> None:
        report_failure(alert_of(context, runbook))

    return report_failed_task


def report_succeeded_task(context: Mapping[str, Any]) -> None:
    """Airflow calls this when a task has succeeded: what was wrong with it is over.

    After the last task that goes for the run as a whole, too. (Airflow's callbacks of a whole run do not come for a DAG
    whose form has a required field: it reads the fields' defaults before what was filled in.)
    """
    instance = context["ti"]
    report_success(instance.dag_id, instance.task_id)
    if not context["task"].downstream_task_ids:
        report_success(instance.dag_id, WHOLE_RUN)


def report_missed_deadline(*, runbook: str, context: Mapping[str, Any]) -> None:
    """Airflow calls this when a run has not ended by its deadline."""
    run = context["dag_run"]
    page = f"/dags/{run['dag_id']}/runs/{quote(run['dag_run_id'])}"
    report_failure(
        Alert(
            dag=run["dag_id"],
            step=WHOLE_RUN,
            run_id=run["dag_run_id"],
            kind=DEADLINE,
            message=f"the run has not ended by {context['deadline']['deadline_time']}",
            runbook=runbook,
            log_url=conf.get("api", "base_url", fallback="").rstrip("/") + page,
        )
    )


def alert_of(context: Mapping[str, Any], runbook: str) -> Alert:
    """The alert of a failed task."""
    instance = context["ti"]
    kind, message = _failure(context)
    run = run_of(getattr(context["task"], "arguments", []))
    return Alert(
        dag=instance.dag_id,
        step=instance.task_id,
        run_id=instance.run_id,
        kind=kind,
        message=f"{message}\nplatform's run: {run}" if run else message,
        runbook=RUNBOOK_OF_STEP.get(instance.task_id) or RUNBOOK_OF_KIND.get(kind) or runbook,
        log_url=instance.log_url,
        severity=SEVERITY_OF_STEP.get(instance.task_id, "error"),
    )


def _failure(context: Mapping[str, Any]) -> tuple[str, str]:
    """Kind and message. What ``dp`` did not report is not quoted: it may hold anything, a person's data too."""
    error = context.get("exception")
    if isinstance(error, TransientStepFailure | FinalStepFailure):
        return error.kind, error.reported
    if isinstance(error, AirflowTaskTimeout):
        return BudgetFailure.kind, f"it took longer than {context['task'].execution_timeout}"
    if error is None:
        return LOST, "the task's process ended without a word: killed, out of memory, or its machine is gone"
    return UNKNOWN, f"{type(error).__name__}; its log says what happened"
