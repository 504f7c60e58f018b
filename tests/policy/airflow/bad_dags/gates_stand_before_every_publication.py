"""Publishes what only one of three gates has seen."""

from __future__ import annotations

from airflow.sdk import DAG

from dags._shared.defaults import Tag, common
from dags._shared.dp import DpOperator

with DAG("gates_stand_before_every_publication", schedule=None, **common(__doc__, "nightly-run-failed", {Tag.NIGHTLY})):
    (
        DpOperator(task_id="gate_stage", arguments=["gate", "stage"])
        >> DpOperator(task_id="publish", arguments=["publish"])
    )
