"""Objects as rows: JSON, one object a line or in an array, and whatever else comes as names and values.

A value is taken as its text, so that no digit of a number is lost on the way to its type; an object or a list is taken
as JSON. Fields that the contract does not name are kept together, as JSON, in the column that it has for them, or break
the row where it has none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from datetime import date, time
from decimal import Decimal
from functools import lru_cache
from math import isfinite
from typing import Any

from data_platform.contracts.types import NUMERIC
from spark_jobs.blocks import Block, Rows, reader_schema
from spark_jobs.object_shapes import lacks_required, refuse_other_shape
from spark_jobs.records import Layout, ReaderError, UnreadableFileError, line_end

PLAIN = re.compile(r"[\w.$-]{1,100}")
BLANKS = re.compile(r"[ \t\r\n]*")
JSON: dict[str, Any] = {"ensure_ascii": False, "separators": (",", ":"), "sort_keys": True, "allow_nan": False}
ESCAPED_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
ROWS_PER_BLOCK = 5_000
INTEGERS = {"smallint", "integer", "bigint"}
MOST_ZEROS = 60  # that a number written with an exponent is given
Way = dict[str, Any]  # key → positions of columns, or a Way into the object that stands there


class _Decoder:
    """Python's JSON decoder, but exact and strict: what it would bend makes the whole value None."""

    def __init__(self) -> None:
        self._is_bent = False
        self._decoder = json.JSONDecoder(
            parse_float=self._decimal,
            parse_int=self._integer,
            parse_constant=self._bent,
            object_pairs_hook=self._object,
        )

    def read(self, text: str, start: int = 0) -> tuple[Any, int]:
        """The value at a position, and where it ends.

        Raises:
            ValueError: where none stands there.
            RecursionError: where it is nested deeper than Python follows.
        """
        self._is_bent = False
        found, end = self._decoder.raw_decode(text, start)
        return (None if self._is_bent else found), end

    def _integer(self, digits: str) -> int | None:
        try:
            return int(digits)
        except ValueError:  # of more digits than Python reads
            self._is_bent = True
            return None

    def _decimal(self, digits: str) -> Decimal | None:
        try:
            return Decimal(digits)
        except ArithmeticError:  # an exponent beyond all bounds
            self._is_bent = True
            return None

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):  # nobody can say which of two values under one key is meant
            self._is_bent = True
        return found

    def _bent(self, _: str) -> None:
        self._is_bent = True


DECODER = _Decoder()


def read_block(data: bytes, first_line: int, layout: Layout, *, final: bool) -> Block:
    """Reads the whole lines at the beginning of a buffer, which begins with line ``first_line`` of the file."""
    rows, position, line = Rows(), 0, first_line
    while position < len(data):
        end = line_end(data, position)
        if not final and not data.endswith(b"\n", 0, end):
            break
        if text := data[position:end].strip(b" \t\r\n"):
            add_row(rows, line, layout, text.decode(errors="backslashreplace"), *parse_line(text))
        position, line = end, line + 1
    return Block(_batches(rows, layout), position, len(rows.lines))


def _batches(rows: Rows, layout: Layout) -> list[Any]:
    return [rows.batch(reader_schema(layout))] if rows.lines else []


def parse_line(text: bytes) -> tuple[Any, ReaderError | None]:
    """The one value of a line, and what is wrong with it."""
    try:
        line = text.decode()
        found, end = DECODER.read(line)
    except UnicodeDecodeError:
        return None, "encoding"
    except (ValueError, RecursionError):
        return None, "json"
    return (found if end == len(line) else None), None


