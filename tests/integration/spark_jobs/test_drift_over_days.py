"""Columns that come and go from one day to the next: landed, reported, listed, added to the contract, read again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from typer.testing import CliRunner, Result

from data_platform.cli.main import build_app
from data_platform.intervals import Interval
from data_platform.orchestrate import open_work
from data_platform.runs import StepLog
from data_platform.steps import perform
from data_platform.warehouse.connection import query, transaction
from tests.conftest import Platform, forget_settings
from tests.integration.spark_jobs.drifting import SALES, Columns, text_of, write

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("spark_server")]
FIRST = date(1998, 1, 27)
KNOWN_DATE = 2  # the source's third day is the first with the new columns
CODES: Columns = {
    "Gift card": (pa.string(), ["0012", "77", "B-7", ""]),
    "weight_kg": (pa.string(), ["0.50", "1.25", "", "12"]),
}


@pytest.fixture
def project(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of one contract, which says nothing of drift yet."""
    root = platform.home / "project"
    monkeypatch.setenv("PROJECT_ROOT", str(root))
    (platform.landing / "till/sales").mkdir(parents=True)
    return root


def agree(project: Path, mode: str, form: str, **changes: str) -> Path:
    """Writes the contract."""
    file = project / "contracts/sources/till/sales.odcs.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    text = text_of(mode, form)
    for old, new in changes.items():
        text = text.replace(old, new)
    file.write_text(text, encoding="utf-8")
    forget_settings()
    return file


def land(platform: Platform, form: str, *, days: int = 4, new: Columns, lacking: Sequence[str] = ()) -> None:
    """A file a day; from the known date on with new columns, and without others."""
    for number in range(days):
        day = FIRST + timedelta(days=number)
        columns = SALES | {"day": (SALES["day"][0], [day] * 4)}
        if number >= KNOWN_DATE:
            columns = {way: column for way, column in (new | columns).items() if way not in lacking}
        write(columns, form, platform.landing / f"till/sales/{day}.{form}")


def ingest() -> dict[str, dict[str, Any]]:
    """Takes the step; its lines by subject."""
    run = open_work(Interval(FIRST, FIRST + timedelta(days=4))).run
    assert run
    log: StepLog = perform(run.run_id, "ingest")
    with transaction() as connection:
        query(connection, "update ops.runs set state = 'failed' where run_id = %s returning run_id", (run.run_id,))
    return {line["subject"]: line for line in log.lines}


def staged(*columns: str) -> list[tuple[Any, ...]]:
    """Rows of the days, by day and number."""
    run = open_work(Interval(FIRST, FIRST + timedelta(days=4))).run
    assert run
    perform(run.run_id, "stage")
    with transaction() as connection:
        names = ", ".join(columns)
        rows = query(connection, f'select {names} from "run_{run.run_id}".sales__new order by sold_on, sale_id')
        query(connection, "update ops.runs set state = 'failed' where run_id = %s returning run_id", (run.run_id,))
    return [tuple(row.values()) for row in rows]


def dp(*arguments: str) -> Result:
    forget_settings()
    done = CliRunner().invoke(build_app(), ["contracts", *arguments])
    assert done.exit_code == 0, done.output
    return done


