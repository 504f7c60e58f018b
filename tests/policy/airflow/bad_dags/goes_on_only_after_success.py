"""Publishes whatever the gate says."""

from __future__ import annotations

from airflow.sdk import DAG

from dags._shared.defaults import Tag, common
from dags._shared.dp import DpOperator

with DAG("goes_on_only_after_success", schedule=None, **common(__doc__, "nightly-run-failed", {Tag.NIGHTLY})):
    (
        DpOperator(task_id="gate_stage", arguments=["gate", "stage"])
        >> DpOperator(task_id="publish", arguments=["publish"], trigger_rule="all_done")
    )
