"""A gate that fails because of some input changes holds these back, and the rest of the run is published."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from data_platform import orchestrate, staleness
from data_platform.cli import runs as commands
from data_platform.contracts.load import get_contracts
from data_platform.culprits import _units
from data_platform.failures import GateFailure, PermanentFailure
from data_platform.gates import results
from data_platform.input_changes import InputChange
from data_platform.intervals import ONE_DAY, Interval
from data_platform.rollback import roll_back
from data_platform.staleness import is_work
from data_platform.steps import perform
from data_platform.warehouse.connection import transaction
from tests.conftest import Platform
from tests.contracts import change_contract
from tests.integration.rejections.conftest import (
    BAD,
    DUE,
    GOOD,
    LAST,
    add_foreign_key,
    add_rule,
    amounts,
    correct,
    held,
    land,
    land_a_new_customer,
    land_customers_of_france,
    remembered,
    schemas,
    sell_to_the_new_customer,
    speaks_through,
)
from tests.landing import purchase
from tests.state import newest_publication, published, stale

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("spark_server")]


def test_one_change_is_held_back_and_the_others_are_published(shop: Platform) -> None:
    correct(shop, usd_666=BAD, usd_1_25=GOOD)
    opened = orchestrate.run_all(None)
    assert opened.run
    assert "1.25" in amounts()
    assert "666.00" not in amounts()
    assert held().keys() == {str(BAD)}
    assert "rejected by the gate after stage of run " in held()[str(BAD)]
    assert "purchases, rule never_so_much: observed 1 of" in held()[str(BAD)]
    assert not [s for s in stale() if is_work(s)]
    with pytest.raises(PermanentFailure, match=f"purchases of {BAD}: rejected by the gate after stage"):
        commands.report(opened.run.run_id)
    with transaction() as connection:
        evidence = {r["rule_id"]: r for r in results.read(connection, remembered()[0]["evidence"]) if not r["passed"]}
        assert results.last_checked_run(connection) == opened.run.run_id
    assert float(evidence["never_so_much"]["examples"][0]["amount_usd"]) == 666
    assert schemas() == set()

    before = newest_publication()
    assert orchestrate.run_all(None).run is None, "what is rejected is no work"
    assert newest_publication() == before

    land(shop, BAD, purchase(BAD, "3.75"))
    orchestrate.run_all(None)
    assert (stale(), remembered()) == ([], [])
    assert amounts() >= {"1.25", "3.75"}


def test_a_run_with_nothing_else_to_publish_fails_as_a_whole_and_remembers_nothing(shop: Platform) -> None:
    before, last = published(), newest_publication()
    correct(shop, usd_666=BAD)
    with pytest.raises(GateFailure, match="the gate after stage stops run"):
        orchestrate.run_all(None)
    assert (published(), newest_publication(), remembered()) == (before, last, [])
    assert str(BAD) in {s.what for s in stale() if is_work(s)}


def test_a_rule_that_no_change_keeps_rejects_none(shop: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    add_rule(monkeypatch, "fct_purchases", "no_such_thing", "no_such_column = 1")
    correct(shop, usd_1_25=BAD, usd_2_25=GOOD)
    with pytest.raises(GateFailure, match="could not be evaluated"):
        orchestrate.run_all(None)
    assert remembered() == []


def test_a_night_without_its_day_publishes_the_rest_is_red_and_opens_again(shop: Platform, day_after: date) -> None:
    correct(shop, usd_1_25=GOOD)
    land(shop, day_after, purchase(day_after, "666"))
    night = orchestrate.run_all(Interval.of_day(day_after), kind=staleness.NIGHT)
    assert night.run
    assert speaks_through() == LAST, "no table speaks of a day whose purchases are not there"
    assert amounts() >= {"1.25"}
    with pytest.raises(PermanentFailure, match=f"purchases of {day_after}: rejected"):
        commands.report(night.run.run_id)
    again = orchestrate.open_work(Interval.of_day(day_after), kind=staleness.NIGHT, unless_done=True)
    assert again.run, "a night whose day waits is not done"

    land(shop, day_after, purchase(day_after, "6.66"))
    orchestrate.run_all(Interval.of_day(day_after), kind=staleness.NIGHT)
    assert speaks_through() == day_after
    assert stale() == []


def test_a_bad_file_of_another_dataset_does_not_keep_the_day_from_being_published(
    shop: Platform, day_after: date, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_rule(monkeypatch, "customers", "nobody_is_called_so", "country = 'FR'")
    land_customers_of_france(shop, day_after)
    land(shop, day_after, purchase(day_after, "5.25"))
    orchestrate.run_all(Interval.of_day(day_after), kind=staleness.NIGHT)
    assert speaks_through() == day_after
    assert amounts() >= {"5.25"}
    assert [r["dataset"] for r in remembered()] == ["customers"]


def test_what_waits_for_a_rejected_day_is_not_judged(
    shop: Platform, day_after: date, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day's purchases are bad, and so is its extract of customers: only what was tried by itself is rejected."""
    add_rule(monkeypatch, "customers", "nobody_is_called_so", "country = 'FR'")
    land_customers_of_france(shop, day_after)
    land(shop, day_after, purchase(day_after, "666"))
    correct(shop, usd_1_25=GOOD)
    orchestrate.run_all(None)
    assert [(r["dataset"], r["day"]) for r in remembered()] == [("purchases", day_after)]
    assert speaks_through() == LAST
    assert amounts() >= {"1.25"}


