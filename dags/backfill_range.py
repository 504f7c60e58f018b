"""
**Does a range of days again, whatever their state, and publishes what differs.**

Press *Trigger* and fill in the form. `Start` is the first day on the business clock, `End` the day after the last one.
With *Dry run* only `discover` runs, and its log says what would be done. The days go the same way as in `run_nightly`,
through the same gates, so a failed task means the same here. A backfill that finds no difference writes no row.

Late files and corrections need no backfill: the next night sees them by itself.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from dags._shared.chain import steps
from dags._shared.defaults import Tag, common, deadline
from dags._shared.form import datasets_field, day_field, dry_run_field, reason_field

with DAG(
    dag_id="backfill_range",
    description="Does a range of days again, through all gates, and publishes what differs.",
    schedule=None,
    deadline=deadline(timedelta(days=1), "backfill", after="queued"),
    params={
        "start": day_field("Start", "First day of the range, on the business clock."),
        "end": day_field("End", "The day after the last one: [start, end). Must be after Start."),
        "datasets": datasets_field(),
        "reason": reason_field(),
        "dry_run": dry_run_field(),
    },
    **common(__doc__, "backfill", {Tag.REPAIR, Tag.PUBLISHES}),
):
    steps(discover=["{{ params.start }}", "{{ params.end }}"])
