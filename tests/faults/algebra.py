"""The platform's algebra in plain Python: what is kept, the atomic steps that change it, and nothing else.

A step reads what is kept and changes it at once; a crash falls between two steps. What a run has staged and built
stands in its own ``Run``, which nobody reads. The clock is a number of ticks; each thing that comes from outside (a
delivery, a decision) has a tick of its own, by which it is known: its arrival.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from tests.faults.deliveries import Content, Deliveries, Delivery
from tests.faults.shop import (
    FEATURES,
    MODELS,
    SOURCES,
    TABLES,
    Facts,
    Key,
    Model,
    Row,
    Rows,
    SourceDay,
    Table,
    Tables,
    Unit,
    end_of,
)

STEPS = ("discover", "commit_to_lake", "mark_live", "stage", "build", "publish")
ROLLBACK_STEPS = ("stage", "build", "publish")


class Change(NamedTuple):
    """A row before and after; ``known_at`` is since when the change could be known."""

    unit: Unit
    key: Key
    before: Row | None
    after: Row | None
    known_at: int


class Entry(NamedTuple):
    """A line of a feature's history; ``row`` is None on a tombstone."""

    publication: int
    table: str
    key: Key
    row: Row | None
    known_at: int


@dataclass
class Publication:
    """What a publication was made of and what it changed; ``brought`` are the days that its own input change wrote."""

    number: int
    kind: Literal["run", "rollback"]
    through: int
    inputs: dict[SourceDay, Facts]
    brought: dict[SourceDay, Content]  # as they were before
    changes: dict[str, list[Change]]
    is_rolled_back: bool = False


@dataclass(frozen=True)
class Hold:
    """Days that stand as they were before a publication, until somebody releases them."""

    since: int
    publication: int
    pins: dict[SourceDay, Content]


@dataclass
class Run:
    """One run: what it was asked, what it read, and what it made that nobody reads."""

    steps: tuple[str, ...]
    through: int
    asked: range
    read_set: dict[str, int]
    undoes: Publication | None = None
    hold: Hold | None = None
    attempts: list[int] = field(default_factory=list)
    plan: dict[SourceDay, Content] = field(default_factory=dict)
    tables: Tables = field(default_factory=dict)
    changes: dict[str, list[Change]] = field(default_factory=dict)


