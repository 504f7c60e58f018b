"""Works while it is loaded."""

from __future__ import annotations

import time

from airflow.sdk import DAG

from dags._shared.defaults import Tag, common
from dags._shared.dp import DpOperator

time.sleep(1.1)

with DAG("loads_quickly", schedule=None, **common(__doc__, "nightly-run-failed", {Tag.NIGHTLY})):
    DpOperator(task_id="stage", arguments=["stage"])
