"""Leads a platform through a history, and keeps what came from outside: what is published is judged by that alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import singledispatchmethod

from tests.faults.algebra import Platform, Publication
from tests.faults.deliveries import Delivery
from tests.faults.histories import (
    LAST_DAY,
    Backfill,
    Corrected,
    Duplicate,
    Event,
    Late,
    LateExtract,
    Moved,
    Night,
    Override,
    Release,
    Resume,
    Rollback,
    RuleChange,
    Withdrawn,
)
from tests.faults.shop import DAY, DELAY, SOURCES, Facts, Line, Source, SourceDay, facts_of, passes

FIRST_TICK_OF_DAY = DELAY + 1


@dataclass
class World:
    """What came from outside."""

    files: dict[str, Delivery] = field(default_factory=dict)
    strict: dict[Source, bool] = field(default_factory=lambda: dict.fromkeys(SOURCES, False))
    overrides: dict[tuple[Line, int], int] = field(default_factory=dict)
    pins: dict[int, dict[SourceDay, Facts]] = field(default_factory=dict)

    def lines(self) -> Counter[tuple[Source, Line]]:
        """Lines that count: each of equal files once."""
        contents = {(file.source, file.lines) for file in self.files.values()}
        return Counter((source, line) for source, lines in contents for line in lines or ())

    def quarantine(self) -> Counter[Line]:
        """Purchases that break a rule, mended or not."""
        found = self.lines()
        return Counter(
            {
                line: copies
                for (source, line), copies in found.items()
                if source == "purchases" and not passes(source, line, strict=self.strict[source])
            }
        )

    def facts(self) -> dict[SourceDay, Facts]:
        """What each day's rows should be, if every input were published."""
        good: dict[SourceDay, list[Line]] = defaultdict(list)
        broken: dict[SourceDay, list[Line]] = defaultdict(list)
        for (source, line), copies in self.lines().items():
            day = (source, line[0])
            for occurrence in range(1, copies + 1):
                mended = self.overrides.get((line, occurrence)) if source == "purchases" else None
                if passes(source, line, strict=self.strict[source]):
                    good[day].append(line)
                elif mended is not None:
                    good[day].append((*line[:2], mended))
                else:
                    broken[day].append(line)
        found = {day: facts_of(*day, good[day], broken[day]) for day in good.keys() | broken.keys()}
        for pins in self.pins.values():
            found |= pins
        return {day: facts for day, facts in found.items() if facts}


