"""A tag that somebody made up."""

from __future__ import annotations

from airflow.sdk import DAG

from dags._shared.defaults import common
from dags._shared.dp import DpOperator

with DAG("has_tags_of_the_closed_set", schedule=None, **common(__doc__, "nightly-run-failed", {"misc"})):
    DpOperator(task_id="stage", arguments=["stage"])
