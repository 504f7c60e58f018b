"""How deliveries are cut into batches and tasks, and what the account counts."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_platform.ledger import Delivery
from data_platform.settings import get_settings
from spark_jobs.accounts import digest_days
from spark_jobs.deliveries import Source, merge_small
from spark_jobs.ingest import batches
from spark_jobs.reading import BYTES_PER_TASK, share_out

NOW = datetime(1997, 1, 2, tzinfo=UTC)


def source(number: int, size: int) -> Source:
    return Source(number, 1, Path("x"), "x", size, None, NOW)


@given(st.lists(st.integers(0, 3 * BYTES_PER_TASK), min_size=1, max_size=40))
def test_tasks_share_all_files_in_order(sizes: list[int]) -> None:
    sources = [source(i, size) for i, size in enumerate(sizes)]
    groups = share_out(sources)
    assert [s for group in groups for s in group] == sources
    assert all(groups)
    assert len(groups) <= 1 + sum(sizes) // BYTES_PER_TASK
    largest = max(sum(s.size_bytes for s in group) for group in groups)
    assert largest <= BYTES_PER_TASK + max(sizes)


def test_batches_stay_within_the_setting_and_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INGEST_BATCH_MB", "1")
    get_settings.cache_clear()
    sizes = {"a.csv": 600_000, "b.csv": 400_000, "c.csv": 1, "big.csv": 5_000_000, "d.csv.gz": 200_000}
    waiting = [Delivery(i, "d", path, "", size, None, NOW) for i, (path, size) in enumerate(sizes.items())]

    cut = [[d.path for d in batch] for batch in batches(waiting)]

    assert cut == [["a.csv", "b.csv"], ["c.csv"], ["big.csv"], ["d.csv.gz"]]
    get_settings.cache_clear()


def test_small_batches_are_joined() -> None:
    rows = [pa.record_batch({"n": [n]}) for n in range(1000)]
    joined = list(merge_small(iter(rows)))
    assert [batch.column("n").to_pylist() for batch in joined] == [list(range(1000))]


@given(st.lists(st.tuples(st.integers(1, 2), st.integers(1, 3), st.binary(min_size=16, max_size=16))))
def test_a_digest_is_the_sum_of_the_first_60_bits(rows: list[tuple[int, int, bytes]]) -> None:
    expected: dict[tuple[int, date], list[int]] = {}
    for file_id, day, content in rows:
        expected.setdefault((file_id, date(1997, 1, day)), []).append(int(content.hex()[:15], 16))
    table = pa.table(
        {
            "file_id": pa.array([r[0] for r in rows], pa.int64()),
            "day": pa.array([date(1997, 1, r[1]) for r in rows], pa.date32()),
            "content_hash": pa.array([r[2].hex() for r in rows], pa.string()),
        }
    )

    digests = digest_days(table)

    assert {key: (d.rows, d.digest) for key, d in digests.items()} == {
        key: (len(bits), Decimal(sum(bits))) for key, bits in expected.items()
    }
