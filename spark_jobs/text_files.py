"""Text files as Arrow batches of strings, in blocks, so that a large file is never in memory whole."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pyarrow as pa

from spark_jobs import blocks, objects
from spark_jobs.differences import HINT, ShapeDiffersError
from spark_jobs.headers import find_header, mark_repeated
from spark_jobs.records import MAX_RECORD_BYTES, Layout, UnreadableFileError
from spark_jobs.shapes import Shape, shape_of
from spark_jobs.text_streams import AGAIN, Footer, open_text, utf8_chunks, without_first_lines

# Vectors of a block stay in the processor's cache, and a block that must be read record by record costs little.
CHUNK_BYTES = 1 << 20
MAX_ARRAY_BYTES = 64 << 20


@dataclass(frozen=True)
class Part:
    """Rows of a file, and how many records were counted in the bytes they come from.

    ``missing`` names the contract's columns that the file does not have.
    """

    batch: pa.RecordBatch | None
    records: int
    missing: tuple[str, ...] = ()


def read_file(file: Path, layout: Layout, *, name: str, chunk_bytes: int = CHUNK_BYTES) -> Iterator[Part]:
    """Reads a file; ``name`` is what messages call it.

    Raises:
        UnreadableFileError: when the header differs, the compression is broken, or it is no such text at all.
    """
    with _chunks_of(file, layout, name, chunk_bytes) as chunks:
        yield from _objects(chunks, layout, name) if layout.format == "json" else _rows(chunks, layout, name)


def read_shape(file: Path, layout: Layout, *, name: str) -> Shape:
    """The shape of a file by its header.

    Raises:
        UnreadableFileError: when the file cannot be read, does not count, or has no header.
    """
    buffer = b""
    with _chunks_of(file, layout, name, CHUNK_BYTES) as chunks:
        for chunk in chain(chunks, [None]):
            buffer += chunk or b""
            if header := find_header(buffer, layout, name, final=chunk is None):
                return shape_of(header, layout, name)
    raise AssertionError("a whole file has a header, or is refused")


@contextmanager
def _chunks_of(file: Path, layout: Layout, name: str, chunk_bytes: int) -> Iterator[Iterator[bytes]]:
    """The file's text after the lines that are passed over; what keeps it from being read becomes one error."""
    try:
        with open_text(file, layout, name) as stream:
            chunks = utf8_chunks(stream, layout, name, chunk_bytes)
            yield without_first_lines(chunks, layout.skip_lines, name) if layout.skip_lines else chunks
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UnreadableFileError(f"{name} is not a whole gzip file: {error}", hint=AGAIN) from None
    except UnicodeError as error:  # of codecs that need a mark, or cannot go on
        hint = "correct the encoding in the contract's dialect, or ask the source for it"
        raise UnreadableFileError(f"{name} is no text in {layout.encoding}: {error}", hint=hint) from None
    except OSError as error:
        if error.errno is None:  # of Arrow's
            raise UnreadableFileError(f"{name} is not a whole zstd file: {error}", hint=AGAIN) from None
        raise UnreadableFileError(
            f"{name} cannot be read: {error.strerror or error}", hint="check the file and its rights"
        ) from None
    except ShapeDiffersError as error:
        difference = error.difference.in_words(confidential=layout.confidential)
        raise UnreadableFileError(
            f"{name}:{error.line}: the object differs from the contract; {difference}", hint=HINT
        ) from None


def _rows(chunks: Iterator[bytes], layout: Layout, name: str) -> Iterator[Part]:
    """Rows of delimited text, up to what stands after them."""
    footer = Footer(layout.footer, layout, name) if layout.footer else None
    records = 0
    for part in _parts(footer.cut_off(chunks) if footer else chunks, layout, name):
        records += part.records
        yield part
    if footer:
        footer.check(records)


def _objects(chunks: Iterator[bytes], layout: Layout, name: str) -> Iterator[Part]:
    chunks, is_array = _look_ahead(chunks)
    if not is_array:
        yield from _parts(chunks, layout, name)
        return
    for block in objects.read_array(_whole(chunks, name), layout, name):
        yield from (Part(batch, block.records) for batch in block.batches)


def _parts(chunks: Iterator[bytes], layout: Layout, name: str) -> Iterator[Part]:
    read_block = objects.read_block if layout.format == "json" else blocks.read_block
    buffer, line, header_due, final = b"", 1 + layout.skip_lines, layout.header, False
    shape = Shape(layout, layout)
    while not final:
        chunk = next(chunks, None)
        final = chunk is None
        buffer += chunk or b""
        if header_due:
            header = find_header(buffer, layout, name, final=final)
            if header is None:
                _refuse_endless(buffer, line, layout, name)
                continue
            shape = shape_of(header, layout, name)
            line += buffer.count(b"\n", 0, header.end)
            buffer, header_due = buffer[header.end :], False
        block = read_block(buffer, line, shape.layout, final=final) if buffer else blocks.Block([], 0, 0)
        for index, batch in enumerate(block.batches):
            rows = mark_repeated(batch, shape.layout) if layout.format == "csv" else batch
            yield Part(shape.conform(rows), 0 if index else block.records, shape.missing)
        line += buffer.count(b"\n", 0, block.consumed)
        buffer = buffer[block.consumed :]
        if not final:
            _refuse_endless(buffer, line, layout, name)


def _refuse_endless(buffer: bytes, line: int, layout: Layout, name: str) -> None:
    """Keeps a line without end from filling the memory.

    Raises:
        UnreadableFileError: when the buffer begins with one.
    """
    if len(buffer) <= 2 * MAX_RECORD_BYTES or buffer.find(b"\n", 0, MAX_RECORD_BYTES) >= 0:
        return
    if buffer.find(b"\r", 0, MAX_RECORD_BYTES) >= 0:
        hint = "its lines end with carriage returns alone; ask the source for line feeds"
    else:
        hint = "is it text of this dialect at all?" if layout.format == "csv" else "is there one object a line?"
    raise UnreadableFileError(f"{name}:{line}: the line is longer than {MAX_RECORD_BYTES} bytes", hint=hint)


def _look_ahead(chunks: Iterator[bytes]) -> tuple[Iterator[bytes], bool]:
    """The chunks again, and whether they begin with the bracket of an array."""
    read: list[bytes] = []
    for chunk in chunks:
        read.append(chunk)
        if text := chunk.lstrip(b" \t\r\n"):
            return chain(read, chunks), text.startswith(b"[")
    return iter(read), False


def _whole(chunks: Iterator[bytes], name: str) -> bytes:
    read = bytearray()
    for chunk in chunks:
        read += chunk
        if len(read) > MAX_ARRAY_BYTES:
            raise UnreadableFileError(
                f"{name} is an array of more than {MAX_ARRAY_BYTES // 2**20} MB, which must be in memory whole",
                hint="ask the source for one object a line, or for several files",
            )
    return bytes(read)