def test_a_change_of_two_days_is_held_back_and_tried_again_as_one(shop: Platform) -> None:
    both = [BAD, BAD + ONE_DAY]
    land(shop, "together", purchase(both[0], "666"), purchase(both[1], "8.75"))
    correct(shop, usd_1_25=GOOD)
    orchestrate.run_all(None)
    assert held().keys() == set(map(str, both))
    assert "8.75" not in amounts(), "half of a change is not published"
    correct(shop, usd_2_25=both[1])
    opened = orchestrate.open_work(None)
    assert opened.run
    perform(opened.run.run_id, "ingest")
    assert {s.what for s in stale() if is_work(s)} == set(map(str, both))
    assert held() == {}


def test_the_gate_after_build_rejects_too_and_not_what_needs_another_change(
    shop: Platform, day_after: date, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A correction breaks a rule about a mart; the due day's purchases keep one only beside the due day's extract."""
    unknown = "customer_id not in (select customer_id from dim_customers_current)"
    add_rule(monkeypatch, "fct_purchases", "sold_to_someone_known", f"amount_usd = 777 or {unknown}")
    land_a_new_customer(shop, day_after)
    land(shop, day_after, purchase(day_after, "5.25").replace(b"00001", b"99999"))
    correct(shop, usd_777=BAD)
    orchestrate.run_all(Interval.of_day(day_after), kind=staleness.NIGHT)
    assert "5.25" in amounts("marts.fct_purchases")
    assert held().keys() == {str(BAD)}, "the publication of the run itself changes nothing"
    assert "rejected by the gate after build" in held()[str(BAD)]


def test_what_a_foreign_key_points_to_is_tried_before_what_points_to_it(
    shop: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest change needs an older one of another dataset; nothing here must come daily."""
    change_contract(monkeypatch, "purchases", missing_day="empty")
    add_foreign_key(monkeypatch, "purchases", "customer_id", "customers.customer_id")
    land_a_new_customer(shop)
    sell_to_the_new_customer(shop, "3.25", LAST)
    correct(shop, usd_666=BAD)
    orchestrate.run_all(None)
    assert [(r["dataset"], r["day"]) for r in remembered()] == [("purchases", BAD)]
    assert amounts() >= {"3.25"}
    assert "666.00" not in amounts()


def test_a_due_day_that_needs_an_extract_of_its_own_is_published_beside_it(
    shop: Platform, day_after: date, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its purchases are by a new customer, and something else that came is bad."""
    add_foreign_key(monkeypatch, "purchases", "customer_id", "customers.customer_id")
    add_rule(monkeypatch, "customers", "none_of_that_day", f"extract_day = date '{GOOD}'")
    land_customers_of_france(shop, GOOD)
    land_a_new_customer(shop, day_after)
    land(shop, day_after, purchase(day_after, "5.25").replace(b"00001", b"99999"))
    orchestrate.run_all(Interval.of_day(day_after), kind=staleness.NIGHT)
    assert speaks_through() == day_after
    assert amounts() >= {"5.25"}
    assert [(r["dataset"], r["day"]) for r in remembered()] == [("customers", GOOD)]


def test_a_due_day_is_tried_again_as_soon_as_what_it_needs_has_come(
    shop: Platform, day_after: date, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_foreign_key(monkeypatch, "purchases", "customer_id", "customers.customer_id")
    land(shop, day_after, purchase(day_after, "5.25").replace(b"00001", b"99999"))
    correct(shop, usd_1_25=GOOD)
    orchestrate.run_all(Interval.of_day(day_after), kind=staleness.NIGHT)
    assert (held().keys(), speaks_through()) == ({str(day_after)}, LAST)
    land_a_new_customer(shop, day_after)
    orchestrate.run_all(None)
    assert (stale(), speaks_through()) == ([], day_after)
    assert amounts() >= {"5.25"}


def test_a_deploy_is_published_though_all_that_came_is_rejected(
    shop: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_rule(monkeypatch, "dim_customers_current", "someone", "customer_id is null")
    correct(shop, usd_666=BAD)
    orchestrate.run_all(None)
    assert [s for s in stale() if is_work(s)] == []
    assert held().keys() == {str(BAD)}


def test_a_rollback_is_not_split(shop: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    correct(shop, usd_1_25=BAD)
    orchestrate.run_all(None)
    undone = newest_publication()
    correct(shop, usd_2_25=GOOD)
    add_rule(monkeypatch, "purchases", "stays", "not exists (select from raw.purchases where amount_usd = 9999)")
    with pytest.raises(GateFailure, match="rule stays"):
        roll_back(undone, "a test")
    assert remembered() == []


def test_new_days_of_datasets_that_must_come_daily_are_tried_together(
    shop: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_contract(monkeypatch, "customers", missing_day="error")
    new, other = DUE, DUE + timedelta(days=3)
    changes = [
        InputChange("purchases", frozenset({BAD}), 0),
        InputChange("customers", frozenset({new}), 0),
        InputChange("purchases", frozenset({other}), 0),
        InputChange("purchases", frozenset({new}), 0),
    ]
    required, optional = _units(changes, get_contracts()._by_dataset, LAST)
    assert optional == []
    assert {frozenset(unit) for unit in required} == {
        frozenset({changes[1], changes[3]}),
        frozenset({changes[2]}),
        frozenset({changes[0]}),
    }
