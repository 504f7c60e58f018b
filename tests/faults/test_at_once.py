"""Runs at the same time: nobody waits for ever, nothing is lost, and what one has read may not move under it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from data_platform import orchestrate
from data_platform.intervals import ONE_DAY
from data_platform.local.postgres import EmbeddedPostgres
from data_platform.publish import Moved
from data_platform.runs import STEPS
from data_platform.staleness import is_work
from data_platform.steps import perform
from tests.conftest import SHOP_DAYS, Platform, make_platform
from tests.faults.polling import polling
from tests.forked import dp, start_forked
from tests.landing import add_purchases, purchase
from tests.state import Rows, published, stale

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("spark_server"), pytest.mark.no_cover]
START, END = SHOP_DAYS.start, SHOP_DAYS.end
MIDDLE = START + len(SHOP_DAYS) // 2 * ONE_DAY
WAIT_S = 300
Build = Callable[[], dict[str, Rows]]


@pytest.fixture
def build_clean(shop: Platform, postgres: EmbeddedPostgres, tmp_path: Path) -> Build:
    """Makes what one run makes of the files that have landed."""

    def build() -> dict[str, Rows]:
        found: dict[str, Rows] = {}
        with pytest.MonkeyPatch.context() as patch:
            for other in make_platform(postgres, tmp_path / "clean", patch, today=END):
                shutil.copytree(shop.landing, other.landing)
                orchestrate.run_all(None)
                found = published()
        return found

    return build


def add_purchase(shop: Platform, number: int) -> None:
    """A day of that number comes again."""
    day = START + number * ONE_DAY
    add_purchases(shop.landing, day, purchase(day, f"{number}.00"))


def test_overlapping_backfills_and_a_night_end_in_the_state_of_one_run(shop: Platform, build_clean: Build) -> None:
    for number in range(3, 10):
        add_purchase(shop, number)
    commands = [
        ("backfill", str(START), str(MIDDLE + 2 * ONE_DAY), "--reason", "one", "--rebuild"),
        ("backfill", str(MIDDLE - 2 * ONE_DAY), str(END), "--reason", "other", "--rebuild"),
        ("run",),
    ]
    with polling() as seen:
        running = [start_forked(dp, *command, said=shop.home / f"said-{n}") for n, command in enumerate(commands)]
        for n, process in enumerate(running):
            process.join(WAIT_S)
            said = (shop.home / f"said-{n}").read_text()
            assert process.exitcode in {0, Moved.exit_code}, said
            assert "deadlock" not in said
        orchestrate.run_all(None)
    assert [s for s in stale() if is_work(s)] == []
    assert seen.mixed == []
    assert published() == build_clean()


def test_a_run_is_not_published_over_what_another_made_of_the_same_customer(shop: Platform, build_clean: Build) -> None:
    """Write skew: two corrections of days of their own, each built on features that do not know of the other."""
    add_purchase(shop, 3)
    slow = orchestrate.open_work(None).run
    assert slow is not None
    for step in STEPS[1 : STEPS.index("publish")]:
        perform(slow.run_id, step)
    add_purchase(shop, 8)
    orchestrate.run_all(None)
    with pytest.raises(Moved):
        perform(slow.run_id, "publish")
    orchestrate.take_step(slow.run_id, "publish")
    assert published() == build_clean(), "made again on what is there now"
