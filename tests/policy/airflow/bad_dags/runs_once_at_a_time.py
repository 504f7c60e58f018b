"""Two runs at once would do the same days."""

from __future__ import annotations

from airflow.sdk import DAG

from dags._shared.defaults import Tag
from dags._shared.dp import DpOperator

with DAG("runs_once_at_a_time", schedule=None, max_active_runs=2, doc_md=__doc__, tags=[Tag.NIGHTLY]):
    DpOperator(task_id="stage", arguments=["stage"])
