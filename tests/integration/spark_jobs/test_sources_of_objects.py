"""A source that delivers JSON, Parquet or ORC needs a contract and nothing else."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.orc
import pyarrow.parquet
import pytest
from typer.testing import CliRunner

from data_platform.cli.main import build_app
from data_platform.intervals import Interval
from data_platform.orchestrate import open_work
from data_platform.runs import StepLog
from data_platform.steps import perform
from data_platform.warehouse.connection import query, transaction
from tests.conftest import Platform, forget_settings
from tests.contracts import change_contract

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("spark_server")]
PROJECT = Path(__file__).parent / "project"
DAY = date(1998, 1, 30)


@pytest.fixture
def landing(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the site's files land."""
    monkeypatch.setenv("PROJECT_ROOT", str(PROJECT))
    forget_settings()
    folder = platform.landing / "web/visits"
    folder.mkdir(parents=True)
    return folder


def visit(number: int, **more: Any) -> dict[str, Any]:
    return {"id": f"v{number}", "at": f"{DAY}T23:59:5{number}+00:00", "page": {"url": f"/{number}"}, **more}


def lines(*visits: dict[str, Any] | str) -> bytes:
    return "".join((v if isinstance(v, str) else json.dumps(v)) + "\n" for v in visits).encode()


def take(*steps: str) -> tuple[str, dict[str, StepLog]]:
    run = open_work(Interval.of_day(DAY)).run
    assert run
    return run.run_id, {step: perform(run.run_id, step) for step in steps}


def staged(run_id: str) -> list[dict[str, Any]]:
    with transaction() as connection:
        return query(connection, f'select * from "run_{run_id}".visits__new order by visit_id')


def test_nested_json_becomes_typed_columns_and_no_line_is_lost(landing: Path) -> None:
    price = '{"id": "v2", "at": "1998-01-31T00:59:52+01:00", "page": {"url": "/2", "product": {"price": 0.100}}}'
    (landing / "a.jsonl").write_bytes(lines(visit(1, visitor={"member": True, "lang": "de"}), price))
    (landing / "b.jsonl.gz").write_bytes(
        gzip.compress(
            lines(visit(3, coupon="X", page={"url": "/3"}), visit(4, at="yesterday"), '{"id": "v5"', visit(6))
        )
    )
    run_id, logs = take("ingest", "gate:ingest", "stage", "gate:stage")
    (told,) = [line for line in logs["ingest"].lines if line["subject"] == "visits"]
    assert (told["rows_read"], told["rows_live"], told["rows_quarantined"]) == (6, 4, 2)
    assert "2 unknown fields: coupon (text, 1 row), visitor.lang (text, 1 row)" in told["message"]
    rows = {row["visit_id"]: row for row in staged(run_id)}
    assert rows.keys() == {"v1", "v2", "v3", "v6"}
    assert {row["visited_on"] for row in rows.values()} == {DAY}
    assert rows["v2"]["visited_at"] == datetime(1998, 1, 30, 23, 59, 52, tzinfo=UTC)
    assert str(rows["v2"]["price_usd"]) == "0.100"
    assert rows["v1"]["is_member"] is True
    assert json.loads(rows["v1"]["other_fields"]) == {"visitor": {"lang": "de"}}
    assert rows["v6"]["other_fields"] is None
    with transaction() as connection:
        broken = query(connection, "select line, rule, column_name, raw_text from quarantine.rows order by line")
    assert [(r["line"], r["rule"], r["column_name"]) for r in broken] == [(2, "type", "visited_at"), (3, "json", None)]
    assert broken[1]["raw_text"] == '{"id": "v5"'


def test_a_broken_object_is_mended_by_an_override(landing: Path, tmp_path: Path) -> None:
    (landing / "a.jsonl").write_bytes(lines(visit(1), visit(2, page={"url": "/2", "product": {"price": "cheap"}})))
    take("ingest")
    mended = tmp_path / "row.txt"
    mended.write_bytes(lines(visit(2, page={"url": "/2", "product": {"price": 1.5}})))
    fix = ["quarantine", "fix", "landing/web/visits/a.jsonl", "2", "--text-file", str(mended), "--reason", "a typo"]
    done = CliRunner().invoke(build_app(), fix)
    assert done.exit_code == 0, done.output
    run_id, _ = take("ingest", "stage")
    assert [row["price_usd"] for row in staged(run_id)] == [None, Decimal("1.500")]


@pytest.mark.parametrize("form", ["parquet", "orc"])
def test_a_table_file_is_read_by_the_same_contract(form: str, landing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change_contract(monkeypatch, "visits", format=form, location=f"landing/web/visits/*.{form}")
    pages = [{"url": f"/{n}", "product": {"price": Decimal(n) / 8, "colour": "red"}} for n in range(3)]
    table = pa.table(
        {
            "id": ["v0", "v1", None],
            "at": [f"{DAY}T10:00:0{n}Z" for n in range(3)],
            "page": pages,
        }
    )
    write = pyarrow.parquet.write_table if form == "parquet" else pyarrow.orc.write_table
    write(table, landing / f"a.{form}")
    (landing / f"b.{form}").write_bytes(b"PAR1 or not")
    run_id, logs = take("ingest", "gate:ingest", "stage", "gate:stage")
    told, failed = [line for line in logs["ingest"].lines if line["subject"] != "calls"]
    assert (told["rows_read"], told["rows_live"], told["rows_quarantined"]) == (3, 2, 1)
    assert "1 unknown field: page.product.colour (text, 2 rows), missing: is_member (1 file)" in told["message"]
    assert f"landing/web/visits/b.{form} is not a whole {form} file" in failed["message"]
    assert [str(row["price_usd"]) for row in staged(run_id)] == ["0.000", "0.125"]
