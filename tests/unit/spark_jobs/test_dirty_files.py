"""Dirty files by the reader alone, and what huge ones cost."""

from __future__ import annotations

import tracemalloc
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from spark_jobs import deliveries, text_files
from spark_jobs.records import MAX_RECORD_BYTES, Layout, UnreadableFileError
from tests.pollutions import NAMES, Pollution, all_pollutions
from tests.pollutions.page import PAGE, page

SMALL = [p for p in all_pollutions() if p.form in {"csv", "json"} and not p.ending and len(p.content) < 400]
KEYS = {"skipLines": "skip_lines"}
OF_VALUES = {"decimal", "thousands", "nullValues"}


def layout_of(pollution: Pollution) -> Layout:
    own: dict[str, Any] = {KEYS.get(k, k): v for k, v in pollution.dialect.items() if k not in OF_VALUES}
    if own.get("separator") == "blanks":
        own["separator"] = None
    drift = "freeze" if pollution.form == "csv" else "quarantine"
    return Layout(NAMES, NAMES, **{"header": pollution.form == "csv", **own, "format": pollution.form, "drift": drift})


def test_the_table_of_outcomes_is_up_to_date() -> None:
    assert PAGE.read_text("utf-8") == page(), "run `python -m tests.pollutions`"


def test_names_of_pollutions_differ() -> None:
    names = [pollution.file_name for pollution in all_pollutions()]
    assert len(set(names)) == len(names) >= 150


def outcome(file: Path, layout: Layout, chunk_bytes: int) -> tuple[list[dict[str, Any]], str]:
    rows: list[dict[str, Any]] = []
    try:
        for part in text_files.read_file(file, layout, name="x", chunk_bytes=chunk_bytes):
            rows += part.batch.to_pylist() if part.batch is not None else []
    except UnreadableFileError as error:
        return [], error.message
    for row in rows:
        row["raw"] = row["raw"].rstrip("\r\n")
    return sorted(rows, key=lambda row: row["line"]), ""


@pytest.mark.parametrize("pollution", SMALL, ids=lambda pollution: pollution.file_name)
def test_where_chunks_end_makes_no_difference(pollution: Pollution, tmp_path: Path) -> None:
    file = tmp_path / pollution.file_name
    file.write_bytes(pollution.content)
    whole = outcome(file, layout_of(pollution), 1 << 20)
    for chunk_bytes in (1, 50):
        assert outcome(file, layout_of(pollution), chunk_bytes) == whole


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"id," * 8_000_000, "x:1: the line is longer than"),
        (b"id,note,weight,sent\n00017," + b"x" * 24_000_000, "x:2: the line is longer than"),
        (b"\0" * 24_000_000, "x:1: the line is longer than"),
    ],
)
def test_a_line_without_end_is_refused_before_it_fills_the_memory(content: bytes, message: str, tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_bytes(content)
    tracemalloc.start()
    try:
        assert outcome(file, Layout(NAMES, NAMES), 1 << 20)[1].startswith(message)
        assert tracemalloc.get_traced_memory()[1] < 12 * MAX_RECORD_BYTES
    finally:
        tracemalloc.stop()


def test_an_open_quote_at_the_beginning_of_megabytes_costs_its_row_only(tmp_path: Path) -> None:
    rows = 120_000
    file = tmp_path / "x.csv"
    file.write_bytes(b'id,note,weight,sent\n00020,"open,1,1998-01-31\n' + b"00017,a note,1.500,1998-01-30\n" * rows)
    parts = list(text_files.read_file(file, Layout(NAMES, NAMES), name="x"))
    errors = pa.chunked_array([part.batch.column("error") for part in parts if part.batch is not None])
    assert sum(part.records for part in parts) == len(errors) == rows + 1
    assert errors.drop_null().to_pylist() == ["quote"]


def test_a_fault_of_the_reader_harms_no_other_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = []
    for number, name in enumerate(("good", "bad", "fine"), start=1):
        file = tmp_path / name
        file.write_bytes(b"1,a,1,1998-01-30\n")
        sources.append(deliveries.Source(number, 1, file, name, 20, None, datetime(1998, 2, 1, tzinfo=UTC)))
    read_file = text_files.read_file

    def fail(file: Path, layout: Layout, *, name: str) -> Any:
        if name == "bad":
            raise RuntimeError("its value\0\ud800")
        return read_file(file, layout, name=name)

    monkeypatch.setattr(text_files, "read_file", fail)
    (table,) = deliveries.rows_of(sources, Layout(NAMES, NAMES, header=False))
    last = {row["file_id"]: row for row in table.to_pylist() if row["line"] == 0}
    assert [last[n]["records"] for n in (1, 2, 3)] == [1, None, 1]
    assert last[2]["failure"].startswith(r"bad cannot be read: RuntimeError: its value\x00\ud800")
    (table,) = deliveries.rows_of(sources[1:2], Layout(NAMES, NAMES, header=False, confidential=True))
    assert "its value" not in table.to_pylist()[0]["failure"]


def test_long_rows_are_not_joined_beyond_memory() -> None:
    batch = pa.RecordBatch.from_pydict({"text": ["x" * (1 << 20)] * 40})
    joined = list(deliveries.merge_small(iter([batch] * 4)))
    assert [part.num_rows for part in joined] == [40] * 4
