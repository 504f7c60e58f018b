"""
**Loads the day before, and whatever else has become stale, into the published tables and Feast.**

It runs at 02:00 UTC, when the contracts promise that the day's last delivery is there. Each task is a command of `dp`
that also works without Airflow; nothing is visible to a consumer before all three gates have passed. A night that finds
nothing to do, because its day and all else is published as it was delivered, ends after `discover` and is green; the
tasks that follow are skipped. A night whose day's file is missing is no such night: `stage` says what is missing. One
whose day breaks a rule publishes what else is stale, and `report` says which rule.

| what is red | what it means | what consumers see |
|---|---|---|
| `discover` | a contract is wrong or breaks with what is published, or PostgreSQL is down | yesterday's state |
| `ingest`, `stage`, `build` | the log's last lines say it: a disk, a server, a model of dbt | yesterday's state |
| `gate_…` | all that came broke an `error` rule; the log shows rule, value, limit, examples | yesterday's state |
| `publish` | something moved under the run three times, or a lock was not given | yesterday's state |
| `export` | tables are published; Feast's online store is behind | new tables, old online features |
| `report` | all that was good is published; what is held back the log names, with why | the new state without it |

Clear a task to repeat that step; clear `discover` to start over. Only transient failures are retried by themselves.
"""

from __future__ import annotations

from airflow.sdk import DAG, CronDataIntervalTimetable

from dags._shared.chain import steps
from dags._shared.defaults import Tag, common, deadline, promised_freshness
from dags._shared.form import datasets_field, dry_run_field, reason_field

with DAG(
    dag_id="run_nightly",
    description="Loads the day before and all that is stale: ingest, gate, build, gate, publish, export.",
    schedule=CronDataIntervalTimetable("0 2 * * *", timezone="UTC"),
    deadline=deadline(promised_freshness(), "nightly-run-failed"),
    params={
        "datasets": datasets_field(),
        "reason": reason_field("the nightly run"),
        "dry_run": dry_run_field(),
    },
    **common(__doc__, "nightly-run-failed", {Tag.NIGHTLY, Tag.PUBLISHES}),
):
    # A run that somebody triggers without a date has no interval; `dp` then takes the due day.
    steps(discover=["{{ '--night=' ~ (dag_run.data_interval_start | ds) if dag_run.data_interval_start else '' }}"])
