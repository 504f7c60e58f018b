"""Sorting what passes a gate from what does not, by trying parts of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from math import ceil, log2
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_platform.culprits import _units
from data_platform.input_changes import InputChange
from data_platform.sifting import Search, Unit, newest, sift

FIRST = date(1998, 6, 1)
LAST = date(1998, 6, 29)  # that is published


@given(st.integers(1, 60), st.data())
def test_all_but_the_culprits_is_kept_after_few_trials(size: int, data: st.DataObject) -> None:
    culprits = data.draw(st.sets(st.integers(0, size - 1)))
    trials = []

    def passes(tried: Sequence[int]) -> bool:
        trials.append(list(tried))
        return culprits.isdisjoint(tried)

    kept: list[int] = []
    rejected: dict[int, tuple[int, ...]] = {}
    sift(range(size), passes, kept, rejected)
    assert set(kept) == set(range(size)) - culprits
    assert set(rejected) == culprits
    assert len(trials) <= 1 + 2 * len(culprits) * max(1, ceil(log2(size)))


@given(st.integers(1, 20), st.sets(st.frozensets(st.integers(0, 19), min_size=1, max_size=3), max_size=6))
def test_what_is_kept_has_passed_together_and_what_is_refused_has_failed_by_itself(
    size: int, clashes: set[frozenset[int]]
) -> None:
    """Also where changes fail only beside certain others."""
    passed, failed = [], []

    def passes(tried: Sequence[int]) -> bool:
        is_good = not any(clash <= set(tried) for clash in clashes)
        (passed if is_good else failed).append(list(tried))
        return is_good

    kept: list[int] = []
    rejected: dict[int, tuple[int, ...]] = {}
    sift(range(size), passes, kept, rejected)
    assert sorted([*kept, *rejected]) == list(range(size))
    assert not kept or passed[-1] == kept
    for culprit, beside in rejected.items():
        assert [*beside, culprit] in failed
        assert set(beside) <= set(kept)


@dataclass(frozen=True)
class Pointing:
    """As much of a contract as the order of trials depends on."""

    dataset: str
    refers_to: frozenset[str]
    missing_day: str


def contracts(daily: Collection[str] = (), **points_to: Collection[str]) -> Any:
    return {
        name: Pointing(name, frozenset(ends), "error" if name in daily else "empty") for name, ends in points_to.items()
    }


@dataclass
class Shop:
    """A gate that fails for what is bad, and for what points to rows that are not there."""

    contracts: Mapping[str, Any]
    bad: Collection[InputChange] = ()
    needs: Mapping[InputChange, Collection[InputChange]] = field(default_factory=dict)
    through: date = LAST
    trials: list[tuple[Unit, ...]] = field(default_factory=list)

    def passes(self, units: Sequence[Unit]) -> bool:
        tried = [change for unit in units for change in unit]
        daily = [c.newest for c in tried if self.contracts[c.dataset].missing_day == "error"]
        spoken = max((LAST, *daily))
        assert all(change.newest <= spoken for change in tried), "no run stages a day that it does not speak of"
        self.trials.append(tuple(units))
        is_good = all(c not in self.bad and set(self.needs.get(c, ())) <= set(tried) for c in tried)
        if is_good:
            self.through = spoken
        return is_good

    def search(self, changes: Sequence[InputChange]) -> Search:
        required, optional = _units(changes, self.contracts, LAST)
        search = Search(required, optional, self.passes, lambda: self.through, self.contracts)
        search.run()
        for unit, beside in search.rejected.items():
            assert (*beside, unit) in self.trials, "what it was rejected for has been tried"
        return search

    def rejected(self, *changes: InputChange) -> set[InputChange]:
        return {change for unit in self.search(changes).rejected for change in unit}


def change(dataset: str, day: int) -> InputChange:
    """Of a day in June, the 30th of which nothing published speaks of yet."""
    return InputChange(dataset, frozenset({FIRST + timedelta(days=day - 1)}), 1)


@pytest.mark.parametrize("daily", [(), ("purchases",), ("purchases", "customers")])
def test_a_good_day_is_not_rejected_for_another_that_is_bad(daily: tuple[str, ...]) -> None:
    """The day's purchases need its customers, and its events are bad."""
    day = 30 if daily else 29
    sold, customers, events = (change(name, day) for name in ("purchases", "customers", "web_events"))
    shop = Shop(
        contracts(daily, purchases=["customers"], customers=[], web_events=[]),
        bad=[events],
        needs={sold: [customers]},
    )
    assert shop.rejected(sold, customers, events) == {events}
    assert len(shop.trials) <= 5