def read_array(data: bytes, layout: Layout, name: str) -> Iterator[Block]:
    """Reads the elements of an array, which is all that a file holds.

    Raises:
        UnreadableFileError: where it is no whole array: what follows a broken element cannot be told apart.
    """
    text = data.decode(errors="surrogateescape")
    rows, line, position = Rows(), 1, 0

    def go_to(place: int) -> str:
        """Moves on, and past blanks; returns the character there."""
        nonlocal line, position
        place = BLANKS.match(text, place).end()  # type: ignore[union-attr]
        line, position = line + text.count("\n", position, place), place
        return text[place : place + 1]

    go_to(0)
    ended = go_to(position + 1) == "]"
    while not ended:
        try:
            found, end = DECODER.read(text, position)
        except (ValueError, RecursionError):
            raise _no_array(name, line) from None
        add_row(rows, line, layout, printable(text[position:end]), found)
        if len(rows.lines) == ROWS_PER_BLOCK:
            yield Block(_batches(rows, layout), 0, ROWS_PER_BLOCK)
            rows = Rows()
        sign = go_to(end)
        ended = sign == "]"
        if sign == ",":
            go_to(position + 1)
        elif not ended:
            raise _no_array(name, line)
    if go_to(position + 1):
        raise _no_array(name, line)
    yield Block(_batches(rows, layout), 0, len(rows.lines))


def printable(text: str) -> str:
    """A text as quarantine keeps it: bytes that were undecodable are written out."""
    return text.encode(errors="surrogateescape").decode(errors="backslashreplace")


def _no_array(name: str, line: int) -> UnreadableFileError:
    return UnreadableFileError(
        f"{name}:{line}: the array of objects is broken here, or cut off",
        hint="ask the source to deliver it again; of objects that stand on a line each, one can be broken alone",
    )


def add_row(rows: Rows, line: int, layout: Layout, raw: str, found: Any, error: ReaderError | None = None) -> None:
    """Adds an object to the rows; anything else, or what an error was found in before, is a broken row.

    Args:
        raw: the row as quarantine keeps it.

    Raises:
        ShapeDiffersError: where the contract lets no file count that has such an object.
    """
    values: list[str | None] = [None] * len(layout.names)
    column = None
    if error is None:
        error, column = _fill(values, found, layout, line)
        if error is None and "\\" in raw:  # only what is escaped can be such a text
            error, column = _without_unwritable(values, layout)
    rows.lines.append(line)
    rows.errors.append(error)
    rows.columns_at_fault.append(column)
    rows.raws.append(raw.replace("\0", r"\x00"))
    rows.fields.append(tuple(values) if error in {None, "encoding"} else (None,) * len(values))


def _fill(values: list[str | None], found: Any, layout: Layout, line: int) -> tuple[ReaderError | None, str | None]:
    """Puts what stands in an object into the columns' places; returns what breaks the row, and where."""
    if not isinstance(found, dict):
        return "json", None
    try:
        unknown = _take(found, ways_to_columns(layout), values, layout)
        if layout.unknown or layout.format == "json":  # a table has a column of nulls, an object has no field
            unknown = _without_nulls(unknown)
        if unknown and layout.unknown:
            values[layout.names.index(layout.unknown)] = _inner_json(unknown)
        if layout.drift == "freeze" and (unknown or lacks_required(values, layout)):
            refuse_other_shape(found, unknown, layout, line)
    except RecursionError:
        return "json", None
    if unknown and not layout.unknown:
        # The name of a field that nobody knows may be a value itself.
        return "unknown_field", None if layout.confidential else _first_way(unknown)
    return None, None


def _without_unwritable(values: list[str | None], layout: Layout) -> tuple[ReaderError | None, str | None]:
    """Takes out texts that no column of Postgres can hold: with a NUL, or with half of a surrogate pair."""
    unwritable = [position for position, value in enumerate(values) if value is not None and not _is_writable(value)]
    for position in unwritable:
        values[position] = None
    return ("encoding", layout.names[unwritable[0]]) if unwritable else (None, None)


def ways_to_columns(layout: Layout) -> Way:
    """The places of a layout's columns in an object."""
    return _ways(layout.columns, layout.names, layout.unknown)


