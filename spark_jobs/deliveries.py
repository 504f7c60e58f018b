"""What a worker does: reads the files that it was given, one after the other, into Arrow batches of strings.

Imports are kept light here and below, because every new Python worker pays for them.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from spark_jobs import table_files, text_files
from spark_jobs.blocks import reader_schema
from spark_jobs.differences import legible
from spark_jobs.records import Layout, UnreadableFileError

# Columns beside those of the reader, with Spark's types. A file ends with a row of line 0, which tells how many
# records were counted at their borders and which columns it lacks, or why the file cannot be read.
DELIVERY_COLUMNS = (
    ("file_id", pa.int64(), "BIGINT"),
    ("ingest_id", pa.int64(), "BIGINT"),
    ("arrived_at", pa.timestamp("us", tz="UTC"), "TIMESTAMP"),
    ("extract_day", pa.date32(), "DATE"),
    ("records", pa.int64(), "BIGINT"),
    ("failure", pa.string(), "STRING"),
    ("missing_columns", pa.string(), "STRING"),
)
TARGET_ROWS = 50_000
TARGET_BYTES = 64 << 20
LONGEST_MESSAGE = 2_000
OUR_FAULT = "this is a fault of the platform: report it, and withdraw the file meanwhile"


@dataclass(frozen=True)
class Source:
    """A file to read in the attempt ``ingest_id``. ``name`` is what messages call it."""

    file_id: int
    ingest_id: int
    file: Path
    name: str
    size_bytes: int
    extract_day: date | None
    arrived_at: datetime


def rows_of(sources: Sequence[Source], layout: Layout) -> Iterator[pa.RecordBatch]:
    """Rows of all sources, in batches of up to about TARGET_ROWS."""
    return merge_small(_each_file(sources, layout))


def _each_file(sources: Sequence[Source], layout: Layout) -> Iterator[pa.RecordBatch]:
    read_file = text_files.read_file if layout.format in {"csv", "json"} else table_files.read_file
    for source in sources:
        records, missing = 0, None
        try:
            for part in read_file(source.file, layout, name=source.name):
                records += part.records
                missing = ",".join(part.missing) or None
                if part.batch is not None:
                    yield with_delivery(part.batch, source)
        except UnreadableFileError as error:
            yield _last_row(source, layout, failure=_told(error))
        except Exception as error:  # noqa: BLE001 - a fault of ours in one file must not keep the others out
            traceback.print_tb(error.__traceback__)  # without the message, which may hold values
            reason = type(error).__name__ if layout.confidential else f"{type(error).__name__}: {error}"
            fault = UnreadableFileError(f"{source.name} cannot be read: {reason}", hint=OUR_FAULT)
            yield _last_row(source, layout, failure=_told(fault))
        else:
            yield _last_row(source, layout, records=records, missing=missing)


def _told(error: UnreadableFileError) -> str:
    """What is wrong with a file, as Arrow and Postgres can hold it and a terminal can show it, whatever is in it."""
    return str(UnreadableFileError(legible(error.message[:LONGEST_MESSAGE]), hint=error.hint))


def with_delivery(
    batch: pa.RecordBatch,
    source: Source,
    records: int | None = None,
    failure: str | None = None,
    missing: str | None = None,
) -> Any:
    """The reader's batch with DELIVERY_COLUMNS before its own."""
    values = (source.file_id, source.ingest_id, source.arrived_at, source.extract_day, records, failure, missing)
    constants = [
        pa.repeat(pa.scalar(value, type=arrow), batch.num_rows)
        for value, (_, arrow, _) in zip(values, DELIVERY_COLUMNS, strict=True)
    ]
    names = [name for name, _, _ in DELIVERY_COLUMNS] + batch.schema.names
    return pa.RecordBatch.from_arrays([*constants, *batch.columns], names=names)


def _last_row(
    source: Source,
    layout: Layout,
    *,
    records: int | None = None,
    failure: str | None = None,
    missing: str | None = None,
) -> Any:
    schema = reader_schema(layout)
    empty = [pa.array([0 if f.name == "line" else None], type=f.type) for f in schema]
    return with_delivery(pa.RecordBatch.from_arrays(empty, schema=schema), source, records, failure, missing)


def merge_small(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Joins batches up to TARGET_ROWS and TARGET_BYTES: a batch has its price, and a file may hold a hundred rows."""
    waiting: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        if waiting and (rows + batch.num_rows > TARGET_ROWS or size + batch.nbytes > TARGET_BYTES):
            yield pa.concat_batches(waiting)
            waiting, rows, size = [], 0, 0
        waiting.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
    if waiting:
        yield pa.concat_batches(waiting)
