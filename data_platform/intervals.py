"""Half-open intervals of UTC days, ``[start, end)``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from data_platform.failures import InputError

ONE_DAY = timedelta(days=1)


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
