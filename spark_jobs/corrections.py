"""Corrected rows: texts that stand in the place of broken rows, read like a file of one record each.

They are Fernet tokens up to the worker that reads them, so that Spark's plans, logs and disks hold none of their
values; from there on they go the way of all rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from data_platform.contracts.model import Contract
from data_platform.privacy import decrypt, encrypter, quarantine_key
from spark_jobs.blocks import Rows, read_slowly, reader_schema
from spark_jobs.deliveries import Source, merge_small, with_delivery
from spark_jobs.objects import add_row, parse_line
from spark_jobs.reading import frame_of, layout_of
from spark_jobs.records import Layout, UnreadableFileError
from spark_jobs.shapes import Shape, own_shape
from spark_jobs.text_files import read_shape

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True)
class Correction:
    """What to read instead of the row on a line of a delivery; ``token`` is encrypted under QUARANTINE_KEY."""

    source: Source
    line: int
    token: bytes


def encrypted(text: str) -> bytes:
    """A corrected text as corrections carry it."""
    return encrypter(quarantine_key())(text).encode()


def read_corrections(spark: SparkSession, corrections: Sequence[Correction], contract: Contract) -> DataFrame:
    """A row a correction, as strings, with DELIVERY_COLUMNS: what ``transform`` takes."""
    layout = layout_of(contract)
    read = partial(_rows_of, layout=layout, key=quarantine_key())
    return frame_of(spark, [tuple(corrections)], read, layout)


def _rows_of(corrections: Sequence[Correction], layout: Layout, key: bytes) -> Iterator[pa.RecordBatch]:
    shapes = {source: _shape_of(source, layout) for source in {c.source for c in corrections}}
    batches = (
        with_delivery(read_text(decrypt(c.token, key), c.line, layout, shapes[c.source]), c.source) for c in corrections
    )
    return merge_small(batches)


def _shape_of(source: Source, layout: Layout) -> Shape:
    """The shape of the file that a broken row stands in: a corrected one has its columns, in its order."""
    if layout.finds_by_name:
        with suppress(UnreadableFileError):
            return read_shape(source.file, layout, name=source.name)
    return own_shape(layout)


def read_text(text: str, line: int, layout: Layout, shape: Shape | None = None) -> pa.RecordBatch:
    """The one record of a text, which is JSON unless files are delimited; a broken one where it is none, or several."""
    if layout.format != "csv":
        rows = Rows()
        # A text is no file: what its row is broken by, breaks nothing else.
        add_row(rows, line, replace(layout, drift="quarantine"), text, *parse_line(text.strip().encode()))
        return rows.batch(reader_schema(layout))
    shape = shape or own_shape(layout)
    block = read_slowly(text.encode(), line, shape.layout, final=True)
    if block.records == 1:
        return shape.conform(block.batches[0])
    broken = Rows([line], ["fields"], [None], [text], [(None,) * len(layout.names)])
    return broken.batch(reader_schema(layout))
