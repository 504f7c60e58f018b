"""Notes that name a runbook which nobody wrote."""

from __future__ import annotations

from airflow.sdk import DAG

from dags._shared.dp import DpOperator

NOTES = "What to do stands in the [runbook](docs/runbooks/never-written.md). " * 10

with DAG("has_notes_and_a_runbook_that_exists", schedule=None, doc_md=NOTES):
    DpOperator(task_id="stage", arguments=["stage"])