class Guide:
    """Lets events happen to a platform, and to the world.

    ``past`` is what each day should have said from each tick on; ``touched`` when something last came for a day.
    """

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.world = World()
        self.today = 0
        self.tick = 0
        self.past: list[tuple[int, dict[SourceDay, Facts]]] = [(0, {})]
        self.touched: dict[SourceDay, int] = defaultdict(int)
        self._days_of_path: dict[str, set[SourceDay]] = defaultdict(set)

    def go_on(self) -> None:
        """A tick of the clock: no two things come at once."""
        self.tick = max(self.tick + 1, self.today * DAY + FIRST_TICK_OF_DAY)

    # Events.

    @singledispatchmethod
    def happen(self, event: Event) -> bool | None:
        """Lets an event happen; False when there was nothing for it to happen to."""
        raise TypeError(event)

    @happen.register
    def _(self, event: Night) -> None:
        for _ in range(event.days):
            self.today += 1
            self.go_on()
            due = self.today - 1
            self.land("purchases", f"purchases/{due}", tuple((due, *line) for line in event.lines))
        self.go_on()
        if event.extract:
            self.land("customers", f"customers/{due}", tuple((due, *row) for row in event.extract))
        self.platform.run(self.today, stop_before=event.crash)

    @happen.register
    def _(self, event: Backfill) -> bool | None:
        asked = range(event.first, min(event.first + event.days, self.today))
        if not asked:
            return False
        self.platform.run(self.today, asked, event.crash)
        return None

    @happen.register
    def _(self, event: Late) -> None:
        self.land("purchases", f"purchases/late-{self.tick}", event.lines)

    @happen.register
    def _(self, event: LateExtract) -> None:
        self.land("customers", f"customers/{event.day}", tuple((event.day, *row) for row in event.extract))

    @happen.register
    def _(self, event: Corrected) -> bool | None:
        path = self.path_of(event.file)
        if path is None:
            return False
        self.land("purchases", path, event.lines)
        return None

    @happen.register
    def _(self, event: Withdrawn) -> bool | None:
        paths = sorted(self.platform.landing)
        if not paths:
            return False
        path = paths[event.file % len(paths)]
        self.look()
        self.platform.withdraw(path, self.tick)
        self.touch(path)
        self.world.files.pop(path, None)
        return None

    @happen.register
    def _(self, event: Duplicate) -> bool | None:
        path = self.path_of(event.file)
        if path is None:
            return False
        self.land("purchases", f"purchases/copy-{self.tick}", self.platform.landing[path].lines)
        return None

    @happen.register
    def _(self, event: Moved) -> bool | None:
        path = self.path_of(event.file)
        if path is None:
            return False
        self.land("purchases", f"purchases/moved-{self.tick}", self.platform.landing[path].lines)
        self.go_on()
        self.land("purchases", path, event.lines)
        return None

    @happen.register
    def _(self, event: RuleChange) -> None:
        self.world.strict[event.source] = not self.world.strict[event.source]
        self.touched |= {(event.source, day): self.tick for day in range(self.today + LAST_DAY)}
        self.look()
        self.platform.change_rule(event.source, self.tick)

    @happen.register
    def _(self, event: Override) -> bool | None:
        if (chosen := self.row_of(event)) is None:
            return False
        line, occurrence = chosen
        self.world.overrides[line, occurrence] = event.amount
        self.touched["purchases", line[0]] = self.tick
        self.look()
        self.platform.override(line, occurrence, event.amount, self.tick)
        return None

    @happen.register
    def _(self, event: Rollback) -> bool | None:
        if (publication := self.publication_of(event)) is None:
            return False
        before = len(self.platform.log)
        self.look()
        self.platform.roll_back(publication, self.tick, event.crash)
        if len(self.platform.log) > before:
            self.world.pins[publication.number] = self.brought(publication)
            self.touched |= dict.fromkeys(self.brought(publication), self.tick)
        return None

    @happen.register
    def _(self, event: Release) -> bool | None:
        if not self.platform.holds:
            return False
        hold = self.platform.holds[event.nth % len(self.platform.holds)]
        self.look()
        self.platform.release(hold, self.tick)
        self.touched |= dict.fromkeys(self.world.pins.pop(hold.publication), self.tick)
        return None

    @happen.register
    def _(self, event: Resume) -> bool | None:
        if self.platform.left_over is None:
            return False
        self.platform.resume()
        return None

    def land(self, source: Source, path: str, lines: tuple[Line, ...] | None) -> None:
        """A file comes; what cannot be read leaves what its path said before."""
        if path in self.platform.landing:
            self.look()
        delivery = Delivery(self.tick, source, path, lines)
        self.platform.land(delivery)
        if lines is not None:
            self.touch(path)
            self.world.files[path] = delivery
            self.touch(path)
        self.remember()

    def look(self) -> None:
        """`dp discover`, before a file gives way to another and before each decision.

        What nobody saw has not come; and the ledger knows of all that came before what it knows to be decided.
        """
        self.platform.discover()

    def touch(self, path: str) -> None:
        """Notes when something last came that concerns the days of any version of a file."""
        if file := self.world.files.get(path):
            self._days_of_path[path] |= {(file.source, line[0]) for line in file.lines or ()}
        self.touched |= dict.fromkeys(self._days_of_path[path], self.tick)

    def row_of(self, event: Override) -> tuple[Line, int] | None:
        """The row in quarantine that an override mends, and which of equal ones; None when there is none."""
        broken = sorted(self.world.quarantine().elements())
        if not broken:
            return None
        line = broken[event.nth % len(broken)]
        return line, 1 + event.nth % broken.count(line)

    def publication_of(self, event: Rollback) -> Publication | None:
        """The publication that is rolled back, or None when none brought input."""
        own = [p for p in self.platform.log if p.kind == "run" and not p.is_rolled_back and self.brought(p)]
        return own[-1 - event.back % len(own)] if own else None

    def path_of(self, file: int) -> str | None:
        """The path of that number among files of purchases, counted round; None when there is none."""
        paths = sorted(path for path in self.platform.landing if path.startswith("purchases"))
        return paths[file % len(paths)] if paths else None

    def remember(self) -> None:
        """Keeps what each day should say from this tick on."""
        self.past.append((self.tick, self.world.facts()))

    def brought(self, publication: Publication) -> dict[SourceDay, Facts]:
        """Days whose inputs a publication changed, as they were before."""
        before = self.platform.log[publication.number - 2].inputs if publication.number > 1 else {}
        days = publication.inputs.keys() | before.keys()
        return {day: before.get(day, ()) for day in days if publication.inputs.get(day, ()) != before.get(day, ())}
