"""A form whose fields say nothing."""

from __future__ import annotations

from airflow.sdk import DAG

from dags._shared.defaults import Tag, common
from dags._shared.dp import DpOperator

with DAG(
    "has_typed_and_described_params",
    schedule=None,
    params={"start": "1998-06-30"},
    **common(__doc__, "nightly-run-failed", {Tag.NIGHTLY}),
):
    DpOperator(task_id="stage", arguments=["stage"])
