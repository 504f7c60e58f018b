"""The shop of the model: two sources, five tables made of them, and what one clean build makes of their inputs.

Days are whole numbers. A table is ``unit → {key: Row}``; its unit is a day, or a customer. Each table is one function
of a unit and of the table before it, as a dbt model is one query with ``in_scope``: a clean build calls it for all
units, a run only for those in scope. Which those are is the platform's business (``algebra.py``).

    purchases ── daily ──┬── busy     a day looks 2 days back and 1 ahead
                         └── recent   the feature, with history: windows that days leave by themselves
    customers ── changes ── current   extracts compared with the one before; the newest change of a customer
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

CUSTOMERS = ("ann", "bob", "eve")
UNREADABLE = "?"  # as a customer: a number that nobody can read
BROKEN = -1  # an amount that no rule lets pass
WINDOWS = (2, 4)
DAY = 100  # ticks of the clock
DELAY = 10  # ticks after a day's end by which its files should be there
UNKNOWN = ("unknown",)  # value of a row whose key stands in quarantine

Unit = Any  # a day or a customer
Key = tuple[Any, ...]
Value = tuple[Any, ...]
Line = tuple[int, str, Any]  # day, customer, amount or country
Source = Literal["purchases", "customers"]
SOURCES: tuple[Source, ...] = ("purchases", "customers")
SourceDay = tuple[Source, int]
Facts = tuple[tuple[Key, Value], ...]  # what a source says of one day, in the order of keys


class Row(NamedTuple):
    """A row's value, and since when it could be known, in ticks."""

    value: Value
    known_at: int


Rows = dict[Key, Row]
Table = dict[Unit, Rows]
Tables = dict[str, Table]


def end_of(day: int) -> int:
    """The tick from which a day is over and its files should be there."""
    return (day + 1) * DAY + DELAY


def passes(source: Source, line: Line, *, strict: bool) -> bool:
    """Whether a line passes the contract; a strict one wants more of it than the other."""
    _, customer, told = line
    if source == "purchases":
        return bool(told > 0 or (told == 0 and not strict))
    return customer != UNREADABLE and not (strict and told == "old")


def facts_of(source: Source, day: int, good: Iterable[Line], broken: Iterable[Line]) -> Facts:
    """Rows of a day from all of its lines, in whatever files and order they stand."""
    if source == "customers":
        known = [((day, customer), (country,)) for _, customer, country in good]
        return tuple(sorted([*known, *(((day, customer), UNKNOWN) for _, customer, _ in broken)]))
    seen: dict[Line, int] = {}
    rows: list[tuple[Key, Value]] = []
    for line in good:
        seen[line] = seen.get(line, 0) + 1
        rows.append(((*line, seen[line]), ()))
    return tuple(sorted(rows))


@dataclass(frozen=True)
class Reach:
    """How far a change of what a table reads reaches.

    A change of day D touches D + first … D + last, ``next_extract`` also the extract after D, and on while keys are
    unknown. A customer with a row on day D is due on D and ``due_after`` days later, though nothing changes.
    """

    first: int = 0
    last: int = 0
    next_extract: bool = False
    due_after: tuple[int, ...] = ()


@dataclass(frozen=True)
class Model:
    """A table: what a unit of it is, what it reads and how far that reaches, and its rows of one unit."""

    name: str
    by: Literal["day", "customer"]
    reads: str
    reach: Reach
    rows: Callable[[Unit, Table, int], Rows]

    def day_of(self, key: Key, value: Value) -> int:
        """The day that a row belongs to."""
        return int(key[0] if len(key) > 1 else value[0])


def daily_rows(day: int, purchases: Table, through: int) -> Rows:
    """Count and sum of a customer's purchases of a day."""
    rows: Rows = {}
    for (on, customer, amount, _), row in purchases.get(day, {}).items():
        (count, total), known_at = rows.get((on, customer), Row((0, 0), 0))
        rows[on, customer] = Row((count + 1, total + amount), max(known_at, row.known_at))
    return rows


def busy_rows(day: int, daily: Table, through: int) -> Rows:
    """Purchases of the day, the two before and the one after, if there are any."""
    seen = [row for on in range(day - 2, day + 2) for row in daily.get(on, {}).values()]
    return {(day, "all"): Row((sum(r.value[0] for r in seen),), max(r.known_at for r in seen))} if seen else {}


