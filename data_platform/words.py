"""Numbers and days in sentences."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import date

from data_platform.intervals import REFERENCE_DAY, cover


def count_of(number: int, noun: str) -> str:
    """``1 day``, ``2 days``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def number_of(days: Collection[date]) -> str:
    """``2 days``; of a reference table ``all rows``."""
    return "all rows" if set(days) == {REFERENCE_DAY} else count_of(len(days), "day")


def in_words(days: Iterable[date]) -> str:
    """``1998-06-30, [1998-07-02, 1998-07-05)``: days that follow each other as an interval.

    That of a reference table is told as ``all rows``.
    """
    known = set(days)
    told = ["all rows"] if REFERENCE_DAY in known else []
    told += [str(i.start) if len(i) == 1 else str(i) for i in cover(known - {REFERENCE_DAY})]
    return ", ".join(told)
