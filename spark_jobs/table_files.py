"""Parquet and ORC files as Arrow batches of strings, a few thousand rows at a time.

Their rows are objects like those of JSON; quarantine keeps a row as JSON, and a corrected row is JSON, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from spark_jobs.blocks import Rows, reader_schema
from spark_jobs.objects import ROWS_PER_BLOCK, add_row, to_json
from spark_jobs.records import Layout, UnreadableFileError
from spark_jobs.text_files import AGAIN, Part


def read_file(file: Path, layout: Layout, *, name: str) -> Iterator[Part]:
    """Reads a file; ``name`` is what messages call it. A row's line is its number, from 1.

    Raises:
        UnreadableFileError: when it is no whole file of the format.
    """
    line = 0
    try:
        for batch in _batches(file, layout):
            rows = Rows()
            for found in _objects(batch):
                line += 1
                raw = to_json(found).encode(errors="surrogateescape").decode(errors="backslashreplace")
                add_row(rows, line, layout, raw, found)
            yield Part(rows.batch(reader_schema(layout)), len(rows.lines))
    except (pa.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise UnreadableFileError(f"{name} is not a whole {layout.format} file: {reason}", hint=AGAIN) from None


def _batches(file: Path, layout: Layout) -> Iterator[pa.RecordBatch]:
    if layout.format == "parquet":
        from pyarrow.parquet import ParquetFile

        with ParquetFile(file) as rows:
            yield from rows.iter_batches(batch_size=ROWS_PER_BLOCK)
        return
    from pyarrow.orc import ORCFile

    stripes = ORCFile(file)
    for number in range(stripes.nstripes):
        yield from pa.Table.from_batches([stripes.read_stripe(number)]).to_batches(max_chunksize=ROWS_PER_BLOCK)


def _objects(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    try:
        return batch.to_pylist()
    except UnicodeDecodeError:  # as bytes, so that a broken text breaks its own row
        columns = [column.cast(_bytes_for_text(column.type)) for column in batch.columns]
        return pa.RecordBatch.from_arrays(columns, names=batch.schema.names).to_pylist()


def _bytes_for_text(of: pa.DataType) -> pa.DataType:
    if pa.types.is_struct(of):
        return pa.struct([pa.field(inner.name, _bytes_for_text(inner.type)) for inner in of])
    if pa.types.is_list(of):
        return pa.list_(_bytes_for_text(of.value_type))
    return pa.binary() if pa.types.is_string(of) else pa.large_binary() if pa.types.is_large_string(of) else of
