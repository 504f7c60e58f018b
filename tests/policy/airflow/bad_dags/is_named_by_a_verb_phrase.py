"""Its name begins with no verb."""

from __future__ import annotations

from airflow.sdk import DAG

from dags._shared.defaults import Tag, common
from dags._shared.dp import DpOperator

with DAG("is_named_by_a_verb_phrase", schedule=None, **common(__doc__, "nightly-run-failed", {Tag.NIGHTLY})):
    DpOperator(task_id="stage", arguments=["stage"])
