"""A text file as a stream of UTF-8: unpacked, decoded, without what the dialect says stands around the rows.

Bytes that the file's encoding cannot decode become bytes that UTF-8 cannot decode either, so a broken row is found in
one way and keeps its neighbours unharmed.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from data_platform.file_forms import compression_by_content, compression_by_name, form_of, open_unpacked
from spark_jobs.records import Layout, UnreadableFileError, is_blank, line_end, split_record

AGAIN = "ask the source to deliver it again"
UTF8 = {"utf-8", "utf8", "utf-8-sig"}
BOM = codecs.BOM_UTF8
# A longer mark stands before one that it begins with.
MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
LONGEST_FOOTER_LINES = 20
LONGEST_FOOTER_BYTES = 1 << 16


def open_text(file: Path, layout: Layout, name: str) -> BinaryIO:
    """The file's bytes, unpacked by the contract's compression or the file's name."""
    compression = compression_by_name(file) if layout.compression == "infer" else layout.compression
    if compression != "none" and not file.stat().st_size:
        raise UnreadableFileError(f"{name} is not a whole {compression} file: it is empty", hint=AGAIN)
    return open_unpacked(file, compression)


def utf8_chunks(stream: BinaryIO, layout: Layout, name: str, chunk_bytes: int) -> Iterator[bytes]:
    """The stream in chunks of UTF-8, without byte-order marks at its beginning.

    Raises:
        UnreadableFileError: when the first bytes are those of another encoding, or of no text.
    """
    first = stream.read(max(chunk_bytes, 16))
    _refuse_foreign(first, layout.encoding, name)
    if layout.encoding.lower() in UTF8:
        while first.startswith(BOM):
            first = first.removeprefix(BOM)
        yield first
        while chunk := stream.read(chunk_bytes):
            yield chunk
        return
    decoder = codecs.getincrementaldecoder(layout.encoding)("mark_undecodable")
    chunk, at_start = first, True
    while chunk:
        text = decoder.decode(chunk)
        if at_start:  # codecs of a given byte order leave the mark in the text
            text = text.lstrip("\ufeff")
            at_start = not text
        yield text.encode("utf-8", "surrogateescape")
        chunk = stream.read(chunk_bytes)
    yield decoder.decode(b"", final=True).encode("utf-8", "surrogateescape")


