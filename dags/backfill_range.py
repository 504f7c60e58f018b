"""
**Brings a range of days up to date, or does it again whatever its state, and publishes what differs.**

Press *Trigger* and fill in the form. `Start` is the first day on the business clock, `End` the day after the last one.
With *Dry run* only `discover` runs, and its log says what would be done. The days go the same way as in `run_nightly`,
through the same gates, so a failed task means the same here. What is as its files, contract and code say is left alone;
*Rebuild* does it too, and writes no row where it finds no difference.

A long range is done in chunks, so that memory stays bounded: a run of this DAG publishes the first `Chunk` days, and
its last task triggers the next run for the days that are left. A chunk that failed goes on when its task is cleared.

Late files and corrections need no backfill: the next night sees them by itself.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param

from dags._shared.chain import steps, trigger_next_chunk
from dags._shared.defaults import Tag, common, deadline
from dags._shared.form import datasets_field, day_field, dry_run_field, reason_field, rebuild_field
from data_platform.settings import get_settings

with DAG(
    dag_id="backfill_range",
    description="Brings a range of days up to date, or does it again, through all gates.",
    schedule=None,
    deadline=deadline(timedelta(days=1), "backfill", after="queued"),
    params={
        "start": day_field("Start", "First day of the range, on the business clock."),
        "end": day_field("End", "The day after the last one: [start, end). Must be after Start."),
        "chunk_days": Param(
            get_settings().backfill_chunk_days,
            title="Chunk",
            description="Days that are published at once.",
            type="integer",
            minimum=1,
        ),
        "datasets": datasets_field(),
        "reason": reason_field(),
        "rebuild": rebuild_field(),
        "dry_run": dry_run_field(),
    },
    **common(__doc__, "backfill", {Tag.REPAIR, Tag.PUBLISHES}),
):
    days = ["{{ params.start }}", "{{ params.end }}", "--chunk-days={{ params.chunk_days }}"]
    how = "{{ '--rebuild' if params.rebuild else '' }}"
    trigger_next_chunk(steps(discover=[*days, how], returns=("run_id", "next_start")))
