"""Parquet and ORC files as Arrow batches of strings, a few thousand rows at a time.

Their rows are objects like those of JSON; quarantine keeps a row as JSON, and a corrected row is JSON, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from spark_jobs.blocks import Rows, reader_schema
from spark_jobs.differences import HINT, NOT_SHOWN, Difference, printable_name
from spark_jobs.file_schemas import compare_schema, missing_columns
from spark_jobs.objects import ROWS_PER_BLOCK, add_row, printable, to_json
from spark_jobs.records import Layout, UnreadableFileError
from spark_jobs.text_files import Part
from spark_jobs.text_streams import AGAIN


def read_file(file: Path, layout: Layout, *, name: str) -> Iterator[Part]:
    """Reads a file; ``name`` is what messages call it. A row's line is its number, from 1.

    Raises:
        UnreadableFileError: when it is no whole file of the format, or the contract does not let such columns count.
    """
    line = 0
    by_value = replace(layout, drift="quarantine")  # the schema is refused as a whole, or not at all
    try:
        for batch in _batches(file, layout, name):
            rows = Rows()
            for found in _objects(batch):
                line += 1
                add_row(rows, line, by_value, printable(to_json(found)), found)
            yield Part(rows.batch(reader_schema(layout)), len(rows.lines), missing_columns(batch.schema, layout))
    except (pa.ArrowException, OSError, ValueError, ArithmeticError, LookupError, RecursionError) as error:
        # What Arrow says may hold values.
        reason = type(error).__name__ if layout.confidential else str(error).partition("\n")[0]
        raise UnreadableFileError(f"{name} is not a whole {layout.format} file: {reason}", hint=AGAIN) from None


def _batches(file: Path, layout: Layout, name: str) -> Iterator[pa.RecordBatch]:
    if layout.format == "parquet":
        from pyarrow.parquet import ParquetFile

        # Times as Spark and Hive used to write them would overflow in nanoseconds.
        with ParquetFile(file, coerce_int96_timestamp_unit="us", page_checksum_verification=True) as rows:
            _check_schema(rows.schema_arrow, layout, name)
            yield from rows.iter_batches(batch_size=ROWS_PER_BLOCK)
        return
    from pyarrow.orc import ORCFile

    stripes = ORCFile(file)
    _check_schema(stripes.schema, layout, name)
    for number in range(stripes.nstripes):
        yield from pa.Table.from_batches([stripes.read_stripe(number)]).to_batches(max_chunksize=ROWS_PER_BLOCK)


def _check_schema(schema: pa.Schema, layout: Layout, name: str) -> None:
    if (twin := _find_twin(schema)) is not None:
        shown = NOT_SHOWN if layout.confidential else printable_name(twin)
        raise UnreadableFileError(f"{name} cannot be read: two columns are called {shown}", hint=HINT)
    if layout.drift == "freeze" and (difference := compare_schema(schema, layout)) != Difference():
        told = difference.in_words(confidential=layout.confidential)
        raise UnreadableFileError(f"{name}: its columns differ from the contract's; {told}", hint=HINT)


def _find_twin(fields: Iterable[pa.Field]) -> str | None:
    """The name of two columns, of which nobody can say which is meant."""
    seen: set[str] = set()
    for field in fields:
        if field.name in seen:
            return str(field.name)
        seen.add(field.name)
        if pa.types.is_struct(field.type) and (twin := _find_twin(field.type)) is not None:
            return twin
    return None


def _objects(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    try:
        yield from batch.to_pylist()
    except Exception:  # noqa: BLE001 - a value that Python cannot hold must break its own row only
        for row in range(batch.num_rows):
            yield {name: _value(batch.column(name)[row]) for name in batch.schema.names}


def _value(scalar: Any) -> Any:
    """A value, or where Python cannot hold it its text, which its column's type refuses."""
    try:
        return scalar.as_py()
    except Exception:  # noqa: BLE001 - see above
        if isinstance(scalar, pa.StructScalar):
            return {field.name: _value(scalar[field.name]) for field in scalar.type}
        if isinstance(scalar, pa.ListScalar | pa.LargeListScalar | pa.FixedSizeListScalar | pa.MapScalar):
            return [_value(inner) for inner in scalar.values]
        if isinstance(scalar, pa.DictionaryScalar):
            return _value(scalar.value)
        if isinstance(scalar, pa.StringScalar | pa.LargeStringScalar):
            return scalar.as_buffer().to_pybytes()
        return str(scalar.cast(pa.string()))
