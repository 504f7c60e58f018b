"""What a source says of its deliveries: ``landing/<source>/manifest.jsonl``, of each path the last line."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from data_platform.failures import InputError
from data_platform.settings import get_settings

MANIFEST = "manifest.jsonl"
HINT = (
    'a line reads {"path": "shop/x.csv", "arrived_at": "1997-01-02T01:00:00+00:00"}'
    ' or {"path": "shop/x.csv", "withdrawn": true}'
)


@dataclass(frozen=True)
class Said:
    """When a path arrived; None when it is withdrawn."""

    arrived_at: datetime | None

    @property
    def is_withdrawn(self) -> bool:
        return self.arrived_at is None


def read_manifest(source: str) -> dict[str, Said]:
    """Path (``landing/…``) to what the source's manifest says of it; empty when there is none.

    Raises:
        InputError: naming the line that cannot be read.
    """
    file = Path(get_settings().landing) / source / MANIFEST
    told: dict[str, Said] = {}
    if not file.exists():
        return told
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            entry = json.loads(line)
            told[f"landing/{entry['path']}"] = _said(entry)
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"landing/{source}/{MANIFEST}:{number}:1: not a manifest line: {error}", hint=HINT
            ) from None
    return told


def _said(entry: dict[str, Any]) -> Said:
    if entry.get("withdrawn", False) is True:
        return Said(None)
    arrived_at = datetime.fromisoformat(entry["arrived_at"])
    if arrived_at.tzinfo is None:
        raise ValueError("arrived_at has no time zone")
    return Said(arrived_at)
