"""Tells the person on call: an error in the log, and a line in ``STATE_DIR/alerts.jsonl`` for whatever forwards it."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from data_platform.settings import get_settings

log = logging.getLogger(__name__)


def report_missed_deadline(*, runbook: str, context: Mapping[str, Any]) -> None:
    """Airflow calls this when a run has not ended by its deadline."""
    run = context["dag_run"]
    _alert(
        "deadline missed",
        dag=run["dag_id"],
        run=run["dag_run_id"],
        task=None,
        due=str(context["deadline"]["deadline_time"]),
        runbook=runbook,
    )


def report_failed_task(context: Mapping[str, Any]) -> None:
    """Airflow calls this when a task has failed for good, after its retries."""
    instance = context["ti"]
    _alert("task failed", dag=instance.dag_id, run=instance.run_id, task=instance.task_id)


def _alert(what: str, **details: str | None) -> None:
    alert = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "what": what, **details}
    line = json.dumps(alert)
    log.error("%s", line)
    with (get_settings().state_dir / "alerts.jsonl").open("a", encoding="utf-8") as file:
        file.write(line + "\n")
