"""One record at a time: the exact reader of delimited text, for what the fast path (``blocks``) cannot vouch for.

Quoting is read strictly: a quoted field begins right after a separator and ends right before one, a quote inside it is
doubled, and a quote anywhere else breaks the row. So a row is never guessed, and the reader can tell an unterminated
quote from a field with line breaks. A line ends with a line feed, and with the carriage returns right before it; any
other carriage return must be quoted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from data_platform.failures import PermanentFailure

# Bounds the memory of a reader and the search for a closing quote. Longer records are not data of a delimited file.
MAX_RECORD_BYTES = 1 << 20
ReaderError = Literal["fields", "encoding", "quote", "escape", "line_break", "header", "json", "unknown_field"]
LINE_END = re.compile(rb"\r*(?:\n|\Z)")
ESCAPED = {b"n": b"\n", b"r": b"\r", b"t": b"\t"}


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
    escape: str | None = None
    skip_lines: int = 0
    comment: str | None = None
    footer: str | None = None
    drift: Literal["freeze", "quarantine", "evolve"] = "freeze"
    types: tuple[str, ...] = ()
    required: frozenset[str] = frozenset()
    formatted: frozenset[str] = frozenset()
    decimal: str = "."
    nulls: tuple[str, ...] = ("",)

    @property
    def finds_by_name(self) -> bool:
        """Whether the header of each file says which of its columns is which."""
        return self.format == "csv" and self.header and self.drift != "freeze"

    @cached_property
    def escaped(self) -> re.Pattern[bytes] | None:
        """What an escape makes literal, with it."""
        return re.compile(re.escape(self.escape.encode()) + rb"(\r\n|[\s\S])") if self.escape else None

    @cached_property
    def unquoted(self) -> re.Pattern[bytes]:
        """A field without quotes; ends before a separator or a line break."""
        separator = rb" \t" if self.separator is None else re.escape(self.separator.encode())
        if self.escaped is None or self.escape is None:
            return re.compile(rb"[^%b\n]*" % separator)
        return re.compile(rb"(?:[^%b%b\n]+|%b)*+" % (re.escape(self.escape.encode()), separator, self.escaped.pattern))

    @cached_property
    def quoted(self) -> re.Pattern[bytes] | None:
        """A quoted field with its quotes, inner ones doubled."""
        if self.quote is None:
            return None
        quote = re.escape(self.quote.encode())
        if self.escaped is None or self.escape is None:
            return re.compile(rb"%b((?:[^%b]+|%b%b)*+)%b" % ((quote,) * 5))
        parts = (quote, quote, re.escape(self.escape.encode()), quote, quote, self.escaped.pattern, quote)
        return re.compile(rb"%b((?:[^%b%b]+|%b%b|%b)*+)%b" % parts)


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
    """Whether a line holds no row: nothing, or a comment."""
    if layout.comment and data.startswith(layout.comment.encode(), start):
        return True
    return not data[start:end].strip(b" \t\r\n" if layout.separator is None else b"\r\n")


def line_end(data: bytes, start: int) -> int:
    """Position after the line break that ends the line at ``start``, or the end of the data."""
    found = data.find(b"\n", start)
    return len(data) if found < 0 else found + 1


def _parse(data: bytes, start: int, layout: Layout, *, final: bool) -> Record:
    most = len(layout.columns) + 1  # how many too many does not matter
    fields, end, error = split_record(data, start, layout, final=final, most=most)
    if not final and end == len(data) and not data.endswith(b"\n"):
        raise Incomplete
    if error:
        return Record(end, None, error)
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


def split_record(
    data: bytes, start: int, layout: Layout, *, final: bool, most: int | None = None
) -> tuple[list[bytes], int, ReaderError | None]:
    """Fields, the position after the record, and what is wrong with its quoting or line breaks.

    Args:
        most: fields beyond this number are left out where they are plain; otherwise all are told apart.

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
            if fields and LINE_END.match(data, position):
                return fields, line_end(data, position), None
        field, position, error = _field(data, start, position, layout, final=final)
        if error:
            return fields, line_end(data, position), error
        fields.append(field)
        ends = LINE_END.match(data, position)
        if ends and ends.end() == len(data) and not final and not data.endswith(b"\n"):
            raise Incomplete  # what follows a carriage return may be a line feed
        if ends:
            return fields, ends.end(), None
        if len(fields) == most and _is_plain(data, position, layout):
            return fields, line_end(data, position), None
        if layout.separator is not None:
            position += 1


def _is_plain(data: bytes, position: int, layout: Layout) -> bool:
    """Whether nothing in the rest of a line can keep the record from ending with it."""
    end = line_end(data, position)
    signs = [sign.encode() for sign in (layout.quote, layout.escape) if sign]
    return all(data.find(sign, position, end) < 0 for sign in signs)


def _field(
    data: bytes, start: int, position: int, layout: Layout, *, final: bool
) -> tuple[bytes, int, ReaderError | None]:
    """The field at a position, where it ends, and what is wrong with it."""
    quote = layout.quote.encode() if layout.quote else b""
    if quote and layout.quoted and data.startswith(quote, position):
        match = layout.quoted.match(data, position, min(len(data), start + MAX_RECORD_BYTES))
        if match is None:
            if not final and len(data) - start < MAX_RECORD_BYTES:
                raise Incomplete
            return b"", start, "quote"
        if match.end() == len(data) and not final:
            raise Incomplete
        if not _ends_field(data, match.end(), layout):
            return b"", match.end(), "quote"
        return _literal(match[1], match.end(), layout, inner_quote=quote)
    match = layout.unquoted.match(data, position)
    assert match is not None
    field, end = match[0], match.end()
    escapes_nothing = layout.escape is not None and data.startswith(layout.escape.encode(), end)  # the data ends there
    if not final and (end == len(data) or escapes_nothing):
        raise Incomplete
    if escapes_nothing:
        return b"", end, "escape"
    if field.endswith(b"\r") and (data.startswith(b"\n", end) or end == len(data)):
        end -= len(field) - len(field.rstrip(b"\r"))
        field = data[position:end]
    plain = layout.escaped.sub(b"", field) if layout.escaped else field
    if quote and quote in plain:
        return b"", end, "quote"
    if b"\r" in plain:
        return b"", end, "line_break"
    return _literal(field, end, layout)


def _literal(field: bytes, end: int, layout: Layout, inner_quote: bytes = b"") -> tuple[bytes, int, ReaderError | None]:
    """The field as it is meant, without doubled quotes and escapes; a whole field like ``\\N`` stays as it stands."""
    if layout.escape is None or layout.escaped is None or layout.escape.encode() not in field:
        return field.replace(inner_quote * 2, inner_quote) if inner_quote else field, end, None
    if not inner_quote and field == layout.escape.encode() + b"N":
        return field, end, None
    if any(e[1].isalnum() and e[1] not in ESCAPED for e in layout.escaped.finditer(field)):
        return b"", end, "escape"
    pattern = layout.escaped.pattern + (b"|" + re.escape(inner_quote * 2) if inner_quote else b"")
    return re.sub(pattern, lambda m: ESCAPED.get(m[1], m[1]) if m[1] else inner_quote, field), end, None


def _ends_field(data: bytes, position: int, layout: Layout) -> bool:
    separators = b" \t" if layout.separator is None else layout.separator.encode()
    return bool(LINE_END.match(data, position)) or data[position : position + 1] in (bytes([b]) for b in separators)


def _skip_blanks(data: bytes, position: int) -> int:
    while data[position : position + 1] in (b" ", b"\t"):
        position += 1
    return position
