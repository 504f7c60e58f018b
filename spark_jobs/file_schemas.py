"""The schema of a Parquet or ORC file beside the contract: which columns it has, and whether their types are its."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import pyarrow as pa
from pyarrow import types

from data_platform.contracts.types import NUMERIC
from spark_jobs.differences import Difference, compare_ways
from spark_jobs.objects import Way, ways_to_columns
from spark_jobs.records import Layout

MOST_BITS = {"smallint": 16, "integer": 32, "bigint": 64, "double precision": 32}
DIGITS = {8: 3, 16: 5, 32: 10, 64: 20}


def compare_schema(schema: pa.Schema, layout: Layout) -> Difference:
    """The difference between a file's columns and the contract's; of objects, in which order they stand is none."""
    ways = ways_to_columns(layout)
    found = [way for way, _ in _fields(schema, ways)]
    expected = list(dict.fromkeys(c for c, n in zip(layout.columns, layout.names, strict=True) if n != layout.unknown))
    retyped = tuple(
        f"{way} is {_in_words(field_type)}, not {' or '.join(dict.fromkeys(layout.types[at] for at in columns))}"
        for way, (field_type, columns) in _fields(schema, ways)
        if columns
        and not any(fits(field_type, layout.types[at], layout.names[at] in layout.formatted) for at in columns)
    )
    difference = compare_ways(found, expected)
    return replace(difference, retyped=difference.retyped + retyped)


def _in_words(field_type: pa.DataType) -> str:
    """A type as messages have it: of nested ones the kind alone, as names of fields may be somebody's."""
    return str(field_type).partition("<")[0] if types.is_nested(field_type) else str(field_type)


def missing_columns(schema: pa.Schema, layout: Layout) -> tuple[str, ...]:
    """The contract's names of columns that a file does not have."""
    there = {at for _, (_, columns) in _fields(schema, ways_to_columns(layout)) for at in columns}
    return tuple(name for at, name in enumerate(layout.names) if at not in there and name != layout.unknown)


def fits(found: pa.DataType, physical_type: str, is_formatted: bool) -> bool:
    """Whether a column of a file is of a type of which each value is one of the contract's type.

    Args:
        is_formatted: the contract reads a day or a time from a text of a form of its own.
    """
    if types.is_dictionary(found):
        return fits(found.value_type, physical_type, is_formatted)
    if types.is_null(found) or (is_formatted and _is_text(found)):
        return True
    match physical_type.partition("(")[0]:
        case "text":
            return _is_text(found) or types.is_nested(found)
        case "uuid":
            return _is_text(found)
        case "boolean":
            return types.is_boolean(found)
        case "date":
            return types.is_date(found)
        case "timestamptz":
            return types.is_timestamp(found)
        case "numeric":
            return _fits_numeric(found, physical_type)
        case "double precision" if types.is_floating(found):
            return True
        case _:
            unsigned = types.is_unsigned_integer(found)
            return types.is_integer(found) and found.bit_width + unsigned <= MOST_BITS[physical_type]


def _fits_numeric(found: pa.DataType, physical_type: str) -> bool:
    match = NUMERIC.fullmatch(physical_type)
    assert match is not None
    scale = int(match[2])
    whole = int(match[1]) - scale
    if types.is_decimal(found):
        return bool(found.scale <= scale and found.precision - found.scale <= whole)
    return types.is_integer(found) and DIGITS[found.bit_width] <= whole


def _is_text(found: pa.DataType) -> bool:
    return any(
        is_one(found)
        for is_one in (
            types.is_string,
            types.is_large_string,
            types.is_string_view,
            types.is_binary,
            types.is_large_binary,
        )
    )


def _fields(
    fields: Iterable[pa.Field], ways: Way, before: str = ""
) -> Iterator[tuple[str, tuple[pa.DataType, Sequence[int]]]]:
    """The ways to a file's fields with their types and the contract's columns that read them; of unknown ones none."""
    for field in fields:
        way = ways.get(field.name)
        if isinstance(way, list):
            yield f"{before}{field.name}", (field.type, way)
        elif types.is_struct(field.type):
            yield from _fields(field.type, way or {}, f"{before}{field.name}.")
        else:
            yield f"{before}{field.name}", (field.type, ())
