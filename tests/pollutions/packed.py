"""Files that are packed, should be, or are something else than they are called."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile

import pyarrow as pa
import pyarrow.parquet

from tests.pollutions import CLEAN, Group
from tests.pollutions.rows import HEADER, ONE, WHOLE

TEXT = WHOLE.encode()
GZIP = gzip.compress(TEXT, mtime=0)
LONG = (HEADER + ONE * 5_000).encode()


def zstd(content: bytes) -> bytes:
    """A frame as the tools of zstd write it, but without a checksum."""
    return bytes(pa.Codec("zstd").compress(content, asbytes=True))


def zipped() -> bytes:
    """An archive of one file."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as files:
        files.writestr(zipfile.ZipInfo("x.csv"), TEXT)
    return archive.getvalue()


def parquet() -> bytes:
    """A small Parquet file."""
    file = io.BytesIO()
    pyarrow.parquet.write_table(pa.table({"id": ["1"]}), file)
    return file.getvalue()


packing = Group("Packed files")
packing.loaded("gzip", GZIP, ending=".csv.gz")
packing.loaded("gzip with the ending in capitals", GZIP, ending=".csv.GZ")
packing.loaded(
    "gzip of several members", gzip.compress(TEXT[:40], mtime=0) + gzip.compress(TEXT[40:], mtime=0), ending=".csv.gz"
)
packing.loaded("gzip with NUL bytes behind", GZIP + bytes(512), ending=".csv.gz")
packing.loaded("gzip by the contract, whatever the name", GZIP, dialect={"compression": "gzip"}, ending=".dat")
packing.loaded("zstd", zstd(TEXT), ending=".csv.zst")
packing.loaded("zstd of several frames", zstd(TEXT[:40]) + zstd(TEXT[40:]), ending=".csv.zst")
packing.loaded("no packing by the contract, whatever the name", TEXT, dialect={"compression": "none"}, ending=".csv.gz")
packing.refused(
    "gzip that is cut off", gzip.compress(LONG, mtime=0)[:-20], "is not a whole gzip file", ending=".csv.gz"
)
packing.refused("gzip that is cut off within its header", GZIP[:5], "is not a whole gzip file", ending=".csv.gz")
packing.refused("gzip without its checksum", GZIP[:-8], "is not a whole gzip file", ending=".csv.gz")
packing.refused(
    "gzip with another checksum", GZIP[:-8] + b"\1\2\3\4" + GZIP[-4:], "is not a whole gzip file", ending=".csv.gz"
)
packing.refused("gzip with another length", GZIP[:-1] + b"\7", "is not a whole gzip file", ending=".csv.gz")
packing.refused(
    "gzip with a byte changed",
    GZIP[:30] + bytes([GZIP[30] ^ 255]) + GZIP[31:],
    "is not a whole gzip file",
    ending=".csv.gz",
)
packing.refused("gzip with text behind", GZIP + TEXT, "is not a whole gzip file", ending=".csv.gz")
packing.refused("gzip whose second member is cut off", GZIP + GZIP[:-9], "is not a whole gzip file", ending=".csv.gz")
packing.refused("gzip in gzip", gzip.compress(GZIP, mtime=0), "is no text: it begins like gzip", ending=".csv.gz")
packing.refused("an empty file called gzip", b"", "is not a whole gzip file: it is empty", ending=".csv.gz")
packing.refused("gzip of nothing", gzip.compress(b"", mtime=0), "is empty, not even a header", ending=".csv.gz")
packing.refused("text called gzip", TEXT, "is not a whole gzip file", ending=".csv.gz")
packing.refused("zstd called gzip", zstd(TEXT), "is not a whole gzip file", ending=".csv.gz")
packing.refused("zstd that is cut off", zstd(LONG)[:-9], "is not a whole zstd file", ending=".csv.zst")
packing.refused("zstd that is cut off within its header", zstd(TEXT)[:6], "is not a whole zstd file", ending=".csv.zst")
packing.refused(
    "zstd whose second frame is cut off", zstd(TEXT) + zstd(TEXT)[:-9], "is not a whole zstd file", ending=".csv.zst"
)
packing.refused("zstd with text behind", zstd(TEXT) + TEXT, "is not a whole zstd file", ending=".csv.zst")
packing.refused("an empty file called zstd", b"", "is not a whole zstd file: it is empty", ending=".csv.zst")
packing.refused("text called zstd", TEXT, "is not a whole zstd file", ending=".csv.zst")
packing.refused("gzip called text", GZIP, "is no text: it begins like gzip")
packing.refused("zstd called text", zstd(TEXT), "is no text: it begins like zstd")
packing.refused("a ZIP archive", zipped(), "is no text: it begins like a ZIP archive or an Excel workbook")
packing.refused("bzip2", bz2.compress(TEXT), "is no text: it begins like bzip2")
packing.refused("xz", lzma.compress(TEXT), "is no text: it begins like xz")
packing.refused(
    "an old Excel workbook",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504),
    "is no text: it begins like an old Excel workbook",
)
packing.refused("Parquet", parquet(), "is no text: it begins like Parquet")
packing.refused("PDF", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "is no text: it begins like PDF")

json_packing = Group("Packed files", form="json")
OBJECT = b'{"id":"00017","note":"first","weight":1.500,"sent":"1998-01-30"}\n'
json_packing.loaded("JSON lines in gzip", gzip.compress(OBJECT, mtime=0), CLEAN[0], ending=".jsonl.gz")
json_packing.refused(
    "JSON lines in gzip, cut off", gzip.compress(OBJECT, mtime=0)[:-9], "is not a whole gzip file", ending=".jsonl.gz"
)
json_packing.refused(
    "JSON lines in gzip, called JSON", gzip.compress(OBJECT, mtime=0), "is no text: it begins like gzip"
)

GROUPS = (packing, json_packing)
