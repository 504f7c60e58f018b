"""Law: whatever was built in parts, in whatever order, is what one clean build makes of the same inputs."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from data_platform.intervals import Interval
from tests.conftest import Platform
from tests.integration.dbt.workshop import (
    build_and_publish,
    customer,
    differences_from_clean_build,
    empty_warehouse,
    purchase,
)

pytestmark = [pytest.mark.integration, pytest.mark.no_cover]
FIRST = date(1998, 1, 5)
UNKNOWN = "?"
CUSTOMERS = ["00001", "00002", "00003"]


@dataclass(frozen=True)
class Night:
    """What one run brings: days whose purchases or extract are now these, and how far it goes on in time.

    In an extract UNKNOWN as the country puts the customer into quarantine; as the customer, somebody unreadable.
    """

    purchases: dict[int, list[tuple[str, int, str]]] = field(default_factory=dict)
    extracts: dict[int, dict[str, str]] = field(default_factory=dict)
    days_on: int = 1
    asked: tuple[int, int] | None = None


# Every story begins with a shop in which something happens, so that later nights have something to change.
OPENING = Night(
    purchases={
        0: [("00001", 1, "9.99"), ("00001", 1, "9.99"), ("00002", 2, "0.00")],
        1: [("00003", 1, "0.01")],
        4: [("00001", 3, "9.99"), ("00003", 1, "9.99")],
        7: [("00002", 1, "9.99")],
    },
    extracts={0: {"00001": "US", "00002": "US"}, 6: {"00001": "US", "00002": "CA", "00003": "US"}},
)
# Every story ends with a month in which nothing happens but that purchases leave windows.
QUIET = Night(days_on=31)

offsets = st.integers(0, 9)
lines = st.lists(
    st.tuples(st.sampled_from(CUSTOMERS), st.integers(1, 3), st.sampled_from(["0.00", "9.99", "0.01"])), max_size=3
)
extracts = st.dictionaries(st.sampled_from([*CUSTOMERS, UNKNOWN]), st.sampled_from(["US", "CA", UNKNOWN]))
nights = st.builds(
    Night,
    purchases=st.dictionaries(offsets, lines, max_size=2),
    extracts=st.dictionaries(offsets, extracts, max_size=1),
    days_on=st.sampled_from([0, 1, 7, 31]),
    asked=st.none() | st.just((0, 5)),
)
# Time goes on without an event; then a late extract comes between two others, a day loses a row, another all.
PLAIN = [
    Night(days_on=7),
    Night(purchases={0: [("00001", 1, "9.99")], 4: []}, extracts={3: {"00002": "DE"}}, days_on=31),
]
# In two extracts running one customer is in quarantine, and in the second somebody unreadable; then both are corrected.
MENDED = [
    Night(extracts={7: {"00001": "US", "00002": UNKNOWN}, 8: {"00001": "CA", "00002": UNKNOWN, UNKNOWN: UNKNOWN}}),
    Night(extracts={9: {"00001": "CA", "00002": "US", "00003": "US"}}),
    Night(extracts={8: {"00001": "CA", "00003": "US"}}),
    Night(extracts={7: {"00001": "US", "00002": "CA", "00003": "CA"}}),
]


def staged(night: Night, through: date) -> dict[str, dict[date, list[tuple[Any, ...]]]]:
    """The night's days as rows, those that have come by then; the occurrence number tells equal lines apart."""
    purchases: dict[date, list[tuple[Any, ...]]] = {}
    for offset, bought in night.purchases.items():
        on = FIRST + timedelta(days=offset)
        purchases[on] = [purchase(bought[:n].count(line), line[0], on, *line[1:]) for n, line in enumerate(bought)]
    extracts: dict[date, list[tuple[Any, ...]]] = {}
    for offset, who in night.extracts.items():
        on = FIRST + timedelta(days=offset)
        extracts[on] = [customer(on, name, country) for name, country in who.items() if UNKNOWN not in (name, country)]
    found = {"purchases": purchases, "customers": extracts}
    return {dataset: {d: r for d, r in days.items() if d <= through} for dataset, days in found.items()}


def unknown(night: Night) -> dict[date, list[str | None]]:
    """Who is in quarantine in the night's extracts."""
    return {
        FIRST + timedelta(days=offset): [
            None if name == UNKNOWN else name for name, country in who.items() if UNKNOWN in (name, country)
        ]
        for offset, who in night.extracts.items()
    }


@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(story=st.lists(nights, min_size=2, max_size=2))
@example(story=PLAIN)
@example(story=MENDED)
def test_partial_builds_make_what_a_clean_build_makes(warehouse: Platform, story: list[Night]) -> None:
    empty_warehouse()
    through = FIRST + timedelta(days=6)
    for night in [OPENING, *story, QUIET]:
        through += timedelta(days=night.days_on)
        asked = night.asked and Interval(*(FIRST + timedelta(days=n) for n in night.asked))
        build_and_publish(staged(night, through), through=through, asked=asked, unknown=unknown(night))
    assert differences_from_clean_build(through) == {}
