"""Loads a library that no DAG file needs."""

from __future__ import annotations

import sqlparse
from airflow.sdk import DAG

from dags._shared.defaults import Tag, common
from dags._shared.dp import DpOperator

COMMAND = sqlparse.format("SELECT 1", keyword_case="lower")

with DAG("imports_light_modules_only", schedule=None, **common(__doc__, "nightly-run-failed", {Tag.NIGHTLY})):
    DpOperator(task_id="stage", arguments=["stage"])
