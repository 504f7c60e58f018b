"""A reader of landed files that shares nothing with the generator: slow, strict, and driven by the contract alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal, InvalidOperation

from data_platform.contracts.model import Column, Contract

QUOTED_OR_PLAIN = re.compile(rb'(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)')
ROW_FAULT = "the row"
Fault = str | None


def records(contract: Contract, data: bytes) -> Iterator[tuple[int, list[bytes] | None]]:
    """Data records: the line each begins on, and its fields, or None where the quoting is broken."""
    position, line = data.index(b"\n") + 1, 2
    while position < len(data):
        if contract.dialect.separator == "blanks":
            end = data.index(b"\n", position) + 1
            fields: list[bytes] | None = data[position:end].split()
        else:
            fields, end = _quoted_record(data, position)
        yield line, fields
        line += data.count(b"\n", position, end)
        position = end


def _quoted_record(data: bytes, start: int) -> tuple[list[bytes] | None, int]:
    fields, position = [], start
    while match := QUOTED_OR_PLAIN.match(data, position):
        fields.append(match[2] if match[1] is None else match[1].replace(b'""', b'"'))
        position = match.end()
        if match[3] != b",":
            return fields, position
    return None, data.index(b"\n", start) + 1


def fault(contract: Contract, fields: list[bytes] | None) -> Fault:
    """The first column that breaks the contract, ROW_FAULT where none can be named, None for a good row."""
    if fields is None or len(fields) != len(contract.columns):
        return ROW_FAULT
    return next((c.name for c, field in zip(contract.columns, fields, strict=True) if not _is_good(c, field)), None)


def _is_good(column: Column, field: bytes) -> bool:
    try:
        text = field.decode()
    except UnicodeDecodeError:
        return False
    if not text:
        return not column.required
    options = column.options
    if column.logical_type == "date":
        pattern, form = (r"\d{8}", "%Y%m%d") if options.format == "yyyyMMdd" else (r"\d{4}-\d\d-\d\d", "%Y-%m-%d")
        return re.fullmatch(pattern, text) is not None and _is_day(text, form)
    if column.logical_type in {"integer", "number"}:
        return _is_number(text, options.minimum, options.maximum)
    if options.pattern and not re.fullmatch(options.pattern, text):
        return False
    return column.allowed_values is None or text in column.allowed_values


def _is_day(text: str, form: str) -> bool:
    try:
        datetime.strptime(text, form)
    except ValueError:
        return False
    return True


def _is_number(text: str, lowest: float | None, highest: float | None) -> bool:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return False
    return (lowest is None or number >= lowest) and (highest is None or number <= highest)
