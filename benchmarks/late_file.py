"""A late file beside a night: 20 purchases of a day a year ago, on top of the log's 546 days.

Both are `dp run` in the warm worker, from its start to its end, once the file has landed. The late file's day is
published again, with the days of features that look back to it, and all that reads these; the night brings one day.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta

from benchmarks.harness import OURS, Bench, Numbers
from benchmarks.history import LOG, Nights, land_late, loaded_platform
from data_platform.intervals import ONE_DAY

NIGHT = "a night"
YEAR = timedelta(days=365)


def run(bench: Bench) -> None:
    """Reports the late file beside a night."""
    with loaded_platform(bench) as platform:
        nights, days = Nights(platform), late_days()

        def late() -> Numbers:
            land_late(next(days))
            return _timed(nights)

        def night() -> Numbers:
            nights.land()
            return _timed(nights)

        runs = bench.interleave({OURS: late, NIGHT: night})
    bench.compare("late_file", "s", runs, targets={NIGHT: 1 / 3})


def late_days() -> Iterator[object]:
    """Days a year before the log's end, one after the other."""
    day = LOG.end - YEAR
    while True:
        yield day
        day += ONE_DAY


def _timed(nights: Nights) -> Numbers:
    started = time.perf_counter()
    nights.run()
    return {"seconds": time.perf_counter() - started}
