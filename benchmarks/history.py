"""A platform that holds all that the log tells, for benches of what happens on top of that."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import date, timedelta
from pathlib import Path

from benchmarks.harness import Bench
from benchmarks.platform import Platform, running_platform
from data_platform.intervals import ONE_DAY, Interval
from data_platform.settings import get_settings
from sample_company import cdnow
from sample_company.company import company

LOG = Interval(cdnow.FIRST_DAY, cdnow.LAST_DAY + ONE_DAY)
HISTORY = Interval(LOG.start, LOG.end + ONE_DAY)  # with the extract of the day after it: the next comes a week later
TODAY = HISTORY.end + timedelta(days=6)


@contextmanager
def loaded_platform(bench: Bench) -> Iterator[Platform]:
    """A platform with ``HISTORY`` published, on a day before which six nights like each other can be run."""
    with ExitStack() as stack:
        with bench.setting_up(f"starting a platform, loading {HISTORY}"):
            platform = stack.enter_context(running_platform(bench.directory, TODAY))
            platform.land(HISTORY)
            platform.load(HISTORY)
        yield platform


class Nights:
    """The nights after the history, each landed and run once."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._next = HISTORY.end

    def land(self) -> None:
        """The next day comes."""
        self._platform.land(Interval.of_day(self._next))
        self._next += ONE_DAY

    def run(self) -> None:
        """`dp run` in the warm worker."""
        self._platform.dp("run", program="dp-warm")


def land_late(day: date, rows: int = 20) -> Path:
    """A file of purchases of a day long past comes, beside those that have come."""
    lines = company().lines_of(day)
    file = Path(get_settings().landing) / "shop" / "purchases" / f"late-{day}.txt"
    file.write_bytes(cdnow.HEADER + b"".join((lines * rows)[:rows]))
    return file
