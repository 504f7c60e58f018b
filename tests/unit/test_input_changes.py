"""Stale days fall into the changes that must be published together."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import combinations
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_platform import work
from data_platform.contracts.load import get_contracts
from data_platform.contracts.parts import Relationship
from data_platform.input_changes import InputChange, affordable, connected
from data_platform.intervals import ONE_DAY, REFERENCE_DAY, Interval
from data_platform.runs import Run
from data_platform.staleness import BACKFILL, NIGHT
from tests.contracts import change_contract

FIRST = date(1998, 1, 1)
DAYS = st.sets(st.integers(0, 15).map(lambda n: FIRST + timedelta(days=n)))
DELIVERIES = st.lists(st.tuples(st.integers(1, 6), st.integers(0, 15).map(lambda n: FIRST + timedelta(days=n))))


def reachable(day: date, days: set[date], deliveries: list[tuple[int, date]]) -> set[date]:
    """By hand: days that a chain of deliveries leads to."""
    found = {day}
    while more := {
        other
        for delivery, one in deliveries
        if one in found
        for same, other in deliveries
        if same == delivery and other in days - found
    }:
        found |= more
    return found


@given(DAYS, DELIVERIES)
def test_days_are_together_when_a_chain_of_deliveries_connects_them(
    days: set[date], deliveries: list[tuple[int, date]]
) -> None:
    groups = connected(days, deliveries)
    assert {day for group in groups for day in group} == days
    assert all(not one & other for one, other in combinations(groups, 2))
    for group in groups:
        assert all(reachable(day, days, deliveries) == group for day in group)


CHANGES = st.lists(
    st.builds(
        InputChange,
        dataset=st.sampled_from(["purchases", "customers"]),
        days=st.frozensets(st.integers(0, 15).map(lambda n: FIRST + timedelta(days=n)), min_size=1),
        rows=st.integers(0, 100),
    ),
    max_size=8,
    unique=True,
)


@given(changes=CHANGES, due=DAYS, rows=st.integers(0, 300))
def test_a_night_takes_the_due_days_then_the_newest_within_bounds(
    changes: list[InputChange], due: set[date], rows: int
) -> None:
    changes.sort(key=lambda change: change.newest, reverse=True)
    taken = affordable(changes, due, rows)
    waiting = [change for change in changes if change not in taken]
    stale = [change for change in taken if change.days.isdisjoint(due)]
    assert all(change.days.isdisjoint(due) for change in waiting)
    assert not waiting or stale, "each night gets on"
    assert all(one.newest >= other.newest for one in stale for other in waiting)
    if len(stale) > 1:
        assert sum(change.rows for change in taken) <= rows


@given(changes=CHANGES, due=DAYS)
def test_nights_take_every_change_in_the_end(changes: list[InputChange], due: set[date]) -> None:
    nights = 0
    while changes:
        taken = affordable(changes, due, 0)
        changes = [change for change in changes if change not in taken]
        nights += 1
        assert nights < 10


@pytest.mark.parametrize("kind", [NIGHT, BACKFILL])
def test_a_reference_table_is_taken_with_whatever_days_are_asked_for(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    replaced = InputChange("products", frozenset({REFERENCE_DAY}), rows=10)
    due = InputChange("purchases", frozenset({FIRST}), rows=10)
    late = [InputChange("purchases", frozenset({FIRST - n * ONE_DAY}), rows=10) for n in (1, 2)]
    taken = take(kind, [*late, due, replaced], monkeypatch)
    assert {replaced, due} <= set(taken)
    assert late[1] not in taken


def test_a_night_takes_what_foreign_keys_point_to_before_what_points_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    days = [frozenset({FIRST - n * ONE_DAY}) for n in range(1, 4)]
    purchases, customers, events = (
        [InputChange(name, day, rows=10) for day in days] for name in ("purchases", "customers", "web_events")
    )
    assert take(NIGHT, [*purchases, *customers], monkeypatch) == [purchases[0], customers[0]]
    point(monkeypatch, "purchases", "customers")
    assert take(NIGHT, [*purchases, *customers], monkeypatch) == customers[:2]
    point(monkeypatch, "purchases", "purchases")
    assert take(NIGHT, [*events, *purchases], monkeypatch) == events[:2]
    assert take(NIGHT, purchases, monkeypatch) == [purchases[2], purchases[1]], "rows of its own may be older"


def point(patch: pytest.MonkeyPatch, dataset: str, to: str) -> None:
    columns = list(get_contracts()[dataset].columns)
    columns[0] = columns[0].model_copy(update={"relationships": (Relationship(to=f"{to}.number"),)})
    change_contract(patch, dataset, columns=tuple(columns))


def take(kind: str, changes: list[InputChange], patch: pytest.MonkeyPatch) -> list[InputChange]:
    """What a run for the first day takes that has time for twenty rows."""
    patch.setattr(work, "get_settings", lambda: SimpleNamespace(night_budget_minutes=1))
    patch.setattr(work, "learn_costs", lambda _connection: {})
    patch.setattr(work, "rows_within", lambda _costs, _seconds: 20)
    connection: Any = None
    return work._taken(connection, Run("a", kind, Interval.of_day(FIRST), FIRST, (), "open", {}, {}), changes, {})
