"""Files of one JSON object a line, as Arrow batches of strings.

A value is taken as its text, so that no digit of a number is lost on the way to its type; an object or a list is taken
as JSON. Fields that the contract does not name are kept together, as JSON, in the column that it has for them, or break
the row where it has none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, NoReturn

from spark_jobs.blocks import Block, Rows, reader_schema
from spark_jobs.records import Layout, ReaderError, line_end

PLAIN = re.compile(r"[\w.$-]{1,100}")
Way = dict[str, Any]  # key → position of a column, or a Way into the object that stands there


class _BrokenError(Exception):
    """An object that is no row."""

    def __init__(self, error: ReaderError, column: str | None = None) -> None:
        self.error = error
        self.column = column


def read_block(data: bytes, first_line: int, layout: Layout, *, final: bool) -> Block:
    """Reads the whole lines at the beginning of a buffer, which begins with line ``first_line`` of the file."""
    rows, position, line = Rows(), 0, first_line
    while position < len(data):
        end = line_end(data, position)
        if not final and not data.endswith(b"\n", 0, end):
            break
        if text := data[position:end].strip(b" \t\r\n"):
            _read_one(text, line, layout, rows)
        position, line = end, line + 1
    return Block([rows.batch(reader_schema(layout))] if rows.lines else [], position, len(rows.lines))


def _read_one(text: bytes, line: int, layout: Layout, rows: Rows) -> None:
    values: list[str | None] = [None] * len(layout.names)
    error: ReaderError | None = None
    column = None
    try:
        unknown = _take(_parse(text), _ways(layout.columns, layout.names, layout.unknown), values)
        if unknown:
            _keep(unknown, layout, values)
        _refuse_unwritable(values, layout)
    except _BrokenError as broken:
        error, column = broken.error, broken.column
    except RecursionError:
        error = "json"  # nested deeper than Python follows
    rows.lines.append(line)
    rows.errors.append(error)
    rows.columns_at_fault.append(column)
    rows.raws.append(text.decode(errors="backslashreplace").replace("\0", r"\x00"))
    rows.fields.append(tuple(values) if error in {None, "encoding"} else (None,) * len(values))


def _parse(text: bytes) -> dict[str, Any]:
    try:
        decoded = text.decode()
    except UnicodeDecodeError:
        raise _BrokenError("encoding") from None
    try:
        found = json.loads(
            decoded, parse_float=Decimal, parse_constant=_refuse_constant, object_pairs_hook=_without_twins
        )
    except ValueError:  # also of a number with more digits than Python reads
        raise _BrokenError("json") from None
    if not isinstance(found, dict):
        raise _BrokenError("json")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object; of a key that stands twice nobody can say which value is meant."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice")
    return found


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


def _take(found: dict[str, Any], ways: Way, values: list[str | None]) -> dict[str, Any]:
    """Puts what the columns name into their places, and returns the rest."""
    rest: dict[str, Any] = {}
    for key, value in found.items():
        way = ways.get(key)
        if way is None:
            rest[key] = value
        elif isinstance(way, list):
            for position in way:
                values[position] = _text(value)
        elif isinstance(value, dict):
            if inner := _take(value, way, values):
                rest[key] = inner
        elif value is not None:
            rest[key] = value
    return rest


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return _json(value)
    return str(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True, default=_number)


def _number(value: Decimal) -> float | str:
    """A number with decimals; as text where a double would change it."""
    nearest = float(value)
    return nearest if Decimal(repr(nearest)) == value else str(value)


def _keep(unknown: dict[str, Any], layout: Layout, values: list[str | None]) -> None:
    if layout.unknown is None:
        # The name of a field that nobody knows may be a value itself.
        raise _BrokenError("unknown_field", None if layout.confidential else _first_way(unknown))
    values[layout.names.index(layout.unknown)] = _json(unknown)


def _first_way(unknown: dict[str, Any]) -> str | None:
    key, value = next(iter(unknown.items()))
    way = f"{key}.{_first_way(value)}" if isinstance(value, dict) and value else key
    return way if PLAIN.fullmatch(way) else None


def _refuse_unwritable(values: list[str | None], layout: Layout) -> None:
    """Texts that no text column of Postgres can hold: with a NUL, or half of a surrogate pair."""
    broken = [position for position, value in enumerate(values) if value is not None and not _is_writable(value)]
    for position in broken:
        values[position] = None
    if broken:
        raise _BrokenError("encoding", layout.names[broken[0]])


def _is_writable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text
