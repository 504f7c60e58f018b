"""Deliveries as one DataFrame of strings: one task reads several files, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from data_platform.contracts.model import Contract
from data_platform.failures import InputError
from data_platform.ledger import Delivery, local_path
from spark_jobs.blocks import reader_schema
from spark_jobs.delimited import UnreadableFileError, read_file
from spark_jobs.records import Layout

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

COMPRESSION = {"gzip": True, "none": False, "infer": None}
# Columns of the DataFrame beside those of the reader. A file ends with a row of line 0, which tells how many records
# were counted at their borders, or why the file cannot be read.
DELIVERY_COLUMNS = (
    ("file_id", pa.int64(), "BIGINT"),
    ("arrived_at", pa.timestamp("us", tz="UTC"), "TIMESTAMP"),
    ("extract_day", pa.date32(), "DATE"),
    ("records", pa.int64(), "BIGINT"),
    ("failure", pa.string(), "STRING"),
)
TARGET_ROWS = 50_000


@dataclass(frozen=True)
class Source:
    """A file to read, as a worker needs to know it."""

    file_id: int
    file: Path
    name: str
    size_bytes: int
    extract_day: date | None
    arrived_at: datetime


def layout_of(contract: Contract) -> Layout:
    """How the contract's files are written.

    Raises:
        InputError: for a separator or quote outside of ASCII, or an unknown encoding.
    """
    dialect = contract.dialect
    for what, text in (("separator", dialect.separator), ("quote", dialect.quote)):
        if text and not text.isascii():
            raise InputError(f"{contract.path}: the dialect's {what} {text!r} is not an ASCII character")
    try:
        "".encode(dialect.encoding)
    except LookupError:
        raise InputError(f"{contract.path}: the dialect's encoding {dialect.encoding!r} is unknown") from None
    return Layout(
        columns=tuple(c.delivered_name for c in contract.columns),
        names=tuple(c.name for c in contract.columns),
        separator=None if dialect.separator == "blanks" else dialect.separator,
        quote=dialect.quote,
        header=dialect.header,
        encoding=dialect.encoding,
        gzip=COMPRESSION[dialect.compression],
        confidential=contract.is_personal,
    )


def source_of(delivery: Delivery) -> Source:
    """Where a delivery's file is read from."""
    return Source(
        file_id=delivery.file_id,
        file=local_path(delivery.path),
        name=delivery.path,
        size_bytes=delivery.size_bytes,
        extract_day=delivery.extract_day,
        arrived_at=delivery.arrived_at,
    )


def read_sources(spark: SparkSession, sources: Sequence[Source], layout: Layout, tasks: int) -> DataFrame:
    """Rows of all sources as strings, with DELIVERY_COLUMNS."""
    groups = share_out(sources, tasks)

    def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for index in batch.column(0).to_pylist():
                yield from merge_small(_rows_of(groups[index], layout))

    columns = [f"`{name}` {sql}" for name, _, sql in DELIVERY_COLUMNS]
    columns += [f"`{f.name}` {'BIGINT' if f.name == 'line' else 'STRING'}" for f in reader_schema(layout)]
    return spark.range(0, len(groups), 1, len(groups)).mapInArrow(read, ", ".join(columns))


def share_out(sources: Sequence[Source], tasks: int) -> list[list[Source]]:
    """Groups of about equal size, largest files first; at most one group a source."""
    groups: list[list[Source]] = [[] for _ in range(min(tasks, len(sources)))]
    sizes = [0] * len(groups)
    for source in sorted(sources, key=lambda s: -s.size_bytes):
        smallest = sizes.index(min(sizes))
        groups[smallest].append(source)
        sizes[smallest] += source.size_bytes + 1
    return groups


def _rows_of(sources: Sequence[Source], layout: Layout) -> Iterator[pa.RecordBatch]:
    for source in sources:
        records = 0
        try:
            for part in read_file(source.file, layout, name=source.name):
                records += part.records
                if part.batch is not None:
                    yield _with_delivery(part.batch, source)
        except UnreadableFileError as error:
            yield _last_row(source, layout, failure=str(error))
        else:
            yield _last_row(source, layout, records=records)


def _with_delivery(
    batch: pa.RecordBatch, source: Source, records: int | None = None, failure: str | None = None
) -> Any:
    values = (source.file_id, source.arrived_at, source.extract_day, records, failure)
    constants = [
        pa.repeat(pa.scalar(value, type=arrow), batch.num_rows)
        for value, (_, arrow, _) in zip(values, DELIVERY_COLUMNS, strict=True)
    ]
    names = [name for name, _, _ in DELIVERY_COLUMNS] + batch.schema.names
    return pa.RecordBatch.from_arrays([*constants, *batch.columns], names=names)


def _last_row(source: Source, layout: Layout, *, records: int | None = None, failure: str | None = None) -> Any:
    schema = reader_schema(layout)
    empty = [pa.array([0 if f.name == "line" else None], type=f.type) for f in schema]
    return _with_delivery(pa.RecordBatch.from_arrays(empty, schema=schema), source, records, failure)


def merge_small(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Joins batches up to TARGET_ROWS: a batch has its price, and a day's file may hold a hundred rows."""
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        if waiting and rows + batch.num_rows > TARGET_ROWS:
            yield pa.concat_batches(waiting)
            waiting, rows = [], 0
        waiting.append(batch)
        rows += batch.num_rows
    if waiting:
        yield pa.concat_batches(waiting)
