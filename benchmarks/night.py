"""The night of a small day: one day's purchases on top of a week, through all gates, into Feast.

Ours is the DAG ``run_nightly`` in the running platform, from the trigger to its green end, with what Airflow itself
takes between tasks. The peer takes the same steps of the same code one after the other without Airflow, each as a
stock job would be: a fresh Python process and, where it needs Spark, a fresh local Spark. Both get days of equal kind
in turn, each landed just before. Per step we report what the step took; ``between tasks`` is Airflow's share of ours.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import date

from benchmarks.harness import OURS, Bench, Numbers
from benchmarks.platform import Platform, running_platform, seconds_between
from data_platform.intervals import ONE_DAY, Interval

HISTORY = Interval(date(1998, 6, 3), date(1998, 6, 11))  # two full extracts of customers among them
# All nights before the next extract, of 06-17, are alike: these are measured. The schedule's own night is a later one.
TODAY = date(1998, 6, 20)
COLD = "cold processes"
STEPS = ("ingest", "gate ingest", "stage", "gate stage", "build", "gate build", "publish", "export", "report")
NO_WARM_SPARK = {"SPARK_REMOTE": "", "SPARK_MASTER": "local[2]"}


def run(bench: Bench) -> None:
    """Runs nights in turn and reports seconds by step, the whole, and the platform's peak memory."""
    with ExitStack() as stack:
        with bench.setting_up(f"starting a platform, loading {HISTORY}"):
            platform = stack.enter_context(running_platform(bench.directory, TODAY))
            platform.land(HISTORY)
            platform.load(HISTORY)
        today = [max(HISTORY)]

        def land_next_day() -> None:
            today[0] += ONE_DAY
            platform.land(Interval.of_day(today[0]))

        with platform.peak_memory() as peak:
            runs = bench.interleave(
                {OURS: in_airflow(platform, today), COLD: in_cold_processes(platform, today)}, prepare=land_next_day
            )
    for step in ("discover", *STEPS, "between tasks"):
        bench.compare(step, "s", runs, of=step, targets={COLD: None})
    bench.compare("night", "s", runs, targets={COLD: 1.0})
    ours = sorted(numbers["seconds"] for numbers in runs[OURS])
    bench.limit("night_in_airflow", "s", ours[len(ours) // 2], at_most=60)
    bench.limit("peak_memory", "MB", peak[0], at_most=6000)


def in_airflow(platform: Platform, today: list[date]) -> Callable[[], Numbers]:
    """A contender: the DAG."""

    def contender() -> Numbers:
        dag_run, *tasks = platform.night(today[0])
        taken = {
            task["task_id"].replace("_", " "): seconds_between(task["start_date"], task["end_date"]) for task in tasks
        }
        whole = seconds_between(dag_run["queued_at"], dag_run["end_date"])
        return {**taken, "between tasks": whole - sum(taken.values()), "seconds": whole}

    return contender


def in_cold_processes(platform: Platform, today: list[date]) -> Callable[[], Numbers]:
    """A contender: one fresh process a step, and no warm Spark."""

    def contender() -> Numbers:
        began = time.perf_counter()
        run_id = platform.discover(today[0], NO_WARM_SPARK)
        taken = {"discover": time.perf_counter() - began, "between tasks": 0.0}
        for step in STEPS:
            started = time.perf_counter()
            platform.dp(*step.split(), "--run", run_id, cold=NO_WARM_SPARK)
            taken[step] = time.perf_counter() - started
        return {**taken, "seconds": time.perf_counter() - began}

    return contender
