"""A drafted contract reads all that it was made from: every row is good, and every value is what was written."""

from __future__ import annotations

import csv
import gzip
import io
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.orc
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from data_platform.contracts.model import Contract
from data_platform.ledger import discover
from data_platform.scaffold import contract as contracts
from data_platform.scaffold.dataset import draft_of_files
from data_platform.warehouse.connection import query, transaction
from spark_jobs.deliveries import Source
from spark_jobs.reading import layout_of, read_sources
from spark_jobs.session import get_spark
from spark_jobs.transform import check
from tests.conftest import Platform

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("spark_server")]
WORDS = st.text(st.sampled_from("abcXYZ äöß£é,;|'\"\n\t.-/#"), min_size=1, max_size=12)
DAYS = st.dates(date(1950, 1, 1), date(2049, 12, 31))
TIMES = st.datetimes(datetime(1990, 1, 1), datetime(2040, 1, 1)).map(lambda t: t.replace(microsecond=0))


def number(low: int, high: int, places: int) -> st.SearchStrategy[Decimal]:
    return st.integers(low, high).map(lambda n: Decimal(n).scaleb(-places))


# Name → values, and how each is written. A value comes out of the contract as it went in, whatever its column's type.
KINDS: dict[str, tuple[st.SearchStrategy[Any], Any]] = {
    "word": (WORDS.filter(lambda w: w.strip() == w and w not in "-?"), str),
    "code": (st.integers(0, 99999).map(lambda n: f"0{n:05d}"), str),
    "count": (st.integers(-(10**6), 10**6), str),
    "big": (st.integers(0, 10**17), str),
    "amount": (number(-(10**9), 10**9, 3), lambda d: f"{d:.3f}"),
    "whole": (st.integers(0, 99_999).map(lambda n: Decimal(n)), lambda d: f"{d}.0"),
    "ratio": (st.floats(-1e300, 1e300, width=64), lambda f: f"{f:.17e}"),
    "flag": (st.booleans(), lambda b: "true" if b else "false"),
    "day": (DAYS, str),
    "german_day": (DAYS, lambda d: f"{d:%d.%m.%Y}"),
    "moment": (TIMES, lambda t: t.isoformat(sep=" ")),
    "id": (st.uuids(), str),
}


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], list[list[Any]], list[str]]:
    """Kinds of columns, rows of values with some missing, and the text for a missing value."""
    kinds = draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=2, max_size=6))
    null = draw(st.sampled_from(["", "NULL", "NA"]))
    rows = draw(
        st.lists(
            st.tuples(*[st.none() | KINDS[k][0] if n % 2 else KINDS[k][0] for n, k in enumerate(kinds)]),
            min_size=3,
            max_size=25,
        )
    )
    return kinds, [list(row) for row in rows], [null]


def read_back(contract: Contract, files: list[Path]) -> list[dict[str, Any]]:
    """The rows of files as ingestion checks and types them, before any policy."""
    sources = [
        Source(n, 0, file, str(file), file.stat().st_size, date(2024, 1, 1), datetime.now(UTC))
        for n, file in enumerate(files)
    ]
    spark = get_spark()
    strings = read_sources(spark, sources, layout_of(contract))
    kept = contract.model_copy(
        update={
            "columns": tuple(
                c.model_copy(update={"classification": "internal", "custom": type(c.custom)()})
                for c in contract.columns
            )
        }
    )
    rows = [row.asDict() for row in check(strings, kept).orderBy("file_id", "line").collect()]
    assert not [row["failure"] for row in rows if row["failure"]]
    return [row for row in rows if row["line"]]