def recent_rows(customer: str, daily: Table, through: int) -> Rows:
    """Sums over windows and over all time, on each day on which one of them changes."""
    bought = [(day, daily[day][day, customer]) for day in sorted(daily) if (day, customer) in daily[day]]
    moments = {day + after for day, _ in bought for after in (0, *WINDOWS)}
    rows: Rows = {}
    for moment in moments:
        if moment <= through:
            so_far = [(day, row) for day, row in bought if day <= moment]
            sums = [sum(r.value[1] for day, r in so_far if day > moment - window) for window in (*WINDOWS, moment + 1)]
            rows[moment, customer] = Row(tuple(sums), max(r.known_at for _, r in so_far))
    return rows


def change_rows(day: int, customers: Table, through: int) -> Rows:
    """Who appeared, changed or vanished since the extract before; of an unknown key nothing is told."""
    if day not in customers:
        return {}
    before, known_at = told_by([on for on in sorted(customers) if on < day], customers)
    present = customers[day]
    known_at = max([known_at, *(row.known_at for row in present.values())])
    unknown = {key[1] for key, row in present.items() if row.value == UNKNOWN}
    rows: Rows = {}
    for (_, customer), row in present.items():
        if row.value != UNKNOWN and before.get(customer) != row.value:
            rows[day, customer] = Row(row.value, known_at)
    for customer in before:
        if (day, customer) not in present and UNREADABLE not in unknown:
            rows[day, customer] = Row(("gone",), known_at)
    return rows


def told_by(extracts: list[int], customers: Table) -> tuple[dict[str, Value], int]:
    """What extracts tell together: the last of them, and of keys unknown there what the one before told.

    Returns also since when all that was looked at could be known.
    """
    if not extracts:
        return {}, 0
    last = customers[extracts[-1]]
    told = {key[1]: row.value for key, row in last.items() if row.value != UNKNOWN}
    known_at = max(row.known_at for row in last.values())
    unknown = {key[1] for key, row in last.items() if row.value == UNKNOWN}
    if unknown:
        before, known_before = told_by(extracts[:-1], customers)
        known_at = max(known_at, known_before)
        carried = {c: v for c, v in before.items() if c in unknown or UNREADABLE in unknown}
        told = {**carried, **told}
    return told, known_at


def current_rows(customer: str, changes: Table, through: int) -> Rows:
    """The newest change of a customer who is still there."""
    told = [(day, changes[day][day, customer]) for day in sorted(changes) if (day, customer) in changes[day]]
    if not told or told[-1][1].value == ("gone",):
        return {}
    since, row = told[-1]
    return {(customer,): Row((since, *row.value), max(row.known_at for _, row in told))}


MODELS = (
    Model("daily", "day", "purchases", Reach(), daily_rows),
    Model("busy", "day", "daily", Reach(first=-1, last=2), busy_rows),
    Model("recent", "customer", "daily", Reach(due_after=WINDOWS), recent_rows),
    Model("changes", "day", "customers", Reach(next_extract=True), change_rows),
    Model("current", "customer", "changes", Reach(), current_rows),
)
FEATURES = ("recent",)
TABLES = (*SOURCES, *(model.name for model in MODELS))


def origin_of(table: str) -> str:
    """The source that a table is made of in the end."""
    reads = {model.name: model.reads for model in MODELS}
    while table in reads:
        table = reads[table]
    return table


ORIGINS = {table: origin_of(table) for table in TABLES}


def clean_build(inputs: Mapping[SourceDay, Facts], through: int) -> dict[str, dict[Key, Value]]:
    """Every table from nothing, as key → value: what published state has to equal wherever nothing is stale."""
    tables: Tables = {source: {} for source in SOURCES}
    for (source, day), facts in inputs.items():
        if facts and day <= through:
            tables[source][day] = {key: Row(value, 0) for key, value in facts}
    for model in MODELS:
        units: Iterable[Unit] = range(through + 1) if model.by == "day" else CUSTOMERS
        built = {unit: model.rows(unit, tables[model.reads], through) for unit in units}
        tables[model.name] = {unit: rows for unit, rows in built.items() if rows}
    return {name: values(table) for name, table in tables.items()}


def values(table: Table) -> dict[Key, Value]:
    """A table as key → value."""
    return {key: row.value for rows in table.values() for key, row in rows.items()}
