"""Platforms with one fault each. The laws must catch every one: a check that cannot fail proves nothing.

Some of the faults are how a first version of a real platform is easily written; they say so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from tests.faults.algebra import Change, Entry, Hold, Platform, Publication, Run
from tests.faults.deliveries import Attempt, Content, Delivery
from tests.faults.shop import Key, Model, Row, SourceDay, Table, Unit


class ForgetsLookForward(Platform):
    """A change rebuilds its own day, not the days that look back on it."""

    def reached(self, run: Run, model: Model, change: Change) -> Iterable[Unit]:
        found = list(super().reached(run, model, change))
        return found[:1] if model.reach.next_extract or model.by == "customer" else [change.key[0]]


class ForgetsLaterExtracts(Platform):
    """A change of an extract reaches the next one only, though keys are unknown there."""

    def next_extracts(self, extracts: Table, day: int) -> Iterator[int]:
        yield from list(super().next_extracts(extracts, day))[:1]


class ForgetsThatTimeGoesOn(Platform):
    """What leaves a window is nobody's change, so nobody is rebuilt for it."""

    def due_customers(self, run: Run, model: Model, due: range) -> Iterator[tuple[Unit, int]]:
        return iter(())


class ForgetsRemovedRows(Platform):
    """Affected units are those of the new rows, not of old and new."""

    def reasons(self, run: Run, model: Model) -> Iterator[tuple[Unit, int]]:
        kept = run.changes[model.reads]
        run.changes[model.reads] = [change for change in kept if change.after]
        yield from super().reasons(run, model)
        run.changes[model.reads] = kept


class ForgetsTakeover(Platform):
    """A duplicate is marked when it is found, and stays one when what it equals is gone: easily written."""

    def __init__(self) -> None:
        super().__init__()
        self.duplicates: set[Delivery] = set()

    def discover(self, run: Run | None = None) -> None:
        for delivery in self.undiscovered():
            counting = self.counting(d for d in self.ledger if d not in self.duplicates)
            if any(d.content == delivery.content and d.path != delivery.path for d in counting):
                self.duplicates.add(delivery)
            self.ledger.append(delivery)

    def counting(self, deliveries: Iterable[Delivery]) -> list[Delivery]:
        return super().counting(d for d in deliveries if d not in self.duplicates)


class LosesWhatItCannotRead(Platform):
    """A file that cannot be read takes the place of the one that could."""

    def is_readable(self, delivery: Delivery) -> bool:
        return True

    def commit_to_lake(self, run: Run) -> None:
        for delivery in self.waiting():
            run.attempts.append(len(self.lake))
            self.lake.append(self.read(delivery))


class ReadsWhatTheLedgerDoesNotName(Platform):
    """Staging reads all that stands in the lake, also what killed and earlier attempts left."""

    def live_attempts(self) -> list[tuple[int, Attempt]]:
        arrived = {d.content: d.arrived for d in self.counting(self.ledger)}
        return [(arrived[a.content], a) for a in self.lake if a.content in arrived]


class MarksStaleness(Platform):
    """A day is marked when a delivery of it is read, and the mark is taken away when it is staged."""

    def __init__(self) -> None:
        super().__init__()
        self.marked: set[SourceDay] = set()

    def mark_live(self, run: Run) -> None:
        super().mark_live(run)
        for number in run.attempts:
            (source, _), attempt = self.lake[number].content, self.lake[number]
            self.marked |= {(source, line[0]) for line in (*attempt.good, *attempt.broken)}

    def days_to_stage(self, run: Run, contents: Mapping[SourceDay, Content]) -> set[SourceDay]:
        days = {day for day in self.marked if day[1] <= run.through}
        self.marked -= days
        return days | {(source, day) for source, day in contents if day in run.asked}


class PublishesWhatHasMoved(Platform):
    """No read-set: a run that was stopped publishes over what came in between."""

    def has_moved(self, run: Run) -> bool:
        return False


