"""Ranges of days done again chunk by chunk, nights within their budget, and what both would cost."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from data_platform import backfill as backfills
from data_platform import orchestrate, staleness, work
from data_platform.backfill import open_backfill, run_backfill
from data_platform.contracts.load import get_contracts
from data_platform.costs import Cost
from data_platform.failures import BudgetFailure, PermanentFailure
from data_platform.intervals import ONE_DAY, Interval
from data_platform.local.postgres import EmbeddedPostgres
from data_platform.plan import plan_work
from data_platform.steps import perform
from data_platform.warehouse.connection import execute, query, transaction
from sample_company.small import land_small_shop
from tests.conftest import SHOP_DAYS, Platform, make_platform
from tests.landing import add_purchases, purchase
from tests.state import newest_publication, published, stale, write_counts

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("spark_server")]
START, END = SHOP_DAYS.start, SHOP_DAYS.end
LAST = END - ONE_DAY


def correct(shop: Platform, *days: date) -> None:
    """These days come again, each with a purchase more."""
    for day in days:
        add_purchases(shop.landing, day, purchase(day, f"{day.day}.25"))


def opened(days: Interval, chunk_days: int, *, rebuild: bool = False) -> backfills.Backfill:
    with transaction() as connection:
        return open_backfill(connection, days, chunk_days=chunk_days, datasets=(), reason="a test", rebuild=rebuild)


def stale_days() -> set[str]:
    return {s.what for s in stale()}


def test_chunks_end_in_the_state_of_one_pass(
    shop: Platform, tmp_path: Path, postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_one_pass = published()
    for other in make_platform(postgres, tmp_path / "other", monkeypatch, today=END):
        land_small_shop(other.landing, customers=30, days=len(SHOP_DAYS), start=START)
        runs = run_backfill(opened(Interval(START, END), 5))
        assert len(set(runs)) == 3
        assert published() == in_one_pass
        assert stale() == []


def test_a_backfill_takes_its_days_and_leaves_the_rest_stale(shop: Platform) -> None:
    asked, other = START + 2 * ONE_DAY, START + 6 * ONE_DAY
    correct(shop, asked, other)
    orchestrate.open_work(None)
    run_backfill(opened(Interval.of_day(asked), 1))
    assert stale_days() == {str(other)}


def test_a_change_is_published_whole_though_a_chunk_asks_for_a_part_of_it(shop: Platform) -> None:
    merged = shop.landing / "shop" / "purchases" / "together.txt"
    days = [START + n * ONE_DAY for n in (1, 2, 3)]
    merged.write_bytes(
        b" customer_id date number_of_cds dollar_value\r\n"
        + b"".join(f" 00001 {day:%Y%m%d}  1   9.99\r\n".encode() for day in days)
    )
    run_backfill(opened(Interval.of_day(days[1]), 1))
    assert stale_days() == set()
    assert str(published()["raw.purchases"]).count("Decimal('9.99')") == 3


def test_a_backfill_that_stopped_goes_on_with_the_chunk_that_was_not_done(shop: Platform) -> None:
    missing = START + 7 * ONE_DAY
    file = shop.landing / "shop" / "purchases" / f"{missing}.txt"
    kept = file.read_bytes()
    with transaction() as connection:
        connection.cursor().execute(
            "insert into ops.withdrawals (file_id, arrived_at, reason)"
            " select file_id, now(), 'a test' from ops.files where path like %s",
            (f"%{missing}.txt",),
        )
    file.unlink()
    with pytest.raises(PermanentFailure, match=f"purchases has no rows for {missing}"):
        run_backfill(opened(Interval(START, END), 3))
    again = opened(Interval(START, END), 3)
    assert again.resumed
    assert [chunk.days.start for chunk in again.left] == [START + 6 * ONE_DAY, START + 9 * ONE_DAY]
    file.write_bytes(kept)
    assert len(run_backfill(again)) == 2
    assert not opened(Interval(START, END), 3).resumed


def test_a_backfill_stops_between_chunks_when_its_time_is_used_up(shop: Platform) -> None:
    days = Interval(START, START + 2 * ONE_DAY)
    with pytest.raises(BudgetFailure, match="2 of 2 chunks are left, the next from 1998-01-05"):
        run_backfill(opened(days, 1), budget_minutes=-1)
    assert len(opened(days, 1).left) == 2


def test_a_night_takes_the_due_day_first_and_leaves_what_it_has_no_time_for(
    shop: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    older, newer = START + ONE_DAY, START + 4 * ONE_DAY
    correct(shop, older, newer, LAST)
    no_time = {"publish": Cost(0, 1e9)}
    monkeypatch.setattr(work, "learn_costs", lambda _connection: no_time)
    orchestrate.run_all(Interval.of_day(LAST), kind=staleness.NIGHT)
    assert stale_days() == {str(older)}, "the due day and the newest change are done"
    orchestrate.run_all(Interval.of_day(LAST), kind=staleness.NIGHT)
    assert stale() == []


@pytest.mark.parametrize("rebuild", [False, True])
def test_the_days_again_without_a_difference_touch_no_table(shop: Platform, rebuild: bool) -> None:
    before, counts, publication = published(), write_counts(), newest_publication()
    run_backfill(opened(Interval(START, END), 6, rebuild=rebuild))
    assert (published(), write_counts()) == (before, counts)
    with transaction() as connection:
        written = query(
            connection,
            "select sum(inserted + updated + deleted) as n from ops.publication_tables where publication_id > %s",
            (publication,),
        )
    assert not written[0]["n"]


def test_a_mart_that_was_changed_by_hand_is_mended_on_demand(shop: Platform) -> None:
    before = published()
    with transaction() as connection:
        execute(
            connection, "update marts.fct_purchases set amount_usd = amount_usd + 1 where purchased_on = %s", (START,)
        )
    orchestrate.run_all(Interval(START, END))
    assert published() != before, "what a day is made of is as it was"
    orchestrate.run_all(Interval(START, END), rebuild=True)
    assert published() == before


def test_a_plan_tells_what_the_run_then_does_and_writes_nothing(shop: Platform) -> None:
    days = [START + ONE_DAY, START + 4 * ONE_DAY]
    correct(shop, *days)
    with transaction() as connection:
        before = query(connection, "select count(*) as files, max(discovered_at) as newest from ops.files")
    unread = {table.table: table for table in plan_work(None).tables}
    with transaction() as connection:
        assert query(connection, "select count(*) as files, max(discovered_at) as newest from ops.files") == before
    purchases = unread["raw.purchases"]
    assert (purchases.files, unread["raw.customers"].files) == (2, 0)
    assert purchases.rows == pytest.approx(40, rel=0.5)
    run = orchestrate.open_work(None).run
    assert run is not None
    perform(run.run_id, "ingest")
    planned = plan_work(None)
    tables = {table.table: table for table in planned.tables}
    assert tables["raw.purchases"].days == 2
    assert tables["marts.fct_purchases"].days == 2
    assert tables["features.ftr_customer__purchases"].days is None, "its units are customers"
    assert planned.seconds is not None
    assert planned.seconds > 0
    perform(run.run_id, "stage")
    with transaction() as connection:
        (staged,) = query(
            connection,
            "select rows_read from ops.run_steps where (run_id, step, subject) = (%s, 'stage', 'purchases')",
            (run.run_id,),
        )
    assert tables["raw.purchases"].rows == staged["rows_read"]
    assert set(tables) == {c.table for c in get_contracts()}
