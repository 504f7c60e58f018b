"""The algebra of days."""

from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_platform.failures import InputError
from data_platform.intervals import Interval, count_days, cover, difference, union

DAYS = st.dates(date(1997, 1, 1), date(1998, 6, 30))
INTERVALS = st.builds(
    lambda start, length: Interval(start, start + timedelta(days=length)),
    st.dates(date(1997, 1, 1), date(1997, 3, 1)),
    st.integers(1, 30),
)
SETS = st.lists(INTERVALS, max_size=8)


def days_of(intervals: list[Interval]) -> set[date]:
    return {day for interval in intervals for day in interval}


@given(start=DAYS, length=st.integers(1, 400))
def test_an_interval_holds_its_days_and_not_its_end(start: date, length: int) -> None:
    interval = Interval(start, start + timedelta(days=length))
    days = list(interval)
    assert len(days) == len(interval) == length
    assert days[0] == start
    assert all(day in interval for day in days)
    assert interval.end not in interval
    assert start - timedelta(days=1) not in interval


@given(st.sets(DAYS, max_size=40))
def test_cover_holds_exactly_the_days_in_the_fewest_intervals(days: set[date]) -> None:
    intervals = cover(days)
    assert [day for interval in intervals for day in interval] == sorted(days)
    assert all(a.end < b.start for a, b in pairwise(intervals))


@given(SETS, SETS)
def test_union_and_difference_are_those_of_the_days(one: list[Interval], other: list[Interval]) -> None:
    assert union(one, other) == cover(days_of(one) | days_of(other))
    assert difference(one, other) == cover(days_of(one) - days_of(other))
    assert count_days(union(one)) == len(days_of(one))


@given(interval=INTERVALS, days=st.integers(1, 40))
def test_chunks_cover_an_interval_once(interval: Interval, days: int) -> None:
    chunks = interval.chunks(days)
    assert [day for chunk in chunks for day in chunk] == list(interval)
    assert {len(chunk) for chunk in chunks[:-1]} <= {days}


@given(interval=INTERVALS, look_back=st.integers(0, 90))
def test_a_change_reaches_the_days_that_look_back_to_it(interval: Interval, look_back: int) -> None:
    reached = {day + timedelta(days=n) for day in interval for n in range(look_back + 1)}
    assert set(interval.widened(look_back)) == reached


@pytest.mark.parametrize(
    ("start", "end", "says"),
    [
        ("1998-06-30", "1998-06-30", "holds no day"),
        ("1998-06-30", "1998-06-01", "holds no day"),
        ("1998-06-30T12:00", "1998-07-01", "start of the interval is '1998-06-30T12:00'"),
        ("1998-06-30", "tomorrow", "end of the interval is 'tomorrow'"),
        ("1998-02-30", "1998-03-01", "not a whole day"),
    ],
)
def test_a_reversed_empty_or_half_day_interval_is_refused(start: str, end: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        Interval.parse(start, end)
    assert caught.value.hint
