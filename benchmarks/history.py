"""A platform that holds all that the log tells, for benches of what happens on top of that."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta

from benchmarks.harness import Bench
from benchmarks.platform import Platform, running_platform
from data_platform.intervals import ONE_DAY, Interval
from sample_company import cdnow

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
        self._platform.dp("run")
