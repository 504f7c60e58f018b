"""Computes in a DAG file."""

from __future__ import annotations

from airflow.sdk import DAG, task

from dags._shared.defaults import Tag, common

with DAG("holds_only_commands_of_dp", schedule=None, **common(__doc__, "nightly-run-failed", {Tag.NIGHTLY})):

    @task
    def add_up() -> int:
        return sum(range(10))

    add_up()
