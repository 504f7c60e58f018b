"""A run, a replay or a rollback that is killed anywhere, or whose server is: readers see the state before it or the one
after it, and one run ends the work.

`make test-faults` tries `DP_KILLS=200` points instead of a few.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import pytest

from data_platform import orchestrate
from data_platform.failures import TransientFailure
from data_platform.intervals import ONE_DAY, Interval
from data_platform.local.components import Component
from data_platform.local.postgres import EmbeddedPostgres
from data_platform.local.processes import signal_all
from data_platform.quarantine import Fix, find_rows, write_fixes
from data_platform.rollback import release
from data_platform.staleness import is_work
from data_platform.warehouse.connection import query, transaction
from tests.conftest import SHOP_DAYS, Platform, end_spark_session, start_spark
from tests.faults.kill_points import run_to
from tests.faults.polling import polling
from tests.forked import dp, run_forked, start_forked
from tests.landing import HEADERS, add_purchases, purchase
from tests.state import newest_publication, published, stale, write_counts

log = logging.getLogger(__name__)
pytestmark = [pytest.mark.integration, pytest.mark.no_cover]
START, END = SHOP_DAYS.start, SHOP_DAYS.end
KILLED = -9
KILLS = int(os.environ.get("DP_KILLS", "3"))
SERVER_KILLS = KILLS // 20


@dataclass(frozen=True)
class Work:
    """What is killed: what leads to it, its command, and by how many purchases it may change what is published."""

    prepare: Callable[[Platform, int], None]
    command: Callable[[], tuple[str, ...]]
    changes: set[int]
    kills: int
    end: Callable[[], None] = lambda: None


def day_of(number: int) -> date:
    return START + number % len(SHOP_DAYS) * ONE_DAY


def correct(shop: Platform, number: int) -> None:
    """A correction waits."""
    add_purchases(shop.landing, day_of(number), purchase(day_of(number), f"{number}.00"))


def mend(shop: Platform, number: int) -> None:
    """A row in quarantine has got an override. It comes in a file of its own, among enough good ones."""
    wrong, right = (purchase(day_of(number), f"{number}.00", count=count) for count in (-1, 1))
    good = [purchase(day_of(number), f"{number}.{cents}") for cents in range(10, 19)]
    file = shop.landing / "shop" / "purchases" / f"till-{number}.txt"
    file.write_bytes(b"".join([HEADERS["purchases"].encode() + b"\r\n", *good, wrong]))
    orchestrate.run_all(None)
    with transaction() as connection:
        (row,) = [r for r in find_rows(connection, dataset="purchases") if r.text() == wrong.decode().strip("\r\n")]
        write_fixes(connection, [Fix(row, right.decode().strip("\r\n"))], "a test's")


def publish(shop: Platform, number: int) -> None:
    """A correction is published."""
    correct(shop, number)
    orchestrate.run_all(None)


def rollback() -> tuple[str, ...]:
    return "rollback", str(newest_publication()), "--reason", "a test's"


def let_in_again() -> None:
    """Ends a rollback, if it had come to that."""
    with transaction() as connection:
        for publication in query(connection, "select publication_id from ops.rollbacks where released_at is null"):
            release(connection, publication["publication_id"])
    orchestrate.run_all(None)


WORKS = {
    "run": Work(correct, lambda: ("run",), {1}, KILLS - 2 * (KILLS // 3)),
    "replay": Work(mend, lambda: ("run",), {1}, KILLS // 3),
    # Before it is decided nothing has happened; afterwards the next run takes it to its end.
    "rollback": Work(publish, rollback, {0, -1}, KILLS // 3, let_in_again),
}


def purchases() -> int:
    return len(published()["raw.purchases"])


@pytest.mark.parametrize("work", WORKS.values(), ids=WORKS)
def test_a_kill_at_any_point_then_one_run_reaches_the_clean_state(shop: Platform, work: Work) -> None:
    said, log_of_points = shop.home / "said", shop.home / "points"
    work.prepare(shop, 1)
    assert run_forked(run_to, 0, log_of_points, dp, *work.command(), said=said) == 0, said.read_text()
    work.end()
    points = log_of_points.read_text().splitlines()
    assert len(points) > 50
    with polling() as seen:
        for at in range(work.kills):
            point = 1 + (2 * at + 1) * len(points) // (2 * work.kills)
            work.prepare(shop, 2 + at)
            before = purchases()
            ended = run_forked(run_to, point, shop.home / "log", dp, *work.command(), said=said)
            assert ended == KILLED, said.read_text()
            assert run_forked(dp, "run", said=said) == 0, said.read_text()
            assert [s for s in stale() if is_work(s)] == [], points[point]
            assert purchases() - before in work.changes, points[point]
            work.end()
    assert seen.mixed == []
    assert len(seen.publications) > work.kills / 2
    log.info("%d points of %d, %d snapshots, none mixed", work.kills, len(points), seen.snapshots)
    state = published(), write_counts()
    orchestrate.run_all(Interval(START, END), rebuild=True)
    assert (published(), write_counts()) == state


@pytest.mark.skipif(not SERVER_KILLS, reason="servers are killed by `make test-faults`")
@pytest.mark.parametrize("server", ["postgres", "spark"])
def test_a_server_that_is_killed_at_any_time_fails_the_run_that_the_next_one_ends(
    shop: Platform, postgres: EmbeddedPostgres, spark_server: Component, server: str
) -> None:
    end_spark_session()  # it would try for long to say good-bye to a server that is gone
    said = shop.home / "said"
    correct(shop, 1)
    started = time.monotonic()
    assert run_forked(dp, "run", said=said) == 0, said.read_text()
    seconds = time.monotonic() - started
    with polling() as seen:
        for at in range(SERVER_KILLS):
            before = purchases()
            correct(shop, 2 + at)
            running = start_forked(dp, "run", said=said)
            time.sleep(seconds * (2 * at + 1) / (2 * SERVER_KILLS))
            if server == "postgres":
                signal_all(postgres.processes(), signal.SIGKILL)
                running.join()
                postgres.start()
            else:
                signal_all(spark_server.pids(), signal.SIGKILL)
                running.join()
                start_spark(spark_server)
            assert running.exitcode in {0, TransientFailure.exit_code}, said.read_text()
            assert run_forked(dp, "run", said=said) == 0, said.read_text()
            assert [s for s in stale() if is_work(s)] == []
            assert purchases() == before + 1
    assert seen.mixed == []
    log.info("%s killed %d times, %d snapshots, none mixed", server, SERVER_KILLS, seen.snapshots)