def test_columns_of_a_known_date_land_typed_and_become_the_contract_s(platform: Platform, project: Path) -> None:
    file = agree(project, "evolve", "csv")
    land(platform, "csv", new=CODES, lacking=["note"])

    told = ingest()["sales"]

    assert (told["rows_read"], told["rows_live"], told["rows_quarantined"]) == (16, 16, 0)
    assert "2 unknown fields: Gift card (text, 6 rows), weight_kg (numeric(18,2), 6 rows)" in told["message"]
    assert "missing: note (2 files)" in told["message"]
    rows = staged("note", "other_fields")
    assert [row[1] for row in rows[:8]] == [None] * 8, "before the date it is absent"
    assert [json.loads(row[1], parse_float=Decimal) for row in rows[8:12]] == [
        {"Gift card": "0012", "weight_kg": Decimal("0.50")},
        {"Gift card": 77, "weight_kg": Decimal("1.25")},
        {"Gift card": "B-7"},
        {"weight_kg": 12},
    ]
    assert [row[0] is None for row in rows] == [False] * 8 + [True] * 8
    listed = json.loads(dp("drift", "--json").stdout)
    assert [(r["change"], r["name"], r["type"], r["rows"], r["files"]) for r in listed] == [
        ("new", "Gift card", "text", 6, 2),
        ("new", "weight_kg", "numeric(18,2)", 6, 2),
        ("missing", "note", None, 8, 2),
    ]
    assert {r["first"] for r in listed} == {f"landing/till/sales/{FIRST + timedelta(days=KNOWN_DATE)}.csv"}
    shown = dp("drift", "sales").stdout
    before = file.read_text(encoding="utf-8")

    dp("drift", "sales", "--add")

    after = file.read_text(encoding="utf-8")
    head, holder, tail = before.partition("      - name: other_fields")
    assert after.startswith(head), "all else stays byte for byte"
    assert after.endswith(holder + tail), "all else stays byte for byte"
    added = after[len(head) : len(after) - len(holder + tail)]
    assert "      - name: gift_card  # review: 6 rows since" in added
    assert all(line.strip() in shown for line in added.splitlines()), "what is printed is what is written"
    forget_settings()
    told = ingest()["sales"]
    assert (told["rows_live"], told["message"].count("unknown")) == (16, 0)
    assert staged("gift_card", "weight_kg", "other_fields")[8:12] == [
        ("0012", Decimal("0.50"), None),
        ("77", Decimal("1.25"), None),
        ("B-7", None, None),
        (None, Decimal("12.00"), None),
    ]
    left = json.loads(dp("drift", "sales", "--json").stdout)
    assert [(row["change"], row["name"]) for row in left] == [("missing", "note")]
    again = CliRunner().invoke(build_app(), ["contracts", "drift", "sales", "--add"])
    assert again.exit_code
    assert "nothing came that sales does not name" in again.output


def test_a_mode_that_changes_reads_the_files_again_and_a_frozen_file_is_held_back_alone(
    platform: Platform, project: Path
) -> None:
    agree(project, "freeze", "json")
    land(platform, "json", new={"gift": (pa.int64(), [1, 2, 3, 4])})
    told = ingest()
    assert (told["sales"]["rows_live"], told["sales"]["verdict"]) == (8, "warned")
    refused = f"landing/till/sales/{FIRST + timedelta(days=KNOWN_DATE)}.json"
    assert f"{refused}:1: the object differs from the contract; not in the contract: gift" in told[refused]["message"]

    agree(project, "quarantine", "json")
    told = ingest()
    assert (told["sales"]["rows_read"], told["sales"]["rows_live"], told["sales"]["rows_quarantined"]) == (16, 8, 8)

    agree(project, "evolve", "json")
    told = ingest()
    assert (told["sales"]["rows_read"], told["sales"]["rows_live"]) == (16, 16)
    assert "1 unknown field: gift (bigint, 8 rows)" in told["sales"]["message"]
    assert "sales" not in ingest() or ingest()["sales"]["rows_read"] == 0, "what has been read is not read again"


def test_a_broken_row_is_mended_in_the_order_of_its_own_file(platform: Platform, project: Path, tmp_path: Path) -> None:
    agree(project, "evolve", "csv")
    columns = dict(reversed(SALES.items())) | {"gift": (pa.int64(), [1, 2, 3, 4])}
    columns["quantity"] = (pa.string(), ["1", "many", "3", "4"])
    file = platform.landing / "till/sales/a.csv"
    write(columns, "csv", file)
    ingest()
    mended = tmp_path / "row.txt"
    mended.write_text("en,/2,the note,-0.05,20,1998-01-30,a2,2\n", encoding="utf-8")
    fix = ["quarantine", "fix", "landing/till/sales/a.csv", "3", "--text-file", str(mended), "--reason", "a word"]
    forget_settings()
    delivered = file.read_bytes()
    write(SALES, "csv", file)
    refused = CliRunner().invoke(build_app(), fix)
    assert refused.exit_code
    assert "landing/till/sales/a.csv is no longer the file that the row stands in" in str(refused.exception)
    file.write_bytes(delivered)
    done = CliRunner().invoke(build_app(), fix)
    assert done.exit_code == 0, done.output
    assert ingest()["sales"]["rows_live"] == 4
    rows = staged("sale_id", "note", "quantity", "language", "url", "other_fields")
    assert rows[1] == ("a2", "the note", 20, "en", "/2", '{"gift":2}')
