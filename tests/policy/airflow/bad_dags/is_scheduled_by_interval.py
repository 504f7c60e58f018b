"""A cron string is a trigger: the run's interval is empty, and it does not know its day."""

from __future__ import annotations

from airflow.sdk import DAG

from dags._shared.defaults import Tag, common
from dags._shared.dp import DpOperator

with DAG("is_scheduled_by_interval", schedule="0 2 * * *", **common(__doc__, "nightly-run-failed", {Tag.NIGHTLY})):
    DpOperator(task_id="stage", arguments=["stage"])
