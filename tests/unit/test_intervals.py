"""The algebra of days."""

from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_platform.failures import InputError
from data_platform.intervals import Interval, cover

DAYS = st.dates(date(1997, 1, 1), date(1998, 6, 30))


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
