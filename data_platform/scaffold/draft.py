"""What was found out of a new dataset: all that its contract and its profile are written from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from data_platform.contracts.parts import Dialect
from data_platform.scaffold.columns import Column
from data_platform.scaffold.personal import Finding
from data_platform.scaffold.types import Type


@dataclass
class DraftColumn:
    """A column of the contract, and what its values are.

    Attributes:
        missing: rows without a value, as the contract reads them.
        is_free: people may have written what they liked.
    """

    name: str
    found: Column
    kind: Type
    missing: int
    personal: Finding | None = None
    remarks: list[str] = field(default_factory=list)
    in_key: bool = False
    holds_unknown: bool = False
    is_free: bool = False

    @property
    def required(self) -> bool:
        """Whether every row that was read has a value."""
        return not self.missing and not self.holds_unknown

    @property
    def path(self) -> str:
        """Its name in the delivery."""
        return self.found.path


@dataclass
class Draft:
    """A dataset as found.

    Attributes:
        location: pattern of paths in landing, or ``schema.table`` of another database.
        sampled: what was read of it, in words.
        remarks: what a person must decide of the whole.
        cursor: of a table of another database.
    """

    source: str
    dataset: str
    form: str
    location: str
    dialect: Dialect
    columns: list[DraftColumn]
    rows: int
    sampled: str
    kind: str = "events"
    day: str = ""
    why_day: str = ""
    repeated_rows: int = 0
    broken: dict[str, int] = field(default_factory=dict)
    frequency_days: int = 1
    cursor: str = ""
    remarks: list[str] = field(default_factory=list)
    made_on: str = field(default_factory=lambda: f"{datetime.now(UTC):%Y-%m}")

    @property
    def key(self) -> list[str]:
        """Names of the columns that tell rows apart."""
        return [c.name for c in self.columns if c.in_key]

    @property
    def is_personal(self) -> bool:
        """Whether any column is held to be personal."""
        return any(c.personal for c in self.columns)


def day_column(column: DraftColumn, taken: list[str], *, instead: bool) -> DraftColumn:
    """The day of a column of times, as a column."""
    stem = column.name
    for ending in ("_at", "_time", "_timestamp", "_ts", "_datetime"):
        stem = stem.removesuffix(ending)
    stem = "event" if stem in {"at", "time", "timestamp", "ts", "date", "datetime"} else stem
    name = f"{stem}_on" if f"{stem}_on" not in taken else f"{column.name}_day"
    form: Any = column.found.form
    spark = (form.format if form else "") or "yyyy-MM-dd['T'][ ]HH:mm:ss[.SSSSSS][XXX]"
    remarks = ["the time of day is not kept"] if instead else []
    return replace(column, name=name, kind=Type("date", spark), remarks=remarks, in_key=False)
