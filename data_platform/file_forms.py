"""What a file is, by its name, its beginning and its end: how it is packed, and whether it is text or a table."""

from __future__ import annotations

import gzip
import os
import re
from pathlib import Path
from typing import BinaryIO, Literal

Compression = Literal["none", "gzip", "zstd"]
ENDINGS: dict[str, Compression] = {".gz": "gzip", ".zst": "zstd"}
SIGNS = (
    (re.compile(rb"\x1f\x8b"), "gzip"),
    (re.compile(rb"\x28\xb5\x2f\xfd"), "zstd"),
    (re.compile(rb"PK\x03\x04"), "a ZIP archive or an Excel workbook"),
    (re.compile(rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), "an old Excel workbook"),
    (re.compile(rb"BZh91AY&SY"), "bzip2"),
    (re.compile(rb"\xfd7zXZ\0"), "xz"),
    (re.compile(rb"PAR1[\0-\x08\x0e-\x1f]"), "Parquet"),
    (re.compile(rb"ORC\n[\s\S]{0,3}[\0-\x08\x0e-\x1f]"), "ORC"),  # and not a column of that name
    (re.compile(rb"%PDF-"), "PDF"),
    (re.compile(rb"SQLite format 3\0"), "an SQLite database"),
)
LONGEST_SIGN = 16


def form_of(first: bytes) -> str:
    """What a file is that begins so; empty where it may be text."""
    return next((form for sign, form in SIGNS if sign.match(first)), "")


def table_format(file: Path) -> Literal["parquet", "orc"] | None:
    """The format of a table: by both ends, because text may begin like one, or by a beginning that no text has.

    Raises:
        OSError: when the file cannot be read.
    """
    with file.open("rb") as stream:
        first = stream.read(LONGEST_SIGN)
        stream.seek(max(0, stream.seek(0, os.SEEK_END) - 4))
        last = stream.read()
    if (first.startswith(b"PAR1") and last == b"PAR1") or form_of(first) == "Parquet":
        return "parquet"
    if (first.startswith(b"ORC") and last[:3] == b"ORC") or form_of(first) == "ORC":  # its last byte is a length
        return "orc"
    return None


def compression_by_name(name: str | Path) -> Compression:
    """How a file of that name is packed."""
    return ENDINGS.get(Path(name).suffix.lower(), "none")


def compression_by_content(first: bytes) -> Compression:
    """How a file that begins so is packed."""
    form = form_of(first)
    return next((compression for compression in ENDINGS.values() if compression == form), "none")


def open_unpacked(file: Path, compression: Compression) -> BinaryIO:
    """The file as a stream of what was packed."""
    match compression:
        case "gzip":
            return gzip.open(file)  # type: ignore[return-value]
        case "zstd":
            import pyarrow as pa

            return pa.input_stream(str(file), compression="zstd")
        case "none":
            return file.open("rb")
