"""Retries whatever fails, a wrong contract too."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from dags._shared.defaults import Tag, common
from dags._shared.dp import DpOperator

RETRY_ALL = {
    "retries": 3,
    "retry_policy": None,
    "retry_exponential_backoff": 2,
    "max_retry_delay": timedelta(minutes=5),
}

with DAG("retries_only_what_is_transient", schedule=None, **common(__doc__, "nightly-run-failed", {Tag.NIGHTLY})):
    DpOperator(task_id="stage", arguments=["stage"], **RETRY_ALL)
