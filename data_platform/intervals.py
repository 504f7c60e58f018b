"""Half-open intervals of UTC days, ``[start, end)``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from data_platform.failures import InputError

ONE_DAY = timedelta(days=1)
# The rows of a reference table belong to no day. All of them stand in this one, which comes before any that is meant.
REFERENCE_DAY = date(1700, 1, 1)


@dataclass(frozen=True, order=True)
class Interval:
    """Days from ``start`` up to, not including, ``end``.

    Raises:
        InputError: when ``end`` is not after ``start``.
    """

    start: date
    end: date

    def __post_init__(self) -> None:
        if self.end <= self.start:
            raise InputError(
                f"interval [{self.start}, {self.end}) holds no day: its end must be after its start",
                hint=f"for the single day {self.start} say {self.start} {self.start + ONE_DAY}",
            )

    @classmethod
    def parse(cls, start: str, end: str) -> Interval:
        """Reads two ISO days.

        Raises:
            InputError: when one is not a whole day, or they are reversed.
        """
        return cls(parse_day("start", start), parse_day("end", end))

    @classmethod
    def of_day(cls, day: date) -> Interval:
        """The interval that holds just ``day``."""
        return cls(day, day + ONE_DAY)

    def __contains__(self, day: date) -> bool:
        return self.start <= day < self.end

    def __iter__(self) -> Iterator[date]:
        day = self.start
        while day < self.end:
            yield day
            day += ONE_DAY

    def __len__(self) -> int:
        return (self.end - self.start).days

    def __str__(self) -> str:
        return f"[{self.start}, {self.end})"

    def chunks(self, days: int) -> list[Interval]:
        """The interval cut into parts of so many days, the last perhaps shorter, in order."""
        starts = [self.start + timedelta(days=n) for n in range(0, len(self), days)]
        return [Interval(start, min(start + timedelta(days=days), self.end)) for start in starts]

    def widened(self, look_back_days: int) -> Interval:
        """The days that a change of these days reaches in a reader that looks back so far."""
        return Interval(self.start, self.end + timedelta(days=look_back_days))


def parse_day(name: str, text: str) -> date:
    """Reads one ISO day.

    Raises:
        InputError: when it is not a whole day; the message uses ``name``.
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InputError(
            f"{name} of the interval is {text!r}, which is not a whole day",
            hint="write days as YYYY-MM-DD; an interval is made of whole UTC days",
        ) from None


def cover(days: Iterable[date]) -> list[Interval]:
    """The fewest intervals that hold exactly these days, in order."""
    intervals: list[Interval] = []
    for day in sorted(set(days)):
        if intervals and intervals[-1].end == day:
            intervals[-1] = Interval(intervals[-1].start, day + ONE_DAY)
        else:
            intervals.append(Interval.of_day(day))
    return intervals


def union(*groups: Iterable[Interval]) -> list[Interval]:
    """The fewest intervals that hold the days of all groups, in order."""
    merged: list[Interval] = []
    for interval in sorted(interval for group in groups for interval in group):
        if merged and interval.start <= merged[-1].end:
            merged[-1] = Interval(merged[-1].start, max(merged[-1].end, interval.end))
        else:
            merged.append(interval)
    return merged


def difference(intervals: Iterable[Interval], without: Iterable[Interval]) -> list[Interval]:
    """The fewest intervals that hold the days of the first group that are not in the second, in order."""
    left = union(intervals)
    for hole in without:
        left = [
            Interval(start, end)
            for part in left
            for start, end in ((part.start, min(part.end, hole.start)), (max(part.start, hole.end), part.end))
            if start < end
        ]
    return left


def count_days(intervals: Iterable[Interval]) -> int:
    """How many days there are in disjoint intervals."""
    return sum(len(interval) for interval in intervals)
