"""Dirty files, generated: what each is, and what must become of it. ``python -m tests.pollutions`` writes the table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from data_platform.contracts.model import Format

Row = tuple[str, str | None, str, str]  # the delivered id, note, weight and sending day, as they must be published

FIRST: Row = ("00017", "first", "1.500", "1998-01-30")
SECOND: Row = ("00018", "second", "0.001", "1998-01-30")
THIRD: Row = ("00019", "third", "12.000", "1998-01-31")
CLEAN = (FIRST, SECOND, THIRD)
NAMES = ("id", "note", "weight", "sent")


@dataclass(frozen=True)
class Pollution:
    """A file that is not what a tutorial shows.

    Attributes:
        name: what is wrong, or only unusual, with it.
        live: rows that must be published, in any order; no other may.
        broken: the line of each row that must go to quarantine → the rule that it breaks.
        refused: what the message says when the whole file must be held back; otherwise empty.
        dialect: what the contract says of such files.
    """

    group: str
    name: str
    content: bytes
    live: tuple[Row, ...] = CLEAN
    broken: Mapping[int, str] = field(default_factory=dict)
    refused: str = ""
    dialect: Mapping[str, Any] = field(default_factory=dict)
    form: Format = "csv"
    ending: str = ""

    @property
    def outcome(self) -> Literal["loaded", "quarantined", "refused"]:
        return "refused" if self.refused else "quarantined" if self.broken else "loaded"

    @property
    def file_name(self) -> str:
        words = "".join(c if c.isascii() and c.isalnum() else " " for c in f"{self.group} {self.name}").split()
        return "_".join(words).lower() + (self.ending or f".{self.form}")


class Group:
    """Collects the pollutions of one kind."""

    def __init__(self, name: str, **shared: Any) -> None:
        self.name = name
        self.found: list[Pollution] = []
        self._shared = shared

    def loaded(self, name: str, content: bytes | str, *live: Row, **more: Any) -> None:
        """A file that is read right; as it stands, unless rows are given, they are the clean ones."""
        self._add(name, content, live=live or CLEAN, **more)

    def empty(self, name: str, content: bytes | str, **more: Any) -> None:
        """A file that is read right, and has no rows."""
        self._add(name, content, live=(), **more)

    def quarantined(self, name: str, content: bytes | str, broken: dict[int, str], *live: Row, **more: Any) -> None:
        """A file with broken rows; what is given besides is live."""
        self._add(name, content, live=live, broken=broken, **more)

    def refused(self, name: str, content: bytes | str, message: str, **more: Any) -> None:
        """A file that is held back as a whole."""
        self._add(name, content, live=(), refused=message, **more)

    def _add(self, name: str, content: bytes | str, **more: Any) -> None:
        whole = content if isinstance(content, bytes) else content.encode()
        self.found.append(Pollution(self.name, name, whole, **{**self._shared, **more}))


def all_pollutions() -> list[Pollution]:
    """Every one, in the order of the table."""
    from tests.pollutions import packed, rows, tables, texts, values

    return [p for module in (rows, texts, values, packed, tables) for group in module.GROUPS for p in group.found]
