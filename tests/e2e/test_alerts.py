"""What people hear from Airflow itself: a real scheduler, real tasks, a real webhook."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from benchmarks.platform import NIGHT, Platform
from data_platform.local.processes import wait_until
from data_platform.settings import get_settings
from tests.receivers import Webhook, webhook

pytestmark = pytest.mark.e2e
BACKFILL = "backfill_range"
REVERSED = {"start": "1998-06-03", "end": "1998-06-01"}
IN_ORDER = {"start": "1998-06-01", "end": "1998-06-03", "dry_run": True}


@pytest.fixture
def hook(running: Platform) -> Iterator[Webhook]:
    """A webhook that the running platform's alerts go to; what earlier tests left open is over."""
    for incident in incidents(running):
        running.dp("alert", "resolve", str(incident["incident_id"]))
    settings = Path(os.environ["DP_ENV_FILE"])
    before = settings.read_text(encoding="utf-8")
    with webhook() as received:
        settings.write_text(f"{before}ALERT_WEBHOOK_URL={received.url}\n", encoding="utf-8")
        yield received
    settings.write_text(before, encoding="utf-8")


def incidents(platform: Platform) -> list[dict[str, Any]]:
    return json.loads(platform.dp("incidents", "--open", "--json"))


def backfill(platform: Platform, days: dict[str, Any]) -> str:
    """Runs it to its end, and returns Airflow's name of the run."""
    platform.airflow.unpause(BACKFILL)
    run_id = platform.airflow.trigger(BACKFILL, conf={**days, "reason": "a test of the alerts"})
    platform.airflow.wait_for_run(BACKFILL, run_id)
    return run_id


def test_a_failure_is_told_once_and_its_end_too(running: Platform, hook: Webhook) -> None:
    runs = [backfill(running, REVERSED) for _ in range(2)]
    assert wait_until(lambda: [i["occurrences"] for i in incidents(running)] == [2], 30)
    (alert,) = hook.posts
    assert (alert["title"], alert["run_id"]) == ("backfill_range.discover failed (permanent)", runs[0])
    assert alert["runbook"] == "docs/runbooks/backfill.md"
    assert alert["log_url"].startswith(f"http://127.0.0.1:{get_settings().airflow_port}/dags/backfill_range/runs/")
    backfill(running, IN_ORDER)
    assert wait_until(lambda: len(hook.posts) == 2, 30)
    assert hook.posts[1]["title"] == "resolved: backfill_range.discover"
    assert incidents(running) == []


def test_a_late_run_is_told(running: Platform, hook: Webhook) -> None:
    long_ago = datetime(2026, 1, 10, 2, tzinfo=UTC)
    running.airflow.unpause(NIGHT)
    run_id = running.airflow.trigger(NIGHT, interval=(long_ago, long_ago + timedelta(days=1)), conf={"dry_run": True})
    assert wait_until(lambda: any(post["kind"] == "deadline" for post in hook.posts), 60)
    (alert,) = [post for post in hook.posts if post["kind"] == "deadline"]
    assert (alert["title"], alert["run_id"]) == ("run_nightly missed its deadline", run_id)
