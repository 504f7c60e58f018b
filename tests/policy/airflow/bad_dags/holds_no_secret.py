"""Puts a password into a command, where the UI and the process list show it."""

from __future__ import annotations

from airflow.sdk import DAG

from dags._shared.defaults import Tag, common
from dags._shared.dp import DpOperator
from data_platform.settings import get_settings

PASSWORD = get_settings().warehouse_password_platform.get_secret_value()

with DAG("holds_no_secret", schedule=None, **common(__doc__, "nightly-run-failed", {Tag.NIGHTLY})):
    DpOperator(task_id="stage", arguments=["stage", f"--password={PASSWORD}"])
