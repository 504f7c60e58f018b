"""How long a publication keeps others waiting: a day on top of the log's 546, and its rollback.

A connection looks every few milliseconds for the lock that publications take, and for their transaction. Readers wait
for neither; other publications wait for the lock. The rollback is timed as a whole, from the command to its end.
"""

from __future__ import annotations

import json
import statistics
import threading
import time

from benchmarks.harness import Bench
from benchmarks.history import Nights, loaded_platform
from benchmarks.platform import Platform
from data_platform.publish import LOCK
from data_platform.warehouse.connection import open_connection, query

TURNS = 3
LOOK_EVERY_S = 0.002
LOOK = """
    select
        exists (
            select from pg_locks where locktype = 'advisory' and objid = %(lock)s and objsubid = 1 and granted
        ) as is_locked,
        (
            select extract(epoch from max(clock_timestamp() - xact_start)) from pg_stat_activity
            where application_name like 'dp publish%%' and xact_start is not null
        ) as transaction_s
"""


class Watch:
    """What a publication held while the block ran, in seconds, within a few milliseconds."""

    def __init__(self) -> None:
        self.lock_s = 0.0
        self.transaction_s = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        connection = open_connection(application="bench")
        connection.autocommit = True
        since = None
        while not self._over.wait(LOOK_EVERY_S):
            (seen,) = query(connection, LOOK, {"lock": LOCK})
            now = time.perf_counter()
            since = (since or now) if seen["is_locked"] else None
            self.lock_s = max(self.lock_s, now - since if since else 0.0)
            self.transaction_s = max(self.transaction_s, float(seen["transaction_s"] or 0))
        connection.close()

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def run(bench: Bench) -> None:
    """Reports medians of three days and of their rollbacks, the newest first."""
    with loaded_platform(bench) as platform:
        nights, published, taken_back, seconds = Nights(platform), [], [], []
        for turn in range(TURNS):
            nights.land()
            with Watch() as watch:
                nights.run()
            published.append(watch)
            bench.say(f"turn {turn + 1} of {TURNS}: lock {watch.lock_s:.3f} s, transaction {watch.transaction_s:.3f} s")
        for number in newest_publications(platform, TURNS):
            with Watch() as watch:
                seconds.append(platform.seconds_of("rollback", str(number), "--reason", "a bench"))
            taken_back.append(watch)
            bench.say(f"publication {number} rolled back: {seconds[-1]:.3f} s")
    median = statistics.median
    bench.limit("lock_of_a_day", "s", median(w.lock_s for w in published), at_most=0.1)
    bench.limit("transaction_of_a_day", "s", median(w.transaction_s for w in published), at_most=0.1)
    bench.limit("rollback", "s", median(seconds), at_most=60)
    bench.limit("lock_of_a_rollback", "s", median(w.lock_s for w in taken_back), at_most=60)


def newest_publications(platform: Platform, count: int) -> list[int]:
    """Numbers of the last publications, the newest first."""
    found = json.loads(platform.dp("publications", "--json"))
    return sorted((int(p["publication_id"]) for p in found), reverse=True)[:count]
