"""
**Lands the deliveries of the sample company's next day, an hour before the night looks for them.**

The sample company's real purchases end on 1998-06-30; a seeded generator makes the days after it. It lands every day up
to the due day that has not landed yet, so nothing is lost when this did not run for a while, and landing a day twice
changes nothing. A real company has no such DAG: it is there only with `SAMPLE_COMPANY=true`.

If it fails, `run_nightly` fails too, because the contract of `purchases` says that a day without a file is an error.
Mend what the log says, clear the task, then clear `discover` of `run_nightly`.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, CronDataIntervalTimetable

from dags._shared.defaults import Tag, common, deadline, promised_arrival
from dags._shared.dp import DpOperator
from data_platform.settings import get_settings

if get_settings().sample_company:
    with DAG(
        dag_id="land_sample_day",
        description="Lands the generated deliveries of the sample company up to the due day.",
        schedule=CronDataIntervalTimetable("0 1 * * *", timezone="UTC"),
        # A day's deliveries are due `promised_arrival` after midnight; the logical date is 01:00 of that day.
        deadline=deadline(timedelta(hours=23) + promised_arrival(), "nightly-run-failed"),
        params={},
        **common(__doc__, "nightly-run-failed", {Tag.NIGHTLY, Tag.SAMPLE_COMPANY}),
    ):
        DpOperator(
            task_id="land",
            doc_md="Lands each generated day, up to the due one, that has not landed yet.",
            arguments=["simulate", "day", "--through-due"],
        )
