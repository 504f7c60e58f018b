"""What is rejected stays held back, as one, for as long as what was judged is the same."""

from __future__ import annotations

from datetime import date

import pytest
from typer.testing import CliRunner

from data_platform import orchestrate, staleness
from data_platform.backfill import Backfill, open_backfill, run_backfill
from data_platform.cli.main import build_app
from data_platform.contracts.load import get_contracts
from data_platform.failures import GateFailure
from data_platform.intervals import ONE_DAY, Interval
from data_platform.rejections import forget
from data_platform.runs import STEPS
from data_platform.staleness import is_work
from data_platform.warehouse.connection import execute, transaction
from tests.conftest import Platform
from tests.contracts import change_contract
from tests.integration.rejections.conftest import (
    BAD,
    DUE,
    GOOD,
    LAST,
    START,
    add_foreign_key,
    amounts,
    correct,
    held,
    land,
    land_a_new_customer,
    reject_by_hand,
    remembered,
    sell_to_the_new_customer,
    speaks_through,
)
from tests.landing import purchase
from tests.state import stale

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("spark_server")]


def test_the_next_night_goes_on_without_the_day_that_is_held_back(
    shop: Platform, day_after: date, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(shop, day_after, purchase(day_after, "8.75"))
    reject_by_hand(day_after)
    monkeypatch.setattr(orchestrate, "business_date", lambda: day_after + 2 * ONE_DAY)
    land(shop, day_after + ONE_DAY, purchase(day_after + ONE_DAY, "4.75"))
    orchestrate.run_all(Interval.of_day(day_after + ONE_DAY), kind=staleness.NIGHT)
    assert speaks_through() == day_after + ONE_DAY
    assert held().keys() >= {str(day_after)}
    assert amounts() >= {"4.75"}
    assert "8.75" not in amounts()


def test_a_verdict_after_build_lapses_with_what_another_run_publishes(shop: Platform) -> None:
    correct(shop, usd_3_25=BAD)
    reject_by_hand(BAD, gate="build")
    assert held().keys() == {str(BAD)}
    correct(shop, usd_2_25=GOOD)
    orchestrate.run_all(None)
    assert (amounts() >= {"2.25"}, amounts() >= {"3.25"}) == (True, False)
    assert [s.what for s in stale() if is_work(s)] == [str(BAD)]


def test_what_was_judged_together_stands_together(shop: Platform) -> None:
    both = [BAD, BAD + ONE_DAY]
    file = land(shop, "together", purchase(both[0], "8.75"), purchase(both[1], "9.75"))
    reject_by_hand(*both)
    assert held().keys() == set(map(str, both))
    with transaction() as connection:
        execute(
            connection,
            "insert into ops.withdrawals (file_id, arrived_at, reason)"
            " select file_id, now(), 'a test' from ops.files where path like '%together.txt'",
        )
    file.unlink()
    land(shop, "first", purchase(both[0], "8.50"))
    land(shop, "second", purchase(both[1], "9.75"))
    orchestrate.run_all(None)
    assert stale() == []
    assert amounts() >= {"8.50", "9.75"}


def test_a_run_speaks_again_of_a_day_that_is_rejected_no_more(shop: Platform, day_after: date) -> None:
    correct(shop, usd_1_25=GOOD)
    land(shop, day_after, purchase(day_after, "8.75"))
    reject_by_hand(day_after)
    night = orchestrate.open_work(Interval.of_day(day_after), kind=staleness.NIGHT).run
    assert night
    orchestrate.take_steps(night.run_id, STEPS[1:-2])
    with transaction() as connection:
        assert orchestrate.get_run(connection, night.run_id).through_day == LAST
        forget(connection, "purchases")
    orchestrate.take_steps(night.run_id, STEPS[3:])
    assert speaks_through() == day_after
    assert amounts() >= {"8.75"}


def test_a_change_that_reaches_into_a_rejected_day_is_not_cut(
    shop: Platform, day_after: date, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Purchases are optional here, and customers come daily: one file holds the last day and the rejected one."""
    change_contract(monkeypatch, "purchases", missing_day="empty")
    change_contract(monkeypatch, "customers", missing_day="error")
    folder = shop.landing / "shop/customers"
    extract = (folder / f"{START}.csv").read_text()
    (folder / f"{LAST}.csv").write_text(extract)
    (folder / f"{day_after}.csv").write_text(extract)
    land(shop, "together", purchase(LAST, "8.75"), purchase(day_after, "9.75"))
    reject_by_hand(day_after, dataset="customers")
    orchestrate.run_all(None)
    assert speaks_through() == LAST
    assert not amounts() & {"8.75", "9.75"}


def test_a_verdict_lapses_with_the_contract_and_on_demand(shop: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    correct(shop, usd_666=BAD)
    reject_by_hand(BAD)
    before = get_contracts()["purchases"]
    change_contract(monkeypatch, "purchases", quality=before.quality[:-1])
    assert held() == {}
    change_contract(monkeypatch, "purchases", quality=before.quality)
    assert held().keys() == {str(BAD)}
    told = CliRunner().invoke(build_app(), ["gate", "retry", "--dataset", "purchases"])
    assert "1 day will be tried again" in told.stdout
    assert held() == {}


def test_a_verdict_after_stage_lapses_with_what_a_broken_foreign_key_points_to(
    shop: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What broke another rule stays rejected."""
    add_foreign_key(monkeypatch, "purchases", "customer_id", "customers.customer_id")
    sell_to_the_new_customer(shop, "3.25", GOOD)
    correct(shop, usd_2_25=START, usd_666=BAD)
    orchestrate.run_all(None)
    assert held().keys() == {str(GOOD), str(BAD)}
    assert "rule customer_id.stands_in_customers: observed 1 of" in held()[str(GOOD)]
    assert amounts() >= {"2.25"}
    land_a_new_customer(shop)
    orchestrate.run_all(None)
    assert amounts() >= {"3.25"}
    assert ([s for s in stale() if is_work(s)], held().keys()) == ([], {str(BAD)})


def test_what_is_published_is_no_more_rejected(shop: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    correct(shop, usd_3_25=BAD)
    reject_by_hand(BAD)
    change_contract(monkeypatch, "purchases", quality=())
    orchestrate.run_all(None)
    assert amounts() >= {"3.25"}
    assert (stale(), remembered()) == ([], [])


def test_a_backfill_leaves_the_chunk_of_a_rejected_day_undone(shop: Platform) -> None:
    correct(shop, usd_3_25=BAD, usd_1_25=BAD + ONE_DAY, usd_2_25=GOOD + 3 * ONE_DAY)
    reject_by_hand(BAD)
    days = Interval(START, START + 8 * ONE_DAY)

    def opened() -> Backfill:
        with transaction() as connection:
            return open_backfill(connection, days, chunk_days=4, datasets=(), reason="a test")

    with pytest.raises(GateFailure, match=f"(?s)these days, and their chunks are left.*purchases of {BAD}: rejected"):
        run_backfill(opened())
    assert amounts() >= {"1.25", "2.25"}, "all else is published"
    again = opened()
    assert again.resumed
    assert [chunk.days.start for chunk in again.left] == [START]
    with transaction() as connection:
        forget(connection, "purchases")
    run_backfill(again)
    assert not opened().resumed


def test_days_done_again_on_demand_leave_out_what_is_rejected(shop: Platform) -> None:
    correct(shop, usd_3_25=BAD, usd_1_25=GOOD)
    reject_by_hand(BAD)
    orchestrate.run_all(Interval(START, DUE), rebuild=True)
    assert "1.25" in amounts()
    assert "3.25" not in amounts()
    assert held().keys() == {str(BAD)}
