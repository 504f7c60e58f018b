"""Deliveries as one DataFrame of strings: one task reads several files, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from data_platform.contracts.model import Contract
from data_platform.ledger import Delivery, local_path
from spark_jobs.blocks import reader_schema
from spark_jobs.deliveries import DELIVERY_COLUMNS, Source, rows_of
from spark_jobs.records import Layout

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

G = TypeVar("G")
BYTES_PER_TASK = 8_000_000
MOST_TASKS = 64


def layout_of(contract: Contract) -> Layout:
    """How the contract's files are written."""
    dialect = contract.dialect
    return Layout(
        columns=tuple(c.name if contract.extract else c.delivered_name for c in contract.columns),
        names=tuple(c.name for c in contract.columns),
        separator=None if dialect.separator == "blanks" else dialect.separator,
        quote=dialect.quote,
        header=dialect.header and contract.format == "csv",
        encoding=dialect.encoding,
        compression=dialect.compression,
        confidential=contract.is_personal,
        format=contract.format,
        unknown=contract.unknown_fields,
        escape=dialect.escape,
        skip_lines=dialect.skip_lines,
        comment=dialect.comment,
        footer=dialect.footer,
        drift=contract.drift,
        types=tuple(c.physical_type for c in contract.columns) if contract.format != "csv" else (),
        required=frozenset(c.name for c in contract.columns if c.required),
        formatted=frozenset(c.name for c in contract.columns if c.options.format),
        decimal=dialect.decimal,
        nulls=dialect.null_values,
    )


def source_of(delivery: Delivery, ingest_id: int) -> Source:
    """Where a delivery's file is read from, in an attempt."""
    return Source(
        file_id=delivery.file_id,
        ingest_id=ingest_id,
        file=local_path(delivery.path),
        name=delivery.path,
        size_bytes=delivery.size_bytes,
        extract_day=delivery.extract_day,
        arrived_at=delivery.arrived_at,
    )


def read_sources(spark: SparkSession, sources: Sequence[Source], layout: Layout) -> DataFrame:
    """Rows of all sources as strings, with DELIVERY_COLUMNS."""
    return frame_of(spark, share_out(sources), lambda group: rows_of(group, layout), layout)


def frame_of(
    spark: SparkSession, groups: Sequence[G], read: Callable[[G], Iterator[pa.RecordBatch]], layout: Layout
) -> DataFrame:
    """What ``read`` makes of each group, a task a group: strings as the reader gives them, with DELIVERY_COLUMNS."""

    def read_groups(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for index in batch.column(0).to_pylist():
                yield from read(groups[index])

    columns = [f"`{name}` {sql}" for name, _, sql in DELIVERY_COLUMNS]
    columns += [f"`{f.name}` {'BIGINT' if f.name == 'line' else 'STRING'}" for f in reader_schema(layout)]
    return spark.range(0, len(groups), 1, len(groups)).mapInArrow(read_groups, ", ".join(columns))


def share_out(sources: Sequence[Source]) -> list[list[Source]]:
    """Groups of about equal size, in the given order: neighbours hold neighbouring days. A group is a task's work."""
    total = sum(s.size_bytes for s in sources)
    tasks = min(MOST_TASKS, len(sources), 1 + total // BYTES_PER_TASK)
    groups: list[list[Source]] = [[]]
    filled = 0
    for source in sources:
        if groups[-1] and filled * tasks >= total * len(groups):
            groups.append([])
        groups[-1].append(source)
        filled += source.size_bytes
    return groups
