"""The log's 546 days, from landed files to published features: in one pass, and day by day.

The platform is up, and has published nothing. The first five days land and are run one by one, as single-day runs
of the warm worker; then the others land and are run in one pass. What all of them would take one by one is extrapolated
from those five. Then the same days are asked for once more, by `dp backfill`, with nothing changed: no table may be
touched.
"""

from __future__ import annotations

import time
from contextlib import ExitStack

from benchmarks.harness import OURS, Bench
from benchmarks.history import HISTORY, LOG
from benchmarks.platform import Platform, running_platform
from data_platform.intervals import ONE_DAY, Interval
from data_platform.warehouse.connection import query, transaction

SINGLE = "single-day runs"
SINGLE_DAYS = 5
WRITTEN = """
    select coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0) as n from pg_stat_user_tables
    where schemaname in ('raw', 'marts', 'features', 'online')
"""


def run(bench: Bench) -> None:
    """Reports the pass, its speed beside single days, and a rerun."""
    with ExitStack() as stack:
        with bench.setting_up("starting a platform"):
            platform = stack.enter_context(running_platform(bench.directory, HISTORY.end))
        single = [_seconds_from_landing(platform, Interval.of_day(LOG.start + n * ONE_DAY)) for n in range(SINGLE_DAYS)]
        bench.say(f"single days: {', '.join(f'{s:.1f}' for s in single)} s")
        rest = Interval(LOG.start + SINGLE_DAYS * ONE_DAY, LOG.end)
        in_one = _seconds_from_landing(platform, rest)
        bench.say(f"{len(rest)} days in one pass: {in_one:.1f} s")
        before = _written()
        again = _seconds(platform, "backfill", LOG)
        written = _written() - before
    bench.limit("one_pass", "s", in_one, at_most=120)
    a_day = {OURS: [{"seconds": in_one / len(rest)}], SINGLE: [{"seconds": s} for s in single]}
    bench.compare("seconds_a_day", "s", a_day, targets={SINGLE: 50})
    bench.limit("nothing_changed", "s", again, at_most=15)
    bench.limit("rows_written_when_nothing_changed", "rows", written, at_most=0)


def _seconds_from_landing(platform: Platform, days: Interval) -> float:
    platform.land(days)
    return _seconds(platform, "run", days)


def _seconds(platform: Platform, command: str, days: Interval) -> float:
    return platform.seconds_of(command, str(days.start), str(days.end), "--reason", "a bench")


def _written() -> int:
    time.sleep(1)  # a server process counts what it wrote a moment later
    with transaction() as connection:
        return int(query(connection, WRITTEN)[0]["n"])
