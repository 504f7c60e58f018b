"""Histories: what may happen to a platform, as plain data that any platform can be led through.

An event names days from the first one, customers by name and files by number, so that the model (``world.py``) and a
real stack can take the same history. Numbers (``file``, ``back``, ``nth``) count among what there is when the event
comes, and wrap around; where there is nothing, nothing happens.

A history is made from bytes, by hypothesis (which shrinks them) or from a seed (``history_of_seed``, for ranges of
seeds that may be continued): to draw bytes is far cheaper than to draw events.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from hypothesis import strategies as st

from tests.faults.shop import BROKEN, CUSTOMERS, UNREADABLE, Line, Source

T = TypeVar("T")
SHORTEST, LONGEST = 5, 20
BYTES = 200
LAST_DAY = 12
AMOUNTS = (5, 7, 0, BROKEN)
COUNTRIES = ("us", "ca", "old")  # a strict contract refuses "old"
CRASHES = (None, None, None, "discover", "commit_to_lake", "mark_live", "stage", "build", "publish")


@dataclass(frozen=True)
class Night:
    """Days go by, each with its file of purchases; of the last there may be an extract; then the nightly run."""

    days: int
    lines: tuple[tuple[str, int], ...]
    extract: tuple[tuple[str, str], ...]
    crash: str | None = None


@dataclass(frozen=True)
class Backfill:
    """A run of the days asked for, whatever their state."""

    first: int
    days: int
    crash: str | None = None


@dataclass(frozen=True)
class Late:
    """A file of purchases of any days comes, under a name of its own."""

    lines: tuple[Line, ...]


@dataclass(frozen=True)
class LateExtract:
    """An extract of any day comes, or takes the place of the one that was there."""

    day: int
    extract: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Corrected:
    """A file of purchases comes again under its name with other lines; None: it cannot be read."""

    file: int
    lines: tuple[Line, ...] | None


@dataclass(frozen=True)
class Withdrawn:
    """A file no longer counts."""

    file: int


@dataclass(frozen=True)
class Duplicate:
    """A file of purchases comes once more under another name."""

    file: int


@dataclass(frozen=True)
class Moved:
    """A file of purchases goes on under another name, and other lines take its place: as logs are rotated."""

    file: int
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class RuleChange:
    """A source's contract becomes strict, or lenient again."""

    source: Source


@dataclass(frozen=True)
class Override:
    """The steward mends a purchase in quarantine."""

    nth: int
    amount: int


@dataclass(frozen=True)
class Rollback:
    """A publication that brought input is rolled back; 0 is the newest."""

    back: int
    crash: str | None = None


@dataclass(frozen=True)
class Release:
    """A hold is released."""

    nth: int


@dataclass(frozen=True)
class Resume:
    """A crashed run goes on where it was."""


Event = (
    Night
    | Backfill
    | Late
    | LateExtract
    | Corrected
    | Withdrawn
    | Duplicate
    | Moved
    | RuleChange
    | Override
    | Rollback
    | Release
    | Resume
)
History = tuple[Event, ...]


class Bytes:
    """Choices, a byte each; when the bytes are at an end, the first choice."""

    def __init__(self, data: bytes) -> None:
        self._rest = iter(data)

    def below(self, end: int) -> int:
        """A number from 0 up to, not including, ``end``."""
        return next(self._rest, 0) % end

    def one_of(self, choices: tuple[T, ...]) -> T:
        """One of them."""
        return choices[self.below(len(choices))]

    def lines(self) -> tuple[Line, ...]:
        """Up to three purchases of any days, also of days to come."""
        return tuple((self.below(LAST_DAY), self.one_of(CUSTOMERS), self.one_of(AMOUNTS)) for _ in range(self.below(4)))

    def bought(self) -> tuple[tuple[str, int], ...]:
        """Up to three purchases of a day that the event knows."""
        return tuple((self.one_of(CUSTOMERS), self.one_of(AMOUNTS)) for _ in range(self.below(4)))

    def extract(self) -> tuple[tuple[str, str], ...]:
        """An extract with somebody in it, now and then with an unreadable row; a customer stands in it once."""
        told = {self.one_of(CUSTOMERS): self.one_of(COUNTRIES[:2])}
        for _ in range(self.below(3)):
            told.setdefault(self.one_of((*CUSTOMERS, UNREADABLE)), self.one_of(COUNTRIES))
        return tuple(told.items())

    def some_extract(self) -> tuple[tuple[str, str], ...]:
        """An extract, or now and then none."""
        return self.extract() if self.below(3) else ()


KINDS: tuple[Callable[[Bytes], Event], ...] = (
    *[lambda b: Night(1 + b.below(3) // 2, b.bought(), b.some_extract(), b.one_of(CRASHES))] * 6,
    *[lambda b: Backfill(b.below(LAST_DAY), 1 + b.below(5), b.one_of(CRASHES))] * 2,
    *[lambda b: Late(b.lines())] * 2,
    *[lambda b: LateExtract(b.below(LAST_DAY), b.extract())] * 2,
    *[lambda b: Corrected(b.below(8), None if b.below(5) == 4 else b.lines())] * 2,
    *[lambda b: Withdrawn(b.below(8))] * 2,
    lambda b: Duplicate(b.below(8)),
    lambda b: Moved(b.below(8), b.lines()),
    lambda b: RuleChange(b.one_of(("purchases", "customers"))),
    lambda b: Override(b.below(8), b.one_of(AMOUNTS[:2])),
    *[lambda b: Rollback(b.below(4), b.one_of((None, None, None, "stage", "build", "publish")))] * 3,
    lambda b: Release(b.below(3)),
    lambda _: Resume(),
)


# A run is stopped when it has staged a file. That is withdrawn, and a night comes in which no row changes, but time
# goes on: what the run has made does not reach as far as what is published now.
STOPPED_WHILE_TIME_GOES_ON: History = (
    Night(1, (), ()),
    Late(((0, "bob", 5),)),
    Backfill(0, 1, crash="publish"),
    Withdrawn(0),
    Withdrawn(0),
    Night(1, (), ()),
    Resume(),
)


def decode(data: bytes) -> History:
    """The history that bytes stand for: a night, and then anything."""
    choices = Bytes(data)
    count = SHORTEST + choices.below(LONGEST - SHORTEST + 1)
    return (KINDS[0](choices), *(choices.one_of(KINDS)(choices) for _ in range(count - 1)))


def history_of_seed(seed: int) -> History:
    """The history of a number: always the same."""
    return decode(random.Random(seed).randbytes(BYTES))  # noqa: S311 - not to be secret


def histories() -> st.SearchStrategy[History]:
    """Any history."""
    return st.binary(min_size=BYTES // 2, max_size=BYTES).map(decode)
