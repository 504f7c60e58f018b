"""A run that is killed anywhere: readers see the state before it or the one after it, and one run ends the work.

`make test-faults` tries `DP_KILLS=200` points instead of a few.
"""

from __future__ import annotations

import logging
import os

import pytest

from data_platform import orchestrate
from data_platform.intervals import ONE_DAY, Interval
from data_platform.staleness import is_work
from tests.conftest import SHOP_DAYS, Platform
from tests.faults.kill_points import run_to
from tests.faults.polling import polling
from tests.forked import dp, run_forked
from tests.state import published, stale, write_counts

log = logging.getLogger(__name__)
pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("spark_server"), pytest.mark.no_cover]
START, END = SHOP_DAYS.start, SHOP_DAYS.end
KILLED = -9
KILLS = int(os.environ.get("DP_KILLS", "4"))


def correct(shop: Platform, number: int) -> None:
    """One of the shop's days comes again, with a purchase more."""
    day = START + number % len(SHOP_DAYS) * ONE_DAY
    file = shop.landing / "shop" / "purchases" / f"{day}.txt"
    with file.open("ab") as stream:
        stream.write(f" 00001 {day:%Y%m%d}  1   {number}.00\r\n".encode())


def points_of_a_run(shop: Platform) -> list[str]:
    """What a run of one corrected day changes, in order."""
    log = shop.home / "points"
    correct(shop, 1)
    assert run_forked(run_to, 0, log, dp, "run", said=shop.home / "said") == 0, (shop.home / "said").read_text()
    return log.read_text().splitlines()


def test_a_kill_at_any_point_then_one_run_reaches_the_clean_state(shop: Platform) -> None:
    points = points_of_a_run(shop)
    assert len(points) > 100
    before = published()
    with polling() as seen:
        for at in range(KILLS):
            point = 1 + (2 * at + 1) * len(points) // (2 * KILLS)
            correct(shop, 2 + at)
            ended = run_forked(run_to, point, shop.home / "log", dp, "run", said=shop.home / "said")
            assert ended == KILLED, (shop.home / "said").read_text()
            assert run_forked(dp, "run", said=shop.home / "said") == 0, (shop.home / "said").read_text()
            assert [s for s in stale() if is_work(s)] == [], points[point]
            after = published()
            assert len(after["raw.purchases"]) == len(before["raw.purchases"]) + 1, points[point]
            before = after
    assert seen.mixed == []
    assert len(seen.publications) > KILLS / 2
    log.info("%d points of %d, %d snapshots, none mixed", KILLS, len(points), seen.snapshots)
    counts = write_counts()
    orchestrate.run_all(Interval(START, END))
    assert (published(), write_counts()) == (before, counts)