class ReadsOnlyTables(Platform):
    """The read-set names tables, but not the day up to which they speak: easily written."""

    def read_set(self) -> dict[str, int]:
        return dict(self.versions)


class PublishesInParts(Platform):
    """A crash may fall between the sources and what is made of them."""

    def _take(self, run: Run, stop_before: str | None) -> None:
        if stop_before == "publish" and run.undoes is None:
            super()._take(run, "publish")
            self.days |= run.plan
            return
        super()._take(run, stop_before)


class HoldsWhatReadIt(Platform):
    """A hold pins also the units downstream."""

    def scope(self, run: Run, model: Model) -> dict[Unit, int]:
        held = {
            change.unit
            for hold in self.holds
            for change in self.log[hold.publication - 1].changes[model.name]
            if run.undoes is None
        }
        return {unit: at for unit, at in super().scope(run, model).items() if unit not in held}


class HoldsTooMuch(Platform):
    """A hold pins the day in every source."""

    def pinned(self, publication: Publication) -> dict[SourceDay, Content]:
        days = {day for _, day in publication.brought}
        others = {at: content for at, content in self.days.items() if at[1] in days}
        return others | publication.brought


class HoldsNothing(Platform):
    """A rollback restores, and the next run does it all again."""

    def contents(self, planned: Hold | None = None) -> dict[SourceDay, Content]:
        return super().contents(planned) if planned else self.delivered()


class RestoresWithANewDate(Platform):
    """A restored row is known since the rollback."""

    def restored(self, run: Run, name: str, key: Key, row: Row) -> Row:
        return row


class KeepsRolledBackHistory(Platform):
    """History shows publications that were rolled back."""

    def visible_history(self) -> list[Entry]:
        return self.history


class WritesNoTombstones(Platform):
    """A row that goes leaves its last version in history."""

    def entries(self, publication: Publication, undone: Publication | None) -> Iterator[Entry]:
        return (entry for entry in super().entries(publication, undone) if entry.row)


class DatesByRowsOnly(Platform):
    """A row is known since the rows are that it is made of; that one of them went is no date: easily written."""

    def changed_at(self, old: Content, new: Content) -> int:
        return max([0, *(new.made_of & {d.arrived for d in self.ledger})])


class DatesBackwards(Platform):
    """A tombstone has the date of the row that it removes: easily written."""

    def compare(
        self,
        run: Run,
        name: str,
        unit: Unit,
        key: Key,
        old: Row | None,
        new: Row | None,
        at: int,
        day_of: Callable[[Key, tuple[Any, ...]], int],
    ) -> Change | None:
        change = super().compare(run, name, unit, key, old, new, at, day_of)
        return change._replace(known_at=old.known_at) if change and old and not new else change


class DatesByTheClock(Platform):
    """A row that changes is known since the run that published it."""

    def compare(
        self,
        run: Run,
        name: str,
        unit: Unit,
        key: Key,
        old: Row | None,
        new: Row | None,
        at: int,
        day_of: Callable[[Key, tuple[Any, ...]], int],
    ) -> Change | None:
        newest = max((d.arrived for d in self.ledger), default=0)
        return super().compare(run, name, unit, key, old, new, max(at, newest), day_of)


class ForgetsOccurrences(Platform):
    """An override mends every row of that text."""

    def delivered(self) -> dict[SourceDay, Content]:
        kept = self.overrides
        self.overrides = {(text, n): mended for (text, _), mended in kept.items() for n in range(1, 9)}
        found = super().delivered()
        self.overrides = kept
        return found


class KeepsTheOldRule(Platform):
    """A file is read once, whatever becomes of its contract."""

    def is_read(self, delivery: Delivery) -> bool:
        return delivery.content in self.live_attempt


class PublishesEachTime(Platform):
    """A run publishes though nothing has changed."""

    def publish(self, run: Run) -> None:
        if self.through == run.through:
            self.through -= 1
        super().publish(run)


MUTANTS: tuple[type[Platform], ...] = tuple(Platform.__subclasses__())