def plain(value: Any) -> Any:
    """A value without its type: a code may be a text or a number, a day a date or its time."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=None) if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float | Decimal):
        return Decimal(repr(value)) if isinstance(value, float) else Decimal(value).normalize() + 0
    return str(value) if value is not None and not isinstance(value, date) else value


@settings(max_examples=10, suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate])
@given(
    table=tables(),
    separator=st.sampled_from(",;\t|"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
    ending=st.sampled_from(["\n", "\r\n"]),
    final_newline=st.booleans(),
    packed=st.booleans(),
)
def test_delimited_text_is_read_as_it_was_written(
    table: Any,
    separator: str,
    encoding: str,
    ending: str,
    final_newline: bool,
    packed: bool,
    platform: Platform,
    tmp_path_factory: Any,
) -> None:
    kinds, rows, (null,) = table
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, lineterminator=ending)
    writer.writerow([f"{kind}_{n}" for n, kind in enumerate(kinds)])  # with blanks, all texts might be values
    writer.writerows([null if v is None else KINDS[k][1](v) for k, v in zip(kinds, row, strict=True)] for row in rows)
    written = text.getvalue() if final_newline else text.getvalue().removesuffix(ending)
    file = tmp_path_factory.mktemp("files") / ("things.csv.gz" if packed else "things.csv")
    content = written.encode(encoding, "replace")
    file.write_bytes(gzip.compress(content) if packed else content)
    draft = draft_of_files("shop", "things", [str(file)])
    contract = contracts.parse(contracts.write(draft), draft)
    assert not draft.broken
    found = read_back(contract, [file])
    assert [(row["line"], row["rule"], row["rule_column"]) for row in found if row["rule"]] == []
    assert len(found) == len(rows)
    for row, values in zip(found, rows, strict=True):
        for column, kind, value in zip(contract.columns, kinds, values, strict=True):
            if column.options.format and column.physical_type == "date" and isinstance(value, datetime):
                value = value.date()
            expected = (
                value if value is None or column.physical_type != "text" else _as_read(KINDS[kind][1](value), encoding)
            )
            assert plain(row[column.name]) == plain(expected), (column, value)


@settings(max_examples=6, suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate])
@given(table=tables(), form=st.sampled_from(["lines", "array", "parquet", "orc"]))
def test_objects_are_read_as_they_were_written(
    table: Any, form: str, platform: Platform, tmp_path_factory: Any
) -> None:
    kinds, rows, _ = table
    names = [f"{kind}_{n}" for n, kind in enumerate(kinds)]
    folder = tmp_path_factory.mktemp("objects")
    objects = [{"in": {n: v for n, v in zip(names, row, strict=True) if v is not None}, "seen": "x"} for row in rows]
    if form in {"lines", "array"}:
        file = folder / "things.json"
        texts = [json.dumps(o, default=_in_json, ensure_ascii=False) for o in objects]
        file.write_text("\n".join(texts) if form == "lines" else f"[{', '.join(texts)}]", encoding="utf-8")
    else:
        file = folder / f"things.{form}"
        columns = {n: [_in_arrow(v) for v in column] for n, column in zip(names, zip(*rows, strict=True), strict=True)}
        {"parquet": pyarrow.parquet, "orc": pyarrow.orc}[form].write_table(pa.table(columns), file)
    draft = draft_of_files("shop", "things", [str(file)])
    contract = contracts.parse(contracts.write(draft), draft)
    found = read_back(contract, [file])
    assert [(row["line"], row["rule"], row["rule_column"]) for row in found if row["rule"]] == []
    assert len(found) == len(rows)
    read = {c.physical_name or c.name: c for c in contract.columns if not c.name.endswith("_on")}
    for row, values in zip(found, rows, strict=True):
        for name, kind, value in zip(names, kinds, values, strict=True):
            column = read.get(f"in.{name}" if form in {"lines", "array"} else name)
            if column is not None:
                expected = KINDS[kind][1](value) if column.physical_type == "text" and value is not None else value
                assert plain(row[column.name]) == plain(expected), (column, value)
            else:
                assert value is None


def _in_json(value: Any) -> Any:
    return str(value) if not isinstance(value, datetime) else value.isoformat()


def _in_arrow(value: Any) -> Any:
    return str(value) if value is not None and type(value).__name__ == "UUID" else value


def _as_read(text: str, encoding: str) -> str:
    return text.encode(encoding, "replace").decode(encoding).removeprefix("\ufeff")


@pytest.mark.parametrize("form", ["sales_%Y_%m_%d.csv", "sales-%Y%m%d.csv", "%Y-%m-%d.csv"])
def test_the_drafted_path_takes_the_files_that_it_was_drafted_from(form: str, platform: Platform) -> None:
    folder = platform.landing / "shop" / "sales"
    folder.mkdir(parents=True)
    days = [date(2024, 1, 30), date(2024, 1, 31)]
    for day in days:
        (folder / day.strftime(form)).write_text("city,n\nBonn,1\nBerlin,2\n")
    draft = draft_of_files("shop", "sales", [str(folder / "*")])
    contract = contracts.parse(contracts.write(draft), draft)
    with transaction() as connection:
        discover(connection, [contract])
        rows = query(connection, "select extract_day from ops.files order by path")
    assert [row["extract_day"] for row in rows] == days
