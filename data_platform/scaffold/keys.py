"""What tells rows apart, and which day a row belongs to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_platform.scaffold.draft import DraftColumn
from data_platform.scaffold.personal import PEOPLE
from data_platform.scaffold.reading import Rows
from data_platform.scaffold.samples import Sample

FEWEST_ROWS = 20  # with fewer, a key is an accident
MOST_PARTS, MOST_CANDIDATES = 3, 7
IS_ID = re.compile(
    r"(^|_)(id|no|nr|num|number|code|key|uuid|sku|symbol|reference|ref|line|item|seq|sequential|position)(_|$)"
)
ID_TYPES = ("text", "uuid", "integer", "bigint", "date")
EVENT = re.compile(
    r"order|purchase|event|invoice|transaction|trade|book|sold|sale|visit|created|occur|^date|^day|_on$|_at$"
)
LATER = re.compile(r"due|deliver|ship|valid|expir|updat|modif|end|limit|estimat|approv|cancel")
PRIME = np.uint64(0x9E3779B97F4A7C15)
EPOCH = date(1970, 1, 1).toordinal()
NEAR_DAYS = 2
MOST_FILES_NEAR = 0.8


@dataclass(frozen=True)
class Grain:
    """What one row is: its key, and how many rows equal another of their file."""

    key: tuple[str, ...]
    repeated_rows: int
    repeats_over_files: bool


@dataclass(frozen=True)
class Day:
    """Where the day of a row comes from, and why it is thought so.

    Attributes:
        column: the column with it; else it is that of the file's name.
        read_as: the column is a time in the delivery, and read once more (or only) as its day.
    """

    kind: str
    column: DraftColumn | None
    why: str
    read_as: str = ""  # "twin" or "instead"


def find_grain(columns: Sequence[DraftColumn], rows: Rows) -> Grain:
    """The smallest key among columns that look like parts of one, over all rows or else within each file."""
    hashes = [c.found.all_hashes() for c in columns]
    if not hashes or not len(hashes[0]):
        return Grain((), 0, repeats_over_files=False)
    files = rows.file_of_row().astype(np.uint64)
    fit = [at for at, c in enumerate(columns) if _may_be_of_key(c)][:MOST_CANDIDATES]
    repeated = 0
    for within_file in (False, True) if files.max() else (False,):
        of_file = [files] if within_file else []
        repeated = _repeats(_mixed([*hashes, *of_file]))
        if repeated or rows.count < FEWEST_ROWS:
            continue
        for size in range(1, MOST_PARTS + 1):
            for parts in combinations(fit, size):
                if not _repeats(_mixed([hashes[at] for at in parts] + of_file)):
                    return Grain(tuple(columns[at].name for at in parts), 0, repeats_over_files=within_file)
    return Grain((), repeated, repeats_over_files=False)


def _repeats(hashes: NDArray[np.uint64]) -> int:
    return len(hashes) - len(np.unique(hashes))


def _may_be_of_key(column: DraftColumn) -> bool:
    kept = column.personal is None or column.personal.policy == "hash"
    return column.required and kept and column.kind.physical in ID_TYPES and bool(IS_ID.search(column.name))


def _mixed(hashes: Sequence[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    """One hash of several, a row."""
    found: Any = np.zeros(len(hashes[0]), np.uint64)
    with np.errstate(over="ignore"):
        for each in hashes:
            found = (found ^ (each + PRIME + (found << np.uint64(6)) + (found >> np.uint64(2)))) * PRIME
    return found


def find_day(columns: Sequence[DraftColumn], grain: Grain, sample: Sample, dataset: str, *, of_objects: bool) -> Day:
    """The day of a row, from a column, or from the file's name."""
    moments = [c for c in columns if c.kind.physical in {"date", "timestamptz"} and c.required and c.personal is None]
    moments.sort(key=lambda c: (bool(LATER.search(c.name)), not EVENT.search(c.name), c.kind.physical != "date"))
    if sample.days:
        near = next((c for c in moments if _is_near(c, sample.days)), None)
        if near:
            why = f"{near.name} is the day in the file's name, or next to it"
            return _of_column(near, why, of_objects=of_objects, by_path=True)
        if grain.repeats_over_files:
            return Day(
                "snapshot",
                None,
                f"{', '.join(grain.key)} tells rows apart within a file, and stands in others again: full extracts",
            )
        if moments or len(sample.files) == 1:
            return Day(
                "snapshot", None, "no column is near the day in the file's name: each file seems to be a full extract"
            )
        return Day("events", None, "no column tells the day: it is that of the file's name")
    is_register = bool(PEOPLE.search(dataset)) and bool(grain.key)
    if moments and not (is_register and len(sample.files) == 1):
        found = moments[0]
        if found.kind.physical == "date" or of_objects or not grain.key or len(sample.files) > 1:
            return _of_column(found, f"{found.name} has a value in every row", of_objects=of_objects, by_path=False)
    land = "land each extract under its day, like 2026-01-31.csv"
    return Day("snapshot", None, f"nothing tells the day of a row, so each file is a full extract; {land}")


def _of_column(column: DraftColumn, why: str, *, of_objects: bool, by_path: bool) -> Day:
    if column.kind.physical == "date":
        return Day("events", column, why)
    if of_objects:
        return Day("events", column, f"{why}; its UTC day is read from the same field", "twin")
    if by_path:
        return Day("events", None, f"{why}; the file's name has the day, as delimited text gives a column once")
    return Day(
        "events",
        column,
        f"{why}; read as a day, as delimited text gives a column once: the time of day is lost",
        "instead",
    )


def _is_near(column: DraftColumn, days: Sequence[date]) -> bool:
    form = column.found.form
    if form is None or len(form.spans) != len(days):
        return False
    of_files = [day.toordinal() - EPOCH for day in days]
    near = sum(
        abs(first - day) <= NEAR_DAYS and abs(last - day) <= NEAR_DAYS
        for (first, last), day in zip(form.spans, of_files, strict=True)
    )
    return near >= MOST_FILES_NEAR * len(days)
