"""The laws of state, checked after every event of a history by an observer that knows only what came from outside.

``World`` keeps what has landed and been decided, and derives from it alone what each day's rows should be. It shares
with the platform what a line means and what a unit of a table is made of (``shop.py``), but nothing of ledger, lake,
staleness, scopes and publications.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import singledispatchmethod

from tests.faults.algebra import Change, Delivery, Platform, Publication
from tests.faults.histories import (
    LAST_DAY,
    Backfill,
    Corrected,
    Duplicate,
    Event,
    History,
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
from tests.faults.shop import (
    DAY,
    DELAY,
    FEATURES,
    MODELS,
    SOURCES,
    TABLES,
    Facts,
    Key,
    Line,
    Source,
    SourceDay,
    Value,
    clean_build,
    end_of,
    facts_of,
    passes,
    values,
)

FIRST_TICK_OF_DAY = DELAY + 1


class BrokenLaw(AssertionError):
    """A law of state does not hold."""


def require(holds: bool, law: str, *facts: object) -> None:
    """Raises BrokenLaw with what is known of it, unless it holds."""
    if not holds:
        raise BrokenLaw(f"{law}: {'; '.join(map(str, facts))}")


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
        for publication in sorted(self.pins, reverse=True):
            found |= self.pins[publication]
        return {day: facts for day, facts in found.items() if facts}


class Observer:
    """Leads a platform through a history and checks the laws after each event."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.world = World()
        self.today = 0
        self.tick = 0
        self.occurred: Counter[str] = Counter()
        self.past: list[tuple[int, dict[SourceDay, Facts]]] = [(0, {})]
        self.versions: dict[SourceDay, list[tuple[int, Facts]]] = defaultdict(list)
        self.touched: dict[SourceDay, int] = defaultdict(int)
        self._days_of_path: dict[str, set[SourceDay]] = defaultdict(set)
        self.states = [platform.tables]
        self.newest_published = 0
        self._built: dict[object, dict[str, dict[Key, Value]]] = {}

    def live_through(self, history: History) -> None:
        """Takes every event, settles, releases what is held, and settles again.

        Raises:
            BrokenLaw: when a law of state does not hold.
        """
        for event in history:
            self.go_on()
            if self.happen(event) is not False:
                self.occurred[type(event).__name__] += 1
                if getattr(event, "crash", None):
                    self.occurred["crash"] += 1
            self.remember()
            self.check()
        self.settle()
        while self.platform.holds:
            self.go_on()
            self.happen(Release(0))
            self.remember()
            self.check()
        self.settle()

    def go_on(self) -> None:
        """A tick of the clock: no two things come at once."""
        self.tick = max(self.tick + 1, self.today * DAY + FIRST_TICK_OF_DAY)

    def settle(self) -> None:
        """One run makes everything right, and a second finds nothing to do."""
        self.go_on()
        self.platform.run(self.today)
        self.check()
        require(not self.platform.stale(self.today), "a run leaves nothing stale", self.platform.stale(self.today))
        published = len(self.platform.log)
        self.platform.run(self.today)
        self.platform.run(self.today, asked=range(self.today))
        require(len(self.platform.log) == published, "a rerun publishes nothing", self.platform.log[-1])

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
        broken = sorted(self.world.quarantine().elements())
        if not broken:
            return False
        line = broken[event.nth % len(broken)]
        occurrence = 1 + event.nth % broken.count(line)
        self.world.overrides[line, occurrence] = event.amount
        self.touched["purchases", line[0]] = self.tick
        self.look()
        self.platform.override(line, occurrence, event.amount, self.tick)
        return None

    @happen.register
    def _(self, event: Rollback) -> bool | None:
        own = [p for p in self.platform.log if p.kind == "run" and not p.is_rolled_back and self.brought(p)]
        if not own:
            return False
        publication = own[-1 - event.back % len(own)]
        before = len(self.platform.log)
        self.look()
        self.platform.roll_back(publication, self.tick, event.crash)
        if len(self.platform.log) > before:
            self.world.pins[publication.number] = self.brought(publication)
            self.touched |= dict.fromkeys(self.brought(publication), self.tick)
            self.remember()
            self.check()
            self.check_restored(publication)
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

    def path_of(self, file: int) -> str | None:
        """The path of that number among files of purchases, counted round; None when there is none."""
        paths = sorted(path for path in self.platform.landing if path.startswith("purchases"))
        return paths[file % len(paths)] if paths else None

    def remember(self) -> None:
        """Keeps what each day should say from this tick on."""
        self.past.append((self.tick, self.world.facts()))

    # Laws.

    def check(self) -> None:
        """All laws that hold at any time.

        Raises:
            BrokenLaw: when one does not.
        """
        for publication in self.platform.log[len(self.states) - 1 :]:
            self.check_publication(publication)
        if not self.platform.stale(self.today):
            published = {name: values(table) for name, table in self.platform.tables.items()}
            clean = self.clean(self.past[-1][1], self.today - 1)
            for name in TABLES:
                require(published[name] == clean[name], "tables equal a clean build", name, published[name], clean[name])
            self.check_every_row_is_accounted_for()

    def check_publication(self, publication: Publication) -> None:
        """What was published is what its inputs make; what was written is what differs from the one before."""
        before, inputs = self.states[-1], publication.inputs
        self.states.append(self.platform.tables)
        is_in_order = self.note_versions(publication)
        clean = self.clean(inputs, publication.through)
        for name in TABLES:
            now = values(self.platform.tables[name])
            require(now == clean[name], "a publication is what its inputs make", name, publication.number, now, clean[name])
            was = values(before[name])
            differing = {key for key in now.keys() | was.keys() if now.get(key) != was.get(key)}
            written = {change.key for change in publication.changes[name]}
            require(written == differing, "only rows that differ are written", name, written ^ differing)
            for change in publication.changes[name]:
                self.check_known_at(publication, name, change, is_in_order)
        self.check_history(publication)

    def note_versions(self, publication: Publication) -> bool:
        """Notes what a publication brought, and whether all of it came in one step, and after all published before."""
        last = self.platform.log[publication.number - 2].through if publication.number > 1 else -1
        arrivals = [end_of(day) for day in range(last + 1, publication.through + 1)]
        is_in_order = True
        for day in self.brought(publication):
            facts = publication.inputs.get(day, ())
            tick, is_direct = self.came(day, facts)
            self.versions[day].append((tick, facts))
            arrivals.append(tick)
            is_in_order &= is_direct
        is_in_order &= min(arrivals) >= self.newest_published
        self.newest_published = max(self.newest_published, *arrivals)
        return is_in_order

    def check_known_at(self, publication: Publication, name: str, change: Change, is_in_order: bool) -> None:
        """By then all had arrived that gives the row this value, and it is not later than what came last.

        What is published after something that arrived later, or though something came and went since the publication
        before, has a value that all inputs never had at its arrival; of it only the end of its interval is asked.
        """
        known_at = change.after.known_at if change.after else change.known_at
        value = change.after.value if change.after else None
        if value is not None:
            require(known_at >= end_of(day_of(name, change.key, value)), "known_at is not before the end", name, change)
        if is_in_order:
            through = min(publication.through, last_day_known_at(known_at))
            by_then = self.clean(self.inputs_of(known_at), through)[name].get(change.key)
            require(by_then == value, "known_at is not too early", name, change, by_then)
        came = [self.touched[day] for day in (self.brought(publication) if is_in_order else self.versions)]
        latest = max([end_of(publication.through), change.before.known_at if change.before else 0, *came])
        require(known_at <= latest, "known_at is not too late", name, change, latest)

    def check_history(self, publication: Publication) -> None:
        """History says what differs between recorded publications; without those rolled back it tells the present."""
        for name in FEATURES:
            now = {key: row for rows in self.platform.tables[name].values() for key, row in rows.items()}
            require(self.platform.told(name) == now, "history tells the present", name, self.platform.told(name), now)
            appended = {
                e.key: e.row and e.row.value
                for e in self.platform.history
                if (e.publication, e.table) == (publication.number, name)
            }
            if publication.kind == "run":
                replayed = self.clean(publication.inputs, publication.through)[name]
                before = self.replayed_before(publication)[name]
                differing = {
                    key: replayed.get(key)
                    for key in replayed.keys() | before.keys()
                    if replayed.get(key) != before.get(key)
                }
                require(appended == differing, "history is a replay", publication.number, appended, differing)

    def replayed_before(self, publication: Publication) -> dict[str, dict[Key, Value]]:
        """What the inputs of the publication before make."""
        if publication.number == 1:
            return self.clean({}, -1)
        last = self.platform.log[publication.number - 2]
        return self.clean(last.inputs, last.through)

    def check_restored(self, publication: Publication) -> None:
        """A rollback of the newest publication brings back every row as it was, of all days that were there."""
        if publication.number != len(self.platform.log) - 1:
            return
        before, now = self.states[publication.number - 1], self.platform.tables
        through = self.platform.log[publication.number - 2].through if publication.number > 1 else -1
        for name in TABLES:
            rows_before, rows_now = (
                {
                    key: row
                    for rows in tables[name].values()
                    for key, row in rows.items()
                    if day_of(name, key, row.value) <= through
                }
                for tables in (before, now)
            )
            require(rows_before == rows_now, "a rollback restores exactly", name, rows_before, rows_now)

    def check_every_row_is_accounted_for(self) -> None:
        """Of each day that is not held: lines that count are rows published or rows in quarantine."""
        held = {day for pins in self.world.pins.values() for day in pins}
        landed: Counter[SourceDay] = Counter()
        for (source, line), copies in self.world.lines().items():
            landed[source, line[0]] += copies
        accounted = Counter({("purchases", line[0]): 0 for line in self.platform.quarantined()})
        for line in self.platform.quarantined():
            accounted["purchases", line[0]] += 1
        for source in SOURCES:
            for day, rows in self.platform.tables[source].items():
                accounted[source, day] += len(rows)
        for day in landed.keys() | accounted.keys():
            if day not in held and day[1] < self.today:
                require(landed[day] == accounted[day], "every row is accounted for", day, landed[day], accounted[day])

    # What the laws are checked against.

    def clean(self, inputs: dict[SourceDay, Facts], through: int) -> dict[str, dict[Key, Value]]:
        """A clean build of the same inputs, made once."""
        key = (through, frozenset((day, facts) for day, facts in inputs.items() if facts and day[1] <= through))
        if key not in self._built:
            self._built[key] = clean_build(inputs, through)
        return self._built[key]

    def brought(self, publication: Publication) -> dict[SourceDay, Facts]:
        """Days whose inputs a publication changed, as they were before."""
        before = self.platform.log[publication.number - 2].inputs if publication.number > 1 else {}
        days = publication.inputs.keys() | before.keys()
        return {day: before.get(day, ()) for day in days if publication.inputs.get(day, ()) != before.get(day, ())}

    def came(self, day: SourceDay, facts: Facts) -> tuple[int, bool]:
        """When a day first said this since it was last published, and whether it said nothing else between or after.

        Raises:
            BrokenLaw: when it never did: what was published was at no time the input.
        """
        since, before = self.versions[day][-1] if self.versions[day] else (-1, ())
        said = [(tick, said.get(day, ())) for tick, said in self.past if tick > since]
        ticks = [tick for tick, then in said if then == facts]
        require(bool(ticks), "only inputs are published", day, facts)
        return ticks[0], all(then == (before if tick < ticks[0] else facts) for tick, then in said)

    def inputs_of(self, tick: int) -> dict[SourceDay, Facts]:
        """Of what has been published of each day, the newest that had come by then."""
        return {
            day: next((facts for since, facts in reversed(versions) if since <= tick), ())
            for day, versions in self.versions.items()
        }


def last_day_known_at(tick: int) -> int:
    """The last day that was over by then, and its files due."""
    return (tick - DELAY) // DAY - 1


DAYS_OF = {model.name: model.day_of for model in MODELS}


def day_of(table: str, key: Key, value: Value) -> int:
    """The day that a row of any table belongs to."""
    return DAYS_OF[table](key, value) if table in DAYS_OF else int(key[0])
