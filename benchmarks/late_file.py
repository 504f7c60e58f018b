"""A late file beside a night: 20 purchases of a day a year ago, on top of the log's 546 days.

Both are `dp run` in the warm worker, from its start to its end, once the file has landed. The late file's day is
published again, with the days of features that look back to it, and all that reads these; the night brings one day.
"""

from __future__ import annotations

from datetime import date, timedelta
from itertools import count
from pathlib import Path

from benchmarks.harness import OURS, Bench, Numbers, timed
from benchmarks.history import LOG, Nights, loaded_platform
from data_platform.intervals import ONE_DAY
from data_platform.settings import get_settings
from sample_company import cdnow
from sample_company.company import company

NIGHT = "a night"
YEAR = timedelta(days=365)
ROWS = 20


def run(bench: Bench) -> None:
    """Reports the late file beside a night."""
    with loaded_platform(bench) as platform:
        nights, days = Nights(platform), (LOG.end - YEAR + n * ONE_DAY for n in count())

        def late() -> Numbers:
            land_late(next(days))
            return timed(nights.run)

        def night() -> Numbers:
            nights.land()
            return timed(nights.run)

        runs = bench.interleave({OURS: late, NIGHT: night})
    bench.compare("late_file", "s", runs, targets={NIGHT: 1 / 3})


def land_late(day: date) -> None:
    """A file of purchases of a day long past comes, beside those that have come."""
    lines = company().lines_of(day)
    file = Path(get_settings().landing) / "shop" / "purchases" / f"late-{day}.txt"
    file.write_bytes(cdnow.HEADER + b"".join((lines * ROWS)[:ROWS]))
