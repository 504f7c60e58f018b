"""Everything that is compiled from contracts and committed; and whether the tree agrees with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from data_platform.contracts.compile import heading
from data_platform.contracts.compile.catalog import catalog_page
from data_platform.contracts.compile.dbt import FOLDER, property_files
from data_platform.contracts.model import Contract

CATALOG = "docs/catalog.md"


@dataclass(frozen=True)
class Drift:
    """Where the tree differs from what the contracts say."""

    outdated: tuple[Path, ...]
    stale: tuple[Path, ...]

    def __bool__(self) -> bool:
        return bool(self.outdated or self.stale)


def compile_all(contracts: Iterable[Contract], root: Path) -> dict[Path, str]:
    """Path → text of each generated file below the project's ``root``."""
    found = list(contracts)
    return {root / name: text for name, text in {**property_files(found), CATALOG: catalog_page(found)}.items()}


def find_drift(files: Mapping[Path, str], root: Path) -> Drift:
    """Generated files that are missing or differ, and those that no contract asks for any more."""
    outdated = [path for path, text in files.items() if not path.exists() or path.read_text("utf-8") != text]
    mark = heading("")[: -len("; do not edit")]
    there = (root / FOLDER).glob("*.yml")
    stale = [path for path in there if path not in files and path.read_text("utf-8").startswith(f"# {mark}")]
    return Drift(tuple(sorted(outdated)), tuple(sorted(stale)))


def mend_drift(files: Mapping[Path, str], drift: Drift) -> None:
    """Writes what is outdated and removes what is stale; other files keep their time stamps."""
    for path in drift.outdated:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[path], encoding="utf-8")
    for path in drift.stale:
        path.unlink()
