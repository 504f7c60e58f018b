"""What is the same for all DAGs: tags, owner, retries, deadlines and notes for the person on call."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from airflow.sdk import DeadlineAlert, DeadlineReference, ExceptionRetryPolicy, RetryAction, RetryRule, SyncCallback

from dags._shared.alerts import failed_task, report_missed_deadline, report_succeeded_task
from dags._shared.dp import TransientStepFailure
from data_platform.contracts.load import get_contracts
from data_platform.contracts.model import Contract
from data_platform.settings import PROJECT_ROOT

OWNER = "data-platform"
RUNBOOKS = Path("docs/runbooks")
FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)

RETRIES = {
    "retries": 3,
    "retry_delay": timedelta(seconds=20),
    "retry_exponential_backoff": 3,  # 20 s, 1 min, 3 min: a server that restarts is back by then
    "max_retry_delay": timedelta(minutes=5),
    "retry_policy": ExceptionRetryPolicy(
        rules=[RetryRule(TransientStepFailure, RetryAction.RETRY, reason="transient failure")],
        default=RetryAction.FAIL,
    ),
}


class Tag(StrEnum):
    """The closed set of tags: what somebody filters the list of DAGs by."""

    NIGHTLY = "nightly"
    REPAIR = "repair"
    PUBLISHES = "publishes"
    SAMPLE_COMPANY = "sample-company"


def sources() -> list[Contract]:
    """The contracts of what is delivered to us, by name."""
    return sorted(get_contracts().of_layer("sources"), key=lambda contract: contract.dataset)


def promised_freshness() -> timedelta:
    """The tightest freshness that a source's contract promises."""
    return min(contract.freshness for contract in sources() if contract.freshness)


def promised_arrival() -> timedelta:
    """How long after the end of a day its last delivery may come."""
    return max(contract.arrival_delay for contract in sources())


def notes(text: str, runbook: str) -> str:
    """The DAG's notes, then its runbook whole, so that nobody on call has to look for it.

    Args:
        text: the DAG file's docstring.
        runbook: name of a file in ``docs/runbooks``, without ``.md``.
    """
    path = RUNBOOKS / f"{runbook}.md"
    body = (PROJECT_ROOT / path).read_text(encoding="utf-8")
    return f"{text.strip()}\n\nRunbook: [{path}]({path})\n\n---\n\n{body.strip()}\n"


def deadline(within: timedelta, runbook: str, *, after: str = "logical date") -> DeadlineAlert:
    """An alert when a run has not ended in time.

    Args:
        within: time that it may take.
        runbook: named in the alert.
        after: ``logical date``, which is the start of the day that a night loads, or ``queued``.
    """
    references = {
        "logical date": DeadlineReference.DAGRUN_LOGICAL_DATE,
        "queued": DeadlineReference.DAGRUN_QUEUED_AT,
    }
    return DeadlineAlert(
        reference=references[after],
        interval=within,
        callback=SyncCallback(report_missed_deadline, kwargs={"runbook": runbook}),
    )


def common(text: str, runbook: str, tags: set[Tag]) -> dict[str, Any]:
    """Arguments of every DAG."""
    return {
        "doc_md": notes(text, runbook),
        "tags": sorted(tags),
        "start_date": FIRST_DAY,
        "catchup": False,
        "max_active_runs": 1,
        "default_args": {
            "owner": OWNER,
            "execution_timeout": timedelta(hours=4),
            "on_failure_callback": failed_task(runbook),
            "on_success_callback": report_succeeded_task,
            **RETRIES,
        },
    }