def _mark_undecodable(error: UnicodeError) -> tuple[str, int]:
    """Codec error handler: lone surrogates, which ``surrogateescape`` writes as bytes that are no UTF-8."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    broken = error.object[error.start : error.end]
    return "".join(chr(0xDC00 + byte) if byte >= 0x80 else "\udc80" for byte in broken), error.end


codecs.register_error("mark_undecodable", _mark_undecodable)


def _refuse_foreign(first: bytes, encoding: str, name: str) -> None:
    if form := form_of(first):
        hint = "ask the source for text"
        if compression_by_content(first) != "none":
            hint = f"name such files by how they are packed, or say compression: {form} in the contract's dialect"
        raise UnreadableFileError(f"{name} is no text: it begins like {form}", hint=hint)
    marked = next((family for mark, family in MARKS if first.startswith(mark)), None)
    if marked and not codecs.lookup(encoding).name.startswith(marked):
        raise UnreadableFileError(
            f"{name} begins with the byte-order mark of {marked}, and the contract says {encoding}",
            hint=f"say encoding: {marked} in the contract's dialect, or ask the source for {encoding}",
        )


def without_first_lines(chunks: Iterator[bytes], number: int, name: str) -> Iterator[bytes]:
    """The text after its first lines.

    Raises:
        UnreadableFileError: when it ends within them.
    """
    left = number
    for chunk in chunks:
        start = 0
        while left and (found := chunk.find(b"\n", start)) >= 0:
            start, left = found + 1, left - 1
        if not left:
            yield chunk[start:]
    if left:
        raise UnreadableFileError(
            f"{name} ends within the {number} lines that skipLines passes over",
            hint="ask the source to deliver it again, or correct the contract's dialect",
        )


class Footer:
    """What ends a file after its rows: without it a file is cut off, and it may say how many rows there are."""

    def __init__(self, pattern: str, layout: Layout, name: str) -> None:
        self._pattern = re.compile(pattern)
        self._layout = layout
        self._name = name
        self._row_width = 0
        self._rows: int | None = None

    def cut_off(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """The text before the one of the last lines that is like the pattern.

        Raises:
            UnreadableFileError: when none is, or several are, or rows stand after it.
        """
        tail = b""
        for chunk in chunks:
            tail += chunk
            if len(tail) > 2 * LONGEST_FOOTER_BYTES:
                self._row_width = self._row_width or self._width(tail)
                yield tail[:-LONGEST_FOOTER_BYTES]
                tail = tail[-LONGEST_FOOTER_BYTES:]
        end = tail.rstrip(b"\r\n\x1a ")
        start = len(end)
        matches: list[tuple[int, re.Match[str]]] = []
        for _ in range(LONGEST_FOOTER_LINES):
            start = end.rfind(b"\n", 0, max(start, 0))
            line = end[start + 1 : line_end(end, start + 1)].rstrip(b"\r\n").decode(errors="replace")
            if found := self._pattern.search(line):
                matches.append((start + 1, found))
            if start < 0:
                break
        if len(matches) != 1:
            raise self._unclear(len(matches))
        ((start, found),) = matches
        self._row_width = self._row_width or self._width(tail)
        if self._holds_row(end, line_end(end, start)):
            raise UnreadableFileError(
                f"{self._name}: rows stand after its footer {self._pattern.pattern!r}",
                hint="ask the source for one file a delivery, or make the pattern one that no row is like",
            )
        told = found.groupdict().get("rows")
        self._rows = int(told) if told and told.isdecimal() and len(told) < LONGEST_FOOTER_LINES else None
        yield tail[:start]

    def _unclear(self, matches: int) -> UnreadableFileError:
        if not matches:
            return UnreadableFileError(
                f"{self._name}: none of its last {LONGEST_FOOTER_LINES} lines is the footer"
                f" {self._pattern.pattern!r}, so it is cut off",
                hint=f"{AGAIN}, or correct the contract's dialect",
            )
        return UnreadableFileError(
            f"{self._name}: {matches} of its last {LONGEST_FOOTER_LINES} lines are like the footer"
            f" {self._pattern.pattern!r}, so nobody can say where its rows end",
            hint="make the pattern one that no row is like, or ask the source for one file a delivery",
        )

    def _width(self, data: bytes) -> int:
        """The number of a row's fields: that of the header, where there is one."""
        if not self._layout.header:
            return len(self._layout.columns)
        position = self._after_blanks(data, 0)
        return len(split_record(data, position, self._layout, final=True)[0])

    def _holds_row(self, data: bytes, position: int) -> bool:
        """Whether something from a position on has as many fields as a row, also where its quoting is broken."""
        separator = self._layout.separator.encode() if self._layout.separator else None
        while (position := self._after_blanks(data, position)) < len(data):
            fields, end, error = split_record(data, position, self._layout, final=True)
            line = data[position : line_end(data, position)]
            if len(line.split(separator)) == self._row_width or (not error and len(fields) == self._row_width):
                return True
            position += len(line) if error else end - position
        return False

    def _after_blanks(self, data: bytes, position: int) -> int:
        while position < len(data) and is_blank(data, position, line_end(data, position), self._layout):
            position = line_end(data, position)
        return position

    def check(self, records: int) -> None:
        """Compares the number of rows.

        Raises:
            UnreadableFileError: when the footer tells another one.
        """
        if self._rows is not None and self._rows != records:
            raise UnreadableFileError(
                f"{self._name}: its footer tells of {self._rows} rows, and it has {records}", hint=AGAIN
            )
