"""The same night on 5, 50 and 500 days of history: what a night costs is what it brought.

A night is `dp run` in the warm worker, from its start to its end, once the day's purchases have landed. The shop's
nights are much alike, but for one a week that brings an extract of all customers: that one is run, and not counted.
Older days are loaded in between, so each history ends on the eve of its nights.
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

from benchmarks.harness import OURS, Bench, Runs
from benchmarks.platform import Platform, running_platform
from data_platform.intervals import ONE_DAY, Interval
from data_platform.settings import get_settings

FIRST_NIGHT = date(1998, 6, 1)
TODAY = date(1998, 6, 30)
DAYS = 5
TIMES = {"on 1x the history": 1, "on 10x": 10, OURS: 100}
NIGHTS = 3


def run(bench: Bench) -> None:
    """Reports the night on a hundred times the history beside the others."""
    runs: Runs = {}
    with running_platform(bench.directory, TODAY) as platform:
        day, loaded = FIRST_NIGHT, FIRST_NIGHT
        for name, times in TIMES.items():
            start = FIRST_NIGHT - timedelta(days=DAYS * times)
            with bench.setting_up(f"loading {Interval(start, loaded)}"):
                platform.land(Interval(start, loaded))
                platform.load(Interval(start, loaded))
                loaded = start
            runs[name] = []
            while len(runs[name]) < NIGHTS:
                seconds = _night(platform, day)
                if not _brings_customers(day):
                    runs[name].append({"seconds": seconds})
                    bench.say(f"{day} on {DAYS * times} days: {seconds:.1f} s")
                day += ONE_DAY
    bench.compare("night", "s", runs, targets={"on 1x the history": 1 / 1.3, "on 10x": None})


def _night(platform: Platform, day: date) -> float:
    platform.land(Interval.of_day(day))
    return platform.seconds_of("run", str(day), str(day + ONE_DAY))


def _brings_customers(day: date) -> bool:
    return (Path(get_settings().landing) / "shop" / "customers" / f"{day}.csv").exists()