class Platform(Deliveries):
    """All that is kept, and the steps."""

    def __init__(self) -> None:
        super().__init__()
        self.holds: list[Hold] = []
        self.tables: Tables = {name: {} for name in TABLES}
        self.versions: dict[str, int] = dict.fromkeys(TABLES, 0)
        self.days: dict[SourceDay, Content] = {}
        self.through = -1
        self.log: list[Publication] = []
        self.history: list[Entry] = []
        self.left_over: Run | None = None

    def release(self, hold: Hold, at: int) -> None:
        """What was held counts again."""
        self.holds.remove(hold)
        self.ended[hold.since] = at

    # Runs.

    def run(self, today: int, asked: range = range(0), stop_before: str | None = None) -> None:
        """A night, or a backfill of the days asked; a crash stops it before a step."""
        through = max(self.through, min(asked[-1], today - 1) if asked else today - 1)
        self._take(Run(STEPS, through, asked, self.read_set()), stop_before)

    def roll_back(self, publication: Publication, at: int, stop_before: str | None = None) -> None:
        """Restores what stood before a publication, reprocesses what read it, and holds what it had brought."""
        pins = {day: Content(c.facts, frozenset({at})) for day, c in self.pinned(publication).items()}
        hold = Hold(at, publication.number, pins)
        self._take(Run(ROLLBACK_STEPS, self.through, range(0), self.read_set(), publication, hold), stop_before)

    def resume(self) -> None:
        """Takes the steps that a crashed run had left; of one that read what has moved nothing comes.

        Staging fixes what a run is made of, so before that it begins anew. A crashed rollback is asked for anew: its
        hold is a decision, and that was not taken.
        """
        if run := self.left_over:
            if "stage" in run.steps:
                run.steps, run.attempts = STEPS, []
            self._take(run, None)

    def _take(self, run: Run, stop_before: str | None) -> None:
        for number, step in enumerate(run.steps):
            if step == stop_before:
                if run.undoes is None:
                    run.steps, self.left_over = run.steps[number:], run
                return
            getattr(self, step)(run)
        if self.left_over is run:
            self.left_over = None

    # Steps: each is atomic.

    def discover(self, _: Run | None = None) -> None:
        """The ledger writes down what stands in landing: its intent."""
        self.ledger += self.undiscovered()

    def commit_to_lake(self, run: Run) -> None:
        """Reads every waiting delivery, good and broken lines apart, and adds them to the lake."""
        for delivery in self.waiting():
            if delivery.lines is not None:
                run.attempts.append(len(self.lake))
                self.lake.append(self.read(delivery))

    def mark_live(self, run: Run) -> None:
        """Makes this run's attempts the ones that count; one that could not be read leaves what was live before."""
        for number in run.attempts:
            self.live_attempt[self.lake[number].content] = number
        newest: dict[str, Delivery] = {}
        for delivery in filter(self.is_readable, self.ledger):
            if before := newest.get(delivery.path):
                self.ended.setdefault(before.arrived, delivery.arrived)
            newest[delivery.path] = delivery

    def stage(self, run: Run) -> None:
        """Fixes what the run is made of, and stages the days that are stale or asked for."""
        contents = self.contents(run.hold)
        days = run.hold.pins if run.hold else self.days_to_stage(run, contents)
        run.plan = {day: contents.get(day, Content()) for day in days}
        for source in SOURCES:
            touched: dict[Unit, int] = {}
            new: Table = {}
            for (of, day), content in run.plan.items():
                if of == source:
                    touched[day] = max(end_of(day), self.changed_at(self.days.get((of, day), Content()), content))
                    new[day] = {key: Row(value, touched[day]) for key, value in content.facts}
            self._rewrite(run, source, touched, new, lambda key, _: int(key[0]))

    def build(self, run: Run) -> None:
        """Builds each table for the units that a change, the days asked, or time going on has touched."""
        for model in MODELS:
            touched = self.scope(run, model)
            upstream = run.tables[model.reads]
            new = {unit: model.rows(unit, upstream, run.through) for unit in touched}
            self._rewrite(run, model.name, touched, new, model.day_of)

    def publish(self, run: Run) -> None:
        """Makes what the run built what readers see; a run without a change publishes nothing."""
        if self.has_moved(run):
            return
        brought = {
            day: self.days.get(day, Content()) for day, content in run.plan.items() if self.differs(day, content)
        }
        if not (brought or any(run.changes.values()) or run.through > self.through):
            return
        self.days |= run.plan
        self.tables = {name: dict(table) for name, table in run.tables.items()}
        self.through = max(self.through, run.through)
        inputs = {day: content.facts for day, content in self.days.items()}
        kind: Literal["run", "rollback"] = "rollback" if run.undoes else "run"
        publication = Publication(len(self.log) + 1, kind, self.through, inputs, brought, run.changes)
        self.log.append(publication)
        self.versions |= {name: publication.number for name, changes in run.changes.items() if changes}
        if run.undoes and run.hold:
            run.undoes.is_rolled_back = True
            self.holds.append(run.hold)
        self.history += self.entries(publication, run.undoes)

    # What is derived from what is kept.

    def contents(self, planned: Hold | None = None) -> dict[SourceDay, Content]:
        """What the inputs say of each day now; a hold says what they said before, of several the newest wins."""
        found = self.delivered()
        for hold in [*self.holds, planned] if planned else self.holds:
            found |= hold.pins
        return found

    def differs(self, day: SourceDay, content: Content) -> bool:
        """Whether the inputs of a day are no longer what it was published from."""
        return content.facts != self.days.get(day, Content()).facts

    def stale_days(self, contents: Mapping[SourceDay, Content], through: int) -> set[SourceDay]:
        """Days whose inputs are not what they were published from; later ones wait for their night."""
        days = contents.keys() | self.days.keys()
        return {day for day in days if day[1] <= through and self.differs(day, contents.get(day, Content()))}

    def days_to_stage(self, run: Run, contents: Mapping[SourceDay, Content]) -> set[SourceDay]:
        """What is stale, and what was asked for."""
        return self.stale_days(contents, run.through) | {(source, day) for source in SOURCES for day in run.asked}

    def stale(self, today: int) -> list[tuple[str, str]]:
        """What a run has to do; empty when published state is what its inputs say. Held and failed things wait."""
        found = [(d.path, "not discovered") for d in self.undiscovered()]
        found += [(d.path, "not read") for d in self.waiting()]
        found += [(f"{day}", "differs") for day in self.stale_days(self.contents(), today - 1)]
        return found + [("all tables", "due")] * (self.through < today - 1)

    def changed_at(self, old: Content, new: Content) -> int:
        """The arrival of the last input change between two contents of a day."""
        gone = (self.left_at(at) for at in old.made_of - new.made_of)
        return max([0, *(new.made_of - old.made_of), *gone])

    def has_moved(self, run: Run) -> bool:
        """Whether something that the run read has been published anew since, or time has gone on without a change."""
        return self.read_set() != run.read_set

    def read_set(self) -> dict[str, int]:
        """Each table's last publication that changed it, and the last day that any of them speaks of."""
        return {**self.versions, "through": self.through}

    def pinned(self, publication: Publication) -> dict[SourceDay, Content]:
        """What a hold pins: the days that the publication's own input change wrote, as they were before."""
        return publication.brought

    def scope(self, run: Run, model: Model) -> dict[Unit, int]:
        """Units to rebuild, each with the tick at which its reason could be known."""
        touched: dict[Unit, int] = {}
        for unit, at in self.reasons(run, model):
            touched[unit] = max(at, touched.get(unit, 0))
        return {unit: at for unit, at in touched.items() if model.by != "day" or 0 <= unit <= run.through}

    def reasons(self, run: Run, model: Model) -> Iterator[tuple[Unit, int]]:
        """Every reason for a unit to be rebuilt: a change of what it reads, a day that was asked for, time."""
        for change in run.changes[model.reads]:
            for unit in self.reached(run, model, change):
                yield unit, change.known_at
        due = range(self.through + 1, run.through + 1)
        if model.by == "day":
            yield from ((day, 0) for day in run.asked)
            for day in due:
                yield from ((day + back, end_of(day)) for back in range(model.reach.first, 1))
            return
        for day in run.asked:
            yield from ((key[1], 0) for key in run.tables[model.reads].get(day, ()))
        yield from self.due_customers(run, model, due)

    def due_customers(self, run: Run, model: Model, due: range) -> Iterator[tuple[Unit, int]]:
        """Customers with a row on a day that is due, or as long before it as a window lasts."""
        for day in due:
            for after in (0, *model.reach.due_after):
                yield from ((key[1], end_of(day)) for key in run.tables[model.reads].get(day - after, ()))

    def reached(self, run: Run, model: Model, change: Change) -> Iterable[Unit]:
        """Units of a table that a change of what it reads touches."""
        if model.by == "customer":
            return [change.key[1]]
        day = change.key[0]
        if model.reach.next_extract:
            return [day, *self.next_extracts(run.tables[model.reads], day)]
        return range(day + model.reach.first, day + model.reach.last + 1)

    def next_extracts(self, extracts: Table, day: int) -> Iterator[int]:
        """The extract after a day, and as long as keys are unknown there the one after that."""
        for later in sorted(on for on in extracts if on > day):
            yield later
            if not any(row.value == ("unknown",) for row in extracts[later].values()):
                return

    def _rewrite(
        self, run: Run, name: str, touched: Mapping[Unit, int], new: Table, day_of: Callable[[Key, tuple], int]
    ) -> None:
        """Lays the new rows of the touched units over what is published, and notes what differs."""
        table = dict(self.tables[name])
        run.changes[name] = []
        for unit, at in touched.items():
            before, after = table.pop(unit, {}), new.get(unit, {})
            rows: Rows = {}
            for key in before.keys() | after.keys():
                change = self.compare(run, name, unit, key, before.get(key), after.get(key), at, day_of)
                if change:
                    run.changes[name].append(change)
                row = change.after if change else before[key]
                if row:
                    rows[key] = row
            if rows:
                table[unit] = rows
        run.tables[name] = table

    def compare(
        self,
        run: Run,
        name: str,
        unit: Unit,
        key: Key,
        old: Row | None,
        new: Row | None,
        at: int,
        day_of: Callable[[Key, tuple], int],
    ) -> Change | None:
        """The change of a row, or None; an equal row keeps since when it was known."""
        if old and new and old.value == new.value:
            return None
        if new is None:
            assert old is not None
            return Change(unit, key, old, None, max(at, old.known_at))
        known_at = max(end_of(day_of(key, new.value)), new.known_at, at)
        return Change(unit, key, old, self.restored(run, name, key, Row(new.value, known_at)), known_at)

    def restored(self, run: Run, name: str, key: Key, row: Row) -> Row:
        """A row that a rollback brings back, just as it was if nobody has touched it since; any other as it is."""
        if run.undoes:
            since = [c for p in self.log[run.undoes.number - 1 :] for c in p.changes[name] if c.key == key]
            if len(since) == 1 and since[0].before and since[0].before.value == row.value:
                return since[0].before
        return row

    def entries(self, publication: Publication, undone: Publication | None) -> Iterator[Entry]:
        """What a publication appends to history; a rollback only what the rest of history does not say already."""
        for name in FEATURES:
            changes = {c.key: c for c in publication.changes[name]}
            if undone is None:
                for key, change in changes.items():
                    yield Entry(publication.number, name, key, change.after, change.known_at)
                continue
            told = self.told(name)
            now = {key: row for rows in self.tables[name].values() for key, row in rows.items()}
            untold = {c.key: c.known_at for c in undone.changes[name]}
            for key in changes.keys() | untold.keys():
                row = now.get(key)
                if told.get(key) != row:
                    known_at = changes[key].known_at if key in changes else row.known_at if row else untold[key]
                    yield Entry(publication.number, name, key, row, known_at)

    def visible_history(self) -> list[Entry]:
        """History as its readers see it: without the publications that were rolled back."""
        return [e for e in self.history if not self.log[e.publication - 1].is_rolled_back]

    def told(self, name: str) -> dict[Key, Row]:
        """What history says that a feature now is."""
        rows: dict[Key, Row] = {}
        for entry in self.visible_history():
            if entry.table == name:
                rows.pop(entry.key, None)
                if entry.row:
                    rows[entry.key] = entry.row
        return rows
