"""Each change of columns, in each mode and format: what docs/drift.md says comes out, and each row is accounted for."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from data_platform.settings import PROJECT_ROOT
from spark_jobs.deliveries import Source
from spark_jobs.reading import layout_of, read_sources
from spark_jobs.session import get_spark
from spark_jobs.transform import transform
from tests.conftest import Platform
from tests.integration.spark_jobs.drifting import CHANGES, FORMATS, NAMES, SALES, contract_of, objects, write

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("spark_server")]
MODES = ("freeze", "quarantine", "evolve")
NOT_POSSIBLE = "n/a"


def table_of_outcomes() -> Iterator[tuple[str, str, str, str]]:
    """Mode, change, format and outcome: the cells of the page's tables."""
    mode, formats = "", []
    for line in (PROJECT_ROOT / "docs/drift.md").read_text(encoding="utf-8").splitlines():
        first, *cells = [cell.strip() for cell in line.strip("|").split("|")]
        if first in MODES:
            mode, formats = first, cells
        elif mode and first in CHANGES:
            yield from ((mode, first, form, cell) for form, cell in zip(formats, cells, strict=True))


OUTCOMES = {(mode, form, change): outcome for mode, change, form, outcome in table_of_outcomes()}


def test_the_page_tells_of_every_change_mode_and_format() -> None:
    cells = [(mode, form, change) for mode in MODES for form in FORMATS for change in CHANGES]
    assert sorted(OUTCOMES) == sorted(cells)
    impossible = {(form, change) for (_, form, change), outcome in OUTCOMES.items() if outcome == NOT_POSSIBLE}
    of_objects = {change for change in CHANGES if "object" in change}
    of_headers = {(form, "the header written otherwise") for form in FORMATS if form != "csv"}
    assert impossible == {("csv", change) for change in of_objects} | of_headers


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("mode", MODES)
def test_what_the_page_says_comes_out(mode: str, form: str, platform: Platform, tmp_path: Path) -> None:
    contract = contract_of(tmp_path, mode, form)
    outcomes = {c: OUTCOMES[mode, form, c] for c in CHANGES if OUTCOMES[mode, form, c] != NOT_POSSIBLE}
    sources = []
    for number, change in enumerate(outcomes):
        file = tmp_path / f"{number}.{form}"
        write(CHANGES[change], form, file)
        arrived = datetime(1998, 1, 31, tzinfo=UTC)
        sources.append(Source(number, 1, file, f"{number}.{form}", file.stat().st_size, None, arrived))

    rows = transform(read_sources(get_spark(), sources, layout_of(contract)), contract).collect()

    found: dict[int, list[Any]] = defaultdict(list)
    for row in rows:
        found[row["file_id"]].append(row)
    for number, change in enumerate(outcomes):
        if "file" not in outcomes[change] and form != "json":
            (last,) = [row for row in found[number] if row["line"] == 0]
            assert (last["missing_columns"] or "").split(",") == (missing(change) or [""]), change
    assert {change: outcome_of(found[number], change) for number, change in enumerate(outcomes)} == outcomes, (
        "the first is what came out, the second what docs/drift.md says"
    )


def outcome_of(rows: list[Any], change: str) -> str:
    """What became of a file, in the page's words; each value that is live must be the one that was sold."""
    (last,) = [row for row in rows if row["line"] == 0]
    if last["failure"]:
        assert last["failure"].count("\n  → ") == last["failure"].count("\n") == 1, "one message, with what to do"
        known = ("perhaps renamed", "not in the contract", "of another type", "missing", "the order differs")
        return f"file: {next(words for words in known if words in last['failure'])}"
    rows = sorted((row for row in rows if row["line"]), key=lambda row: row["line"])
    assert last["records"] == len(rows) == 4
    rules = [row["rule"] for row in rows if row["rule"]]
    live = [(at, row.asDict()) for at, row in enumerate(rows) if not row["rule"]]
    for at, row in live:
        assert {name: row[name] for name in NAMES} == expected(change, at)
    if rules:
        assert len(set(rules)) == 1
        assert all(row["raw"] for row in rows if row["rule"])
        return f"{'row' if len(rules) == 1 else 'rows'}: {rules[0]}"
    kept = [row.get("other_fields") for _, row in live]
    if kept == [None] * 4:
        return "live"
    assert [json.loads(text or "{}", parse_float=Decimal) for text in kept] == unknown(change)
    assert "{}" not in kept
    return "kept"


def expected(change: str, at: int) -> dict[str, Any]:
    """The values of a live row: those that were sold, or nothing where the delivery does not have their column."""
    written_otherwise = change == "the header written otherwise"
    return {
        name: SALES[way][1][at] if way in CHANGES[change] or written_otherwise else None for name, way in NAMES.items()
    }


def missing(change: str) -> list[str]:
    """The contract's columns that a delivery does not have, which whoever is on call hears of."""
    return [name for name, way in NAMES.items() if way not in CHANGES[change] and "otherwise" not in change]


def unknown(change: str) -> list[dict[str, Any]]:
    """What a delivery has beside the contract's columns, where there is a value."""
    new = {way: column for way, column in CHANGES[change].items() if way not in SALES}
    rows = objects(new)
    without_values = [all(values[at] is None for _, values in new.values()) for at in range(len(rows))]
    return [{} if nothing else row for row, nothing in zip(rows, without_values, strict=True)]
