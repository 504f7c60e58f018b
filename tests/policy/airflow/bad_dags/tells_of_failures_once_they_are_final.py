"""Tells of each try, and leaves it at that."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from dags._shared.alerts import failed_task
from dags._shared.defaults import Tag, common, deadline
from dags._shared.dp import DpOperator

with DAG(
    "tells_of_failures_once_they_are_final",
    schedule=None,
    deadline=deadline(timedelta(hours=1), "nightly-run-failed"),
    **common(__doc__, "nightly-run-failed", {Tag.NIGHTLY}),
):
    DpOperator(task_id="stage", arguments=["stage"], on_retry_callback=failed_task("nightly-run-failed"))
