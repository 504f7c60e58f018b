"""One record at a time: the exact reader of delimited text, for what the fast path (``blocks``) cannot vouch for.

Quoting is read strictly: a quoted field begins right after a separator and ends right before one, a quote inside it is
doubled, and a quote anywhere else breaks the row. So a row is never guessed, and the reader can tell an unterminated
quote from a field with line breaks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from data_platform.failures import PermanentFailure

# Bounds the memory of a reader and the search for a closing quote. Longer records are not data of a delimited file.
MAX_RECORD_BYTES = 1 << 20
ReaderError = Literal["fields", "encoding", "quote", "json", "unknown_field"]


class UnreadableFileError(PermanentFailure):
    """A file as a whole cannot be read; its rows do not count."""


@dataclass(frozen=True)
class Layout:
    """How a file is written, without the weight of a contract: it travels to every worker.

    Attributes:
        columns: names as delivered, in order.
        names: the contract's names of the same columns.
        separator: one ASCII character, or None for runs of blanks.
        confidential: values must not be shown in messages.
        format: other than ``csv``, ``columns`` are ways to fields of an object, like ``page.url``.
        unknown: the contract's name of the column for all that it does not name.
        drift: what becomes of a file that is of another shape than ``columns``.
        types: the contract's types, a column each; of objects.
        required: names of the columns that every row has a value of.
        formatted: names of the days and times that are read from a text of a form of their own.
        decimal: what stands before the decimals of a number.
        nulls: texts that mean: no value.
    """

    columns: tuple[str, ...]
    names: tuple[str, ...]
    separator: str | None = ","
    quote: str | None = '"'
    header: bool = True
    encoding: str = "utf-8"
    compression: Literal["none", "gzip", "zstd", "infer"] = "infer"
    confidential: bool = False
    format: Literal["csv", "json", "parquet", "orc"] = "csv"
    unknown: str | None = None
    drift: Literal["freeze", "quarantine", "evolve"] = "freeze"
    types: tuple[str, ...] = ()
    required: frozenset[str] = frozenset()
    formatted: frozenset[str] = frozenset()
    decimal: str = "."
    nulls: tuple[str, ...] = ("",)

    @cached_property
    def unquoted(self) -> re.Pattern[bytes]:
        """A field without quotes; ends before a separator or a line break."""
        if self.separator is None:
            return re.compile(rb"[^ \t\n]*")
        return re.compile(rb"[^" + re.escape(self.separator.encode()) + rb"\n]*")

    @cached_property
    def quoted(self) -> re.Pattern[bytes] | None:
        """A quoted field with its quotes, inner ones doubled."""
        if self.quote is None:
            return None
        quote = re.escape(self.quote.encode())
        return re.compile(rb"%b((?:[^%b]+|%b%b)*+)%b" % ((quote,) * 5))


@dataclass(frozen=True)
class Record:
    """A record as found at a position; ``fields`` are None where its fields cannot be told apart.

    Attributes:
        end: position after its line break.
        fields: values without quotes, one a column; of an undecodable record, None in the place of such a value.
        column: name of the column at fault, where one can be named.
    """

    end: int
    fields: tuple[str | None, ...] | None
    error: ReaderError | None = None
    column: str | None = None


class Incomplete(Exception):
    """The data ends inside the record, and more is to come."""


def read_record(data: bytes, start: int, layout: Layout, *, final: bool) -> Record:
    """The record that begins at ``start``.

    A broken record that spans lines is cut after its first line when a later line is a good record by itself: then
    an open quote swallowed its neighbours. Otherwise it is one broken record.

    Raises:
        Incomplete: when more data is needed to tell.
    """
    record = _parse(data, start, layout, final=final)
    first_end = line_end(data, start)
    if record.error is None or record.end <= first_end:
        return record
    position = first_end
    while position < record.end:
        later = _parse(data, position, layout, final=final)
        if later.error is None:
            return Record(first_end, None, "quote")
        position = line_end(data, position)
    return record


def is_blank(data: bytes, start: int, end: int, layout: Layout) -> bool:
    """Whether a line holds nothing."""
    line = data[start:end]
    return not line.strip(b" \t\r\n") if layout.separator is None else line in (b"", b"\n", b"\r\n", b"\r")


def line_end(data: bytes, start: int) -> int:
    """Position after the line break that ends the line at ``start``, or the end of the data."""
    found = data.find(b"\n", start)
    return len(data) if found < 0 else found + 1


def _parse(data: bytes, start: int, layout: Layout, *, final: bool) -> Record:
    fields, end, sound = split_record(data, start, layout, final=final)
    if not final and end == len(data) and not data.endswith(b"\n"):
        raise Incomplete
    if not sound:
        return Record(end, None, "quote")
    if len(fields) != len(layout.columns):
        return Record(end, None, "fields")
    texts = tuple(map(_decode, fields))
    if None in texts:
        return Record(end, texts, "encoding", layout.names[texts.index(None)])
    return Record(end, texts)


def _decode(field: bytes) -> str | None:
    """The text of a field, or None where it is no UTF-8, or holds a NUL, which no text column of Postgres can hold."""
    try:
        text = field.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def split_record(data: bytes, start: int, layout: Layout, *, final: bool) -> tuple[list[bytes], int, bool]:
    """Fields, however many, the position after the record, and whether its quoting is sound.

    Raises:
        Incomplete: when more data is needed to tell.
    """
    fields: list[bytes] = []
    position = start
    while True:
        if layout.separator is None:
            position = _skip_blanks(data, position)
            if position == len(data) and not final:
                raise Incomplete
            if fields and _at_line_end(data, position):
                return fields, line_end(data, position), True
        field, position = _field(data, start, position, layout, final=final)
        if field is None:
            return fields, line_end(data, position), False
        fields.append(field)
        if not final and data[position : position + 2] in (b"", b"\r"):  # What follows may be \n.
            raise Incomplete
        if _at_line_end(data, position):
            return fields, line_end(data, position), True
        if layout.separator is not None:
            position += 1


def _field(data: bytes, start: int, position: int, layout: Layout, *, final: bool) -> tuple[bytes | None, int]:
    """The field at a position and where it ends; None where its quoting is broken."""
    quote = layout.quote.encode() if layout.quote else b""
    if quote and layout.quoted and data.startswith(quote, position):
        match = layout.quoted.match(data, position, min(len(data), start + MAX_RECORD_BYTES))
        if match is None:
            if not final and len(data) - start < MAX_RECORD_BYTES:
                raise Incomplete
            return None, start
        if match.end() == len(data) and not final:
            raise Incomplete
        return (match[1].replace(quote * 2, quote) if _ends_field(data, match.end(), layout) else None), match.end()
    match = layout.unquoted.match(data, position)
    assert match is not None
    field, end = match[0], match.end()
    if end == len(data) and not final:
        raise Incomplete
    if (field.endswith(b"\r") and data.startswith(b"\n", end)) or (field.endswith(b"\r") and end == len(data)):
        field, end = field[:-1], end - 1
    return (None, end) if quote and quote in field else (field, end)


def _ends_field(data: bytes, position: int, layout: Layout) -> bool:
    follower = data[position : position + 1]
    separators = b" \t" if layout.separator is None else layout.separator.encode()
    return _at_line_end(data, position) or follower in (bytes([b]) for b in separators)


def _at_line_end(data: bytes, position: int) -> bool:
    return (
        position >= len(data)
        or data.startswith(b"\n", position)
        or data.startswith(b"\r\n", position)
        or (position == len(data) - 1 and data.endswith(b"\r"))
    )


def _skip_blanks(data: bytes, position: int) -> int:
    while data[position : position + 1] in (b" ", b"\t"):
        position += 1
    return position
