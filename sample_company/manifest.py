"""``manifest.jsonl``: what landed, when it arrived, and which rows are broken on purpose.

The platform reads ``path`` and ``arrived_at`` of each line; the rest is what tests hold the quarantine to.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from data_platform.failures import InputError
from sample_company.planted import BrokenLine

NAME = "shop/manifest.jsonl"


class Entry(BaseModel):
    """One landed file.

    ``rows`` counts data rows, broken ones included; ``broken`` counts these by kind; ``generator`` names what wrote the
    file, so that a file of an earlier version or another seed is written anew.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    arrived_at: datetime
    rows: int
    broken: dict[str, int]
    broken_lines: tuple[BrokenLine, ...]
    sha256: str
    generator: str

    @classmethod
    def of(
        cls, path: str, arrived_at: datetime, *, rows: int, broken: tuple[BrokenLine, ...], sha256: str, generator: str
    ) -> Entry:
        """An entry whose counts follow from its broken lines."""
        return cls(
            path=path,
            arrived_at=arrived_at,
            rows=rows,
            broken=dict(sorted(Counter(line.kind for line in broken).items())),
            broken_lines=broken,
            sha256=sha256,
            generator=generator,
        )

    def to_line(self) -> str:
        """The entry as one line of JSON."""
        fields = dict(self) | {
            "arrived_at": self.arrived_at.isoformat(),
            "broken_lines": [asdict(line) for line in self.broken_lines],
        }
        return json.dumps(fields, ensure_ascii=False) + "\n"


class Manifest:
    """The entries of a landing folder by path; lines about files of others are kept as they stand."""

    def __init__(self, landing: Path) -> None:
        self.landing = landing
        self._ours: dict[str, Entry] = {}
        self._others: list[str] = []

    @classmethod
    def read(cls, landing: Path) -> Manifest:
        """Reads the manifest of a landing folder; an absent one is empty.

        Raises:
            InputError: naming the line that is not an entry.
        """
        manifest = cls(landing)
        file = landing / NAME
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        for number, line in enumerate(lines, start=1):
            try:
                fields = _json_object(line)
                if "generator" in fields:
                    manifest.add(Entry.model_validate(fields))
                else:
                    manifest._others.append(line + "\n")
            except (ValueError, TypeError, ValidationError) as error:
                raise InputError(
                    f"{file}:{number}:1: not an entry of the manifest: {error}",
                    hint="remove the line; `dp simulate company` writes it again",
                ) from None
        return manifest

    def add(self, entry: Entry) -> None:
        """Adds or replaces the entry of a path."""
        self._ours[entry.path] = entry

    def get(self, path: str) -> Entry | None:
        """The entry of a path, if there is one."""
        return self._ours.get(path)

    def __iter__(self) -> Iterator[Entry]:
        """Entries in the order of arrival."""
        return iter(sorted(self._ours.values(), key=lambda entry: (entry.arrived_at, entry.path)))

    def __len__(self) -> int:
        return len(self._ours)

    def to_text(self) -> str:
        """The file's content: a function of the entries, whatever the order in which they were added."""
        return "".join([*(entry.to_line() for entry in self), *self._others])


def _json_object(line: str) -> dict[str, Any]:
    fields = json.loads(line)
    if not isinstance(fields, dict):
        raise TypeError("a line is a JSON object")
    return fields
