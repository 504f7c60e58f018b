"""Ours: one task that takes the step `build` of a run, as it stands in `run_nightly`."""

from __future__ import annotations

from airflow.sdk import DAG

from dags._shared.dp import BuildOperator

with DAG("build_with_dp", schedule=None, is_paused_upon_creation=False):
    BuildOperator(task_id="build", arguments=["build", "--run", "{{ dag_run.conf['run_id'] }}"])
