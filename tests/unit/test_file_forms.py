"""What a file is, and how it is packed, by its name and its bytes."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.orc
import pyarrow.parquet
import pytest

from data_platform.file_forms import compression_by_content, compression_by_name, form_of, table_format
from data_platform.ledger import Delivery
from data_platform.settings import get_settings
from spark_jobs.ingest import COMPRESSION_RATIO, batches

TABLE = pa.table({"id": [1, 2], "note": ["a", "b"]})


@pytest.mark.parametrize("form", ["parquet", "orc"])
@pytest.mark.parametrize("compression", ["uncompressed", "zstd"])
def test_a_table_is_known_by_both_ends(form: str, compression: str, tmp_path: Path) -> None:
    file = tmp_path / "x"
    write = pyarrow.parquet.write_table if form == "parquet" else pyarrow.orc.write_table
    write(TABLE, file, compression="none" if (form, compression) == ("parquet", "uncompressed") else compression)
    assert table_format(file) == form
    if compression == "uncompressed":
        assert form_of(file.read_bytes()).lower() == form


@pytest.mark.parametrize(
    "text", [b"ORCID,name\n0000-0001,a\n", b"ORC\nMordor\n", b"ORC\n\n1\n", b"PAR1,PAR2\n1,2\n", b"", b"x"]
)
def test_text_may_begin_like_a_table(text: bytes, tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(text)
    assert (table_format(file), form_of(text), compression_by_content(text)) == (None, "", "none")


@pytest.mark.parametrize(
    ("name", "compression"),
    [
        ("a.csv.gz", "gzip"),
        ("A.CSV.GZ", "gzip"),
        ("a.Zst", "zstd"),
        ("a.csv", "none"),
        ("a.gz.csv", "none"),
        ("gz", "none"),
    ],
)
def test_an_ending_tells_the_packing_in_capitals_too(name: str, compression: str) -> None:
    assert compression_by_name(name) == compression


def test_bytes_tell_the_packing() -> None:
    assert compression_by_content(gzip.compress(b"x")) == "gzip"
    assert compression_by_content(b"PK\x03\x04") == "none"


def test_packed_deliveries_count_by_what_they_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INGEST_BATCH_MB", "10")
    get_settings.cache_clear()
    size = 10_000_000 // COMPRESSION_RATIO - 1
    deliveries = [
        Delivery(n, "x", f"landing/x/{n}{ending}", "", size, None, datetime(1998, 1, 6, tzinfo=UTC))
        for n, ending in enumerate((".csv", ".csv.gz", ".csv.GZ"))
    ]
    assert [[d.file_id for d in batch] for batch in batches(deliveries)] == [[0], [1], [2]]
    get_settings.cache_clear()
