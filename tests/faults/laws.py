"""The laws of state, checked after every event of a history by an observer that knows only what came from outside.

It shares with the platform what a line means and what a unit of a table is made of (``shop.py``), but nothing of
ledger, lake, staleness, scopes and publications.
"""

from __future__ import annotations

from collections import Counter, defaultdict

from tests.faults.algebra import Change, Platform, Publication
from tests.faults.histories import History, Release
from tests.faults.shop import (
    DAY,
    DELAY,
    FEATURES,
    MODELS,
    ORIGINS,
    SOURCES,
    TABLES,
    Facts,
    Key,
    SourceDay,
    Value,
    clean_build,
    end_of,
    values,
)
from tests.faults.world import Guide


class BrokenLaw(AssertionError):
    """A law of state does not hold."""


def require(holds: bool, law: str, *facts: object) -> None:
    """Raises BrokenLaw with what is known of it, unless it holds."""
    if not holds:
        raise BrokenLaw(f"{law}: {'; '.join(map(str, facts))}")


class Observer(Guide):
    """Leads a platform through a history and checks the laws after each event."""

    def __init__(self, platform: Platform) -> None:
        super().__init__(platform)
        self.occurred: Counter[str] = Counter()
        self.versions: dict[SourceDay, list[tuple[int, Facts]]] = defaultdict(list)
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
                require(
                    published[name] == clean[name], "tables equal a clean build", name, published[name], clean[name]
                )
            self.check_every_row_is_accounted_for()

    def check_publication(self, publication: Publication) -> None:
        """What was published is what its inputs make; what was written is what differs from the one before."""
        before, inputs = self.states[-1], publication.inputs
        self.states.append(self.platform.tables)
        in_order = self.note_versions(publication)
        clean = self.clean(inputs, publication.through)
        for name in TABLES:
            now = values(self.platform.tables[name])
            require(
                now == clean[name], "a publication is what its inputs make", name, publication.number, now, clean[name]
            )
            was = values(before[name])
            differing = {key for key in now.keys() | was.keys() if now.get(key) != was.get(key)}
            written = {change.key for change in publication.changes[name]}
            require(written == differing, "only rows that differ are written", name, written ^ differing)
            for change in publication.changes[name]:
                self.check_known_at(publication, name, change, ORIGINS[name] in in_order)
        self.check_history(publication)
        if publication.kind == "rollback" and self.platform.log[publication.number - 2].is_rolled_back:
            self.check_restored(self.platform.log[publication.number - 2])

    def note_versions(self, publication: Publication) -> set[str]:
        """Notes what a publication brought; returns the sources whose changes came in order.

        That is: in one step each, and after all that was published before. Extracts are compared with each other, and
        of several that change at once one may undo what the other did; so only one of them.
        """
        last = self.platform.log[publication.number - 2].through if publication.number > 1 else -1
        arrivals = {end_of(day) for day in range(last + 1, publication.through + 1)}
        in_order: set[str] = set(SOURCES)
        extracts: set[int] = set()
        for day in self.brought(publication):
            facts = publication.inputs.get(day, ())
            tick, is_direct = self.came(day, facts)
            self.versions[day].append((tick, facts))
            arrivals.add(tick)
            if day[0] == "customers":
                extracts.add(tick)
            if not is_direct:
                in_order.discard(day[0])
        if len(extracts) > 1:
            in_order.discard("customers")
        if min(arrivals, default=0) < self.newest_published:
            in_order.clear()
        self.newest_published = max([self.newest_published, *arrivals])
        return in_order

    def check_known_at(self, publication: Publication, name: str, change: Change, is_in_order: bool) -> None:
        """By then all had arrived that gives the row this value, and it is not later than what came last.

        What is published after something that arrived later, or though something came and went since the publication
        before, has a value that all inputs never had at its arrival; of it only the end of its interval is asked. A row
        that is restored was judged when it was first published.
        """
        known_at = change.after.known_at if change.after else change.known_at
        value = change.after.value if change.after else None
        if value is not None:
            require(known_at >= end_of(day_of(name, change.key, value)), "known_at is not before the end", name, change)
        is_restored = change.after is not None and known_at != change.known_at
        if is_in_order and not is_restored:
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
        told = [e for e in self.platform.visible_history() if e.publication >= publication.number]
        require(all(e.key[0] > through for e in told), "history forgets what was rolled back", told)

    def check_every_row_is_accounted_for(self) -> None:
        """Of each day that is not held: lines that count are rows published or rows in quarantine."""
        held = {day for pins in self.world.pins.values() for day in pins}
        landed: Counter[SourceDay] = Counter()
        for (source, line), copies in self.world.lines().items():
            landed[source, line[0]] += copies
        accounted: Counter[SourceDay] = Counter({("purchases", line[0]): 0 for line in self.platform.quarantined()})
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