@lru_cache(maxsize=16)
def _ways(columns: Sequence[str], names: Sequence[str], unknown: str | None) -> Way:
    """The columns' places in an object. Several columns may be read from one field."""
    ways: Way = {}
    for position, (way, name) in enumerate(zip(columns, names, strict=True)):
        if name == unknown:
            continue
        *outer, last = way.split(".")
        inner = ways
        for key in outer:
            inner = inner.setdefault(key, {})
        inner.setdefault(last, []).append(position)
    return ways


def _take(found: dict[str, Any], ways: Way, values: list[str | None], layout: Layout) -> dict[str, Any]:
    """Puts what the columns name into their places, and returns the rest."""
    rest: dict[str, Any] = {}
    for key, value in found.items():
        way = ways.get(key)
        if way is None:
            rest[key] = value
        elif isinstance(way, list):
            for position in way:
                values[position] = _text(value)
                if isinstance(value, Decimal | float) and layout.types:
                    values[position] = _as_type_writes(values[position], layout.types[position])
        elif isinstance(value, dict):
            if inner := _take(value, way, values, layout):
                rest[key] = inner
        elif value is not None:
            rest[key] = value
    return rest


def _without_nulls(found: dict[str, Any]) -> dict[str, Any]:
    """An object without fields that are null, and without objects in it that hold nothing else."""
    kept = {}
    for key, value in found.items():
        inner = (_without_nulls(value) or None) if isinstance(value, dict) and value else value
        if inner is not None:
            kept[key] = inner
    return kept


def _as_type_writes(number: str | None, physical_type: str) -> str | None:
    """A number without the zeros that the contract's type has no place for: of 5.0 as an integer, 5."""
    numeric = NUMERIC.fullmatch(physical_type)
    if number is None or not (numeric or physical_type in INTEGERS):
        return number
    places = int(numeric[2]) if numeric else 0
    whole, _, decimals = number.partition(".")
    if not decimals[places:].strip("0"):
        decimals = decimals[:places]
    return f"{whole}.{decimals}" if decimals else whole


def _text(value: Any) -> str | None:
    return _inner_json(value) if isinstance(value, dict | list) else None if value is None else _plain(value)


def _inner_json(value: Any) -> str:
    """JSON as a value of a column; one with a NUL, which jsonb does not take, has one itself, so that it is refused."""
    text = to_json(value)
    return text + "\0" if ESCAPED_NUL.search(text) else text


def _plain(value: Any) -> str:
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case float():
            return _plain(Decimal(repr(value))) if isfinite(value) else str(value)
        case Decimal():
            exponent = value.as_tuple().exponent
            return f"{value:f}" if isinstance(exponent, int) and abs(exponent) <= MOST_ZEROS else str(value)
        case date() | time():
            return value.isoformat()
        case bytes():
            return value.decode(errors="surrogateescape")
        case _:
            return str(value)


def to_json(value: Any) -> str:
    """JSON of a value, the same for equal ones; a number that a double would change, and what JSON lacks, as text."""
    try:
        return json.dumps(value, **JSON, default=_in_json)
    except ValueError:  # NaN and infinities
        return to_json(_without_nan(value))


def _in_json(value: Any) -> float | str:
    is_exact = isinstance(value, Decimal) and Decimal(repr(float(value))) == value
    return float(value) if is_exact else _plain(value)


def _without_nan(value: Any) -> Any:
    match value:
        case float() if not isfinite(value):
            return str(value)
        case dict():
            return {key: _without_nan(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_without_nan(inner) for inner in value]
        case _:
            return value


def _first_way(unknown: dict[str, Any]) -> str | None:
    way: list[str] = []
    inner: Any = unknown
    while isinstance(inner, dict) and inner:
        key, inner = next(iter(inner.items()))
        way.append(key)
    return ".".join(way) if PLAIN.fullmatch(".".join(way)) else None


def _is_writable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text
