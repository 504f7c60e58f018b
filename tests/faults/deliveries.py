"""What comes from outside: files and decisions, the ledger and the lake that keep them, and which of them count.

That nothing is ever marked is the point: which deliveries count, and what a day holds, is derived from what has come.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from tests.faults.shop import SOURCES, Facts, Line, Source, SourceDay, facts_of, passes


class Delivery(NamedTuple):
    """A path with a content; None is one that cannot be read."""

    arrived: int
    source: Source
    path: str
    lines: tuple[Line, ...] | None

    @property
    def content(self) -> tuple[Source, tuple[Line, ...] | None]:
        """What makes deliveries duplicates: their extract day stands in their lines."""
        return self.source, self.lines


class Attempt(NamedTuple):
    """What one attempt to read a content brought into the lake."""

    content: tuple[Source, tuple[Line, ...] | None]
    rule: int
    good: tuple[Line, ...]
    broken: tuple[Line, ...]


class Content(NamedTuple):
    """What a source says of a day, and the arrivals of all that it is made of: the fingerprint, and its reasons."""

    facts: Facts = ()
    made_of: frozenset[int] = frozenset()


class Deliveries:
    """Landing, ledger, lake and decisions."""

    def __init__(self) -> None:
        self.landing: dict[str, Delivery] = {}
        self.ledger: list[Delivery] = []
        self.withdrawn: dict[str, int] = {}
        self.lake: list[Attempt] = []
        self.live_attempt: dict[object, int] = {}  # by content: equal deliveries are read once
        self.rules: dict[Source, list[int]] = {source: [0] for source in SOURCES}
        self.overrides: dict[tuple[Line, int], tuple[int, int]] = {}
        self.ended: dict[int, int] = {}

    def land(self, delivery: Delivery) -> None:
        """A file appears, or takes the place of another."""
        self.landing[delivery.path] = delivery

    def withdraw(self, path: str, at: int) -> None:
        """`dp withdraw`: no version of the path counts any longer."""
        self.landing.pop(path)
        self.withdrawn[path] = at
        self.ended |= {d.arrived: at for d in self.ledger if d.path == path and d.arrived not in self.ended}

    def change_rule(self, source: Source, at: int) -> None:
        """A new version of the contract; strict and lenient ones alternate."""
        self.rules[source].append(at)

    def override(self, text: Line, occurrence: int, amount: int, at: int) -> None:
        """A person says what a broken row should read."""
        self.overrides[text, occurrence] = (amount, at)

    def counting(self, deliveries: Iterable[Delivery]) -> list[Delivery]:
        """Of these the deliveries that count: of a path the newest, of equal ones the first."""
        newest: dict[str, Delivery] = {}
        for delivery in deliveries:
            if delivery.arrived > self.withdrawn.get(delivery.path, -1):
                newest[delivery.path] = delivery
        first: dict[object, Delivery] = {}
        for delivery in sorted(newest.values(), key=lambda d: d.arrived):
            first.setdefault(delivery.content, delivery)
        return list(first.values())

    def undiscovered(self) -> list[Delivery]:
        """Files whose path is new, was withdrawn, or holds something else than before."""
        known = {d.path: d for d in self.ledger if d.arrived > self.withdrawn.get(d.path, -1)}
        return [d for d in self.landing.values() if d.path not in known or known[d.path].content != d.content]

    def is_readable(self, delivery: Delivery) -> bool:
        """Whether it can be read; one that cannot leaves what its path said before."""
        return delivery.lines is not None

    def waiting(self) -> list[Delivery]:
        """Deliveries that should count, but are not in the lake as the present contract reads them."""
        counting = self.counting(filter(self.is_readable, self.ledger))
        return [d for d in counting if not self.is_read(d)]

    def is_read(self, delivery: Delivery) -> bool:
        """Whether the lake holds a delivery as the present contract reads it."""
        number = self.live_attempt.get(delivery.content)
        return number is not None and self.lake[number].rule == self.rules[delivery.source][-1]

    def read(self, delivery: Delivery) -> Attempt:
        """A delivery as the present contract reads it."""
        rules = self.rules[delivery.source]
        good: list[Line] = []
        broken: list[Line] = []
        for line in delivery.lines or ():
            (good if passes(delivery.source, line, strict=len(rules) % 2 == 0) else broken).append(line)
        return Attempt(delivery.content, rules[-1], tuple(good), tuple(broken))

    def live_attempts(self) -> list[tuple[int, Attempt]]:
        """What a reader of the lake may see, that is what the ledger names, each with the arrival of its delivery."""
        counting = self.counting(d for d in self.ledger if d.content in self.live_attempt)
        return [(d.arrived, self.lake[self.live_attempt[d.content]]) for d in counting]

    def delivered(self) -> dict[SourceDay, Content]:
        """What live deliveries and overrides say of each day."""
        good: dict[SourceDay, list[Line]] = defaultdict(list)
        broken: dict[SourceDay, list[Line]] = defaultdict(list)
        made_of: dict[SourceDay, set[int]] = defaultdict(set)
        for arrived, attempt in self.live_attempts():
            source = attempt.content[0]
            for kind, lines in ((good, attempt.good), (broken, attempt.broken)):
                for line in lines:
                    kind[source, line[0]].append(line)
                    made_of[source, line[0]] |= {arrived, attempt.rule}
        for text, copies in Counter(line for (source, _), lines in broken.items() for line in lines).items():
            for occurrence in range(1, copies + 1):
                if mended := self.overrides.get((text, occurrence)):
                    amount, at = mended
                    day: SourceDay = ("purchases", text[0])
                    broken[day].remove(text)
                    good[day].append((*text[:2], amount))
                    made_of[day].add(at)
        return {
            day: Content(facts_of(day[0], day[1], good[day], broken[day]), frozenset(arrivals))
            for day, arrivals in made_of.items()
        }

    def quarantined(self) -> list[Line]:
        """Purchases that broke a rule and that nobody has mended."""
        broken = Counter(line for _, a in self.live_attempts() if a.content[0] == "purchases" for line in a.broken)
        return [
            text
            for text, copies in broken.items()
            for occurrence in range(1, copies + 1)
            if (text, occurrence) not in self.overrides
        ]

    def left_at(self, cause: int) -> int:
        """When a decision was taken back, or the last delivery of that content, or version of that path, gave way."""
        causes = [d for d in self.ledger if d.arrived == cause]
        related = [d for d in self.ledger for c in causes if d.path == c.path or d.content == c.content]
        return max(self.ended.get(at, cause) for at in [cause, *(d.arrived for d in related)])
