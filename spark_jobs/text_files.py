"""Text files as Arrow batches of strings, in blocks, so that a large file is never in memory whole.

Whatever the encoding, blocks are UTF-8: bytes that the file's encoding cannot decode become bytes that UTF-8 cannot
decode either, so a broken row is found in one way and keeps its neighbours unharmed.
"""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from spark_jobs import blocks, objects
from spark_jobs.differences import HINT, ShapeDiffersError
from spark_jobs.headers import find_header
from spark_jobs.records import MAX_RECORD_BYTES, Layout, UnreadableFileError
from spark_jobs.shapes import Shape, shape_of

# Vectors of a block stay in the processor's cache, and a block that must be read record by record costs little.
CHUNK_BYTES = 1 << 20
MAX_ARRAY_BYTES = 64 << 20
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}  # by the ending of a file's name
AGAIN = "ask the source to deliver it again"
UTF8 = {"utf-8", "utf8", "utf-8-sig"}


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
    try:
        with _open(file, layout, name) as stream:
            yield from _parts(_utf8_chunks(stream, layout.encoding, chunk_bytes), layout, name)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UnreadableFileError(f"{name} is not a whole gzip file: {error}", hint=AGAIN) from None
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


def read_shape(file: Path, layout: Layout, *, name: str) -> Shape:
    """The shape of a file by its header.

    Raises:
        UnreadableFileError: when the file does not count, or has no header.
        OSError: when it cannot be read.
    """
    with _open(file, layout, name) as stream:
        buffer = b""
        for chunk in _utf8_chunks(stream, layout.encoding, CHUNK_BYTES):
            buffer += chunk
            if header := find_header(buffer, layout, name, final=False):
                return shape_of(header.names, layout, name)
        header = find_header(buffer, layout, name, final=True)
        assert header is not None
        return shape_of(header.names, layout, name)


def _open(file: Path, layout: Layout, name: str) -> BinaryIO:
    compression = COMPRESSIONS.get(file.suffix) if layout.compression == "infer" else layout.compression
    if compression in COMPRESSIONS.values() and not file.stat().st_size:
        raise UnreadableFileError(f"{name} is not a whole {compression} file: it is empty", hint=AGAIN)
    match compression:
        case "gzip":
            return gzip.open(file)  # type: ignore[return-value]
        case "zstd":
            return pa.input_stream(str(file), compression="zstd")
        case _:
            return file.open("rb")


def _mark_undecodable(error: UnicodeError) -> tuple[str, int]:
    """Codec error handler: lone surrogates, which ``surrogateescape`` writes as bytes that are no UTF-8."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    broken = error.object[error.start : error.end]
    return "".join(chr(0xDC00 + byte) if byte >= 0x80 else "\udc80" for byte in broken), error.end


codecs.register_error("mark_undecodable", _mark_undecodable)


def _utf8_chunks(stream: BinaryIO, encoding: str, chunk_bytes: int) -> Iterator[bytes]:
    """The stream in chunks of UTF-8, without a byte-order mark."""
    if encoding.lower() in UTF8:
        yield stream.read(max(chunk_bytes, len(codecs.BOM_UTF8))).removeprefix(codecs.BOM_UTF8)
        while chunk := stream.read(chunk_bytes):
            yield chunk
        return
    decoder = codecs.getincrementaldecoder(encoding)("mark_undecodable")
    while chunk := stream.read(chunk_bytes):
        yield decoder.decode(chunk).encode("utf-8", "surrogateescape")
    yield decoder.decode(b"", final=True).encode("utf-8", "surrogateescape")


def _parts(chunks: Iterator[bytes], layout: Layout, name: str) -> Iterator[Part]:
    if layout.format == "json":
        chunks, is_array = _look_ahead(chunks)
        if is_array:
            for block in objects.read_array(_whole(chunks, name), layout, name):
                yield from (Part(batch, block.records) for batch in block.batches)
            return
    read_block = objects.read_block if layout.format == "json" else blocks.read_block
    buffer, line, header_due, final, shape = b"", 1, layout.header, False, Shape(layout, layout)
    while not final:
        chunk = next(chunks, None)
        final = chunk is None
        buffer += chunk or b""
        if header_due:
            header = find_header(buffer, layout, name, final=final)
            if header is None:
                continue
            shape = shape_of(header.names, layout, name)
            line += buffer.count(b"\n", 0, header.end)
            buffer, header_due = buffer[header.end :], False
        block = read_block(buffer, line, shape.layout, final=final) if buffer else blocks.Block([], 0, 0)
        for index, batch in enumerate(block.batches):
            yield Part(shape.conform(batch), 0 if index else block.records, shape.missing)
        line += buffer.count(b"\n", 0, block.consumed)
        buffer = buffer[block.consumed :]
        if not final and len(buffer) > 2 * MAX_RECORD_BYTES and buffer.find(b"\n", 0, MAX_RECORD_BYTES) < 0:
            raise UnreadableFileError(
                f"{name}:{line}: the line is longer than {MAX_RECORD_BYTES} bytes",
                hint="is it text of this dialect at all?" if layout.format == "csv" else "is there one object a line?",
            )


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