def test_a_good_day_is_not_rejected_for_an_older_change_of_what_it_needs() -> None:
    sold, customers, bad = change("purchases", 30), change("customers", 30), change("customers", 12)
    shop = Shop(contracts(["purchases"], purchases=["customers"], customers=[]), [bad], {sold: [customers]})
    assert shop.rejected(sold, customers, bad) == {bad}


def test_corrections_of_what_comes_daily_are_tried_after_what_they_point_to() -> None:
    refunds, sold, bad = change("refunds", 29), change("purchases", 24), change("purchases", 28)
    both = contracts(["refunds", "purchases"], refunds=["purchases"], purchases=[])
    shop = Shop(both, [bad], {refunds: [sold]})
    assert shop.rejected(refunds, sold, bad) == {bad}
    assert len(shop.trials) <= 3


def test_what_refers_to_older_rows_of_its_own_is_tried_after_them() -> None:
    newer, older, bad = change("tickets", 29), change("tickets", 28), change("tickets", 27)
    shop = Shop(contracts(tickets=["tickets"]), [bad], {newer: [older]})
    assert shop.rejected(newer, older, bad) == {bad}
    assert len(shop.trials) <= 4


def test_what_comes_daily_may_need_what_failed_without_it() -> None:
    """Corrections of one day, which no key connects; something else of it is bad."""
    sold, totals, bad = change("purchases", 20), change("totals", 20), change("web_events", 21)
    shop = Shop(
        contracts(["purchases"], purchases=[], totals=[], web_events=[]), [bad], {sold: [totals], totals: [sold]}
    )
    assert shop.rejected(sold, totals, bad) == {bad}


def test_what_came_for_a_day_that_waits_is_neither_kept_nor_rejected() -> None:
    sold, customers, events = change("purchases", 30), change("customers", 30), change("web_events", 29)
    search = Shop(contracts(["purchases"], purchases=["customers"], customers=[], web_events=[]), [sold]).search(
        [sold, customers, events]
    )
    assert (search.kept, list(search.rejected)) == ([(events,)], [(sold,)])


DATASETS: dict[str, list[str]] = {"a": [], "b": ["a"], "c": ["a", "b"], "d": ["d", "c"]}
CHANGES = st.lists(st.builds(change, st.sampled_from("abcd"), st.integers(20, 29)), max_size=9, unique=True)


@given(CHANGES, st.sets(st.sampled_from("abcd")), st.data())
def test_of_published_days_exactly_those_are_rejected_that_are_bad_or_need_what_is(
    changes: list[InputChange], daily: set[str], data: st.DataObject
) -> None:
    bad = {change for change in changes if data.draw(st.integers(0, 4)) == 0}
    needs = {
        one: [
            other
            for other in changes
            if other.dataset in DATASETS[one.dataset]
            and (other.dataset != one.dataset or other.newest < one.newest)
            and data.draw(st.integers(0, 3)) == 0
        ]
        for one in changes
    }
    lost = set(bad)
    while more := {one for one in changes if not lost.isdisjoint(needs[one])} - lost:
        lost |= more
    assert Shop(contracts(daily, **DATASETS), bad, needs).rejected(*changes) == lost


@given(st.lists(st.builds(change, st.sampled_from("abcd"), st.integers(28, 32)), max_size=9, unique=True), st.data())
def test_no_day_is_tried_before_what_must_come_for_it(changes: list[InputChange], data: st.DataObject) -> None:
    shop = Shop(contracts(["b", "c"], **DATASETS), bad=[c for c in changes if data.draw(st.booleans())])
    search = shop.search(changes)
    judged = {*search.kept, *search.rejected}
    for unit in {*_units(changes, shop.contracts, LAST)[1]} - judged:
        assert newest(unit) > shop.through
