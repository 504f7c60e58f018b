"""Ingesting two million purchases in forty files: the step ``ingest``, beside what one writes with Spark in two lines.

The peer is ``spark.read.csv`` with a schema, written as Parquet, in the same Spark. It reads the same purchases with
commas between them, because it cannot read a separator of several blanks. It takes a broken value for NULL without a
word, drops what is too much in a line, and does not know which row came from where.

Ours reads the shop's own files and does more within its time, which is the point of it. It keeps each row's file, line
and raw text until the row is judged; tests every value for type, presence, range and pattern, and sends what is broken
to quarantine; counts each file's records apart from its rows and compares the two; gives each row a hash of its content
and each day of each file a digest; sorts by day, by month, into a Delta table, and commits; and enters all of it into
the ledger. So it is expected to be slower: the ratio says by how much. No target is set.

After each turn the rows that were written must be the same, value by value, and the ledger must count them all.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import OURS, Bench, Numbers
from benchmarks.spark import local_spark
from data_platform import lake
from data_platform.orchestrate import open_work
from data_platform.runs import Run, StepLog
from data_platform.settings import get_settings
from data_platform.warehouse.connection import execute, query, transaction
from sample_company.scale import write_purchases
from spark_jobs import ingest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

FILES, ROWS_A_FILE = 40, 50_000
ROWS = FILES * ROWS_A_FILE
DATASET = "purchases"
PLAIN = "plain Spark"
SCHEMA = "customer_id STRING, purchased_on DATE, cd_count INT, amount_usd DECIMAL(12,2)"


def run(bench: Bench) -> None:
    bench.warehouse.connect().close()
    bench.say(f"writing {ROWS:,} purchases")
    with_commas, parquet = bench.directory / "csv", bench.directory / "parquet"
    land(Path(get_settings().landing) / "shop" / DATASET, with_commas)
    work = open_work(None, datasets=[DATASET]).run
    assert work is not None
    with local_spark() as spark:
        compare(bench, spark, work, with_commas, parquet)


def compare(bench: Bench, spark: SparkSession, work: Run, with_commas: Path, parquet: Path) -> None:
    """Reads the same rows in turn and reports rows a second."""
    expected: dict[str, Any] = {}

    def check(name: str) -> None:
        found = fingerprint(spark, ingested() if name == OURS else str(parquet))
        expected.update(found if not expected else {})
        assert found["rows"] == ROWS, found
        assert found == expected, f"{name} wrote {found}, and the rows are {expected}"

    runs = bench.interleave(
        {
            OURS: _with_speed(lambda: ingest.run_step(work, StepLog(work, "ingest"))),
            PLAIN: _with_speed(lambda: convert(spark, with_commas, parquet)),
        },
        prepare=forget,
        check=check,
        warm_up=True,
    )
    bench.compare("speed", "rows/s", runs, of="rows_per_s", better="higher", targets={PLAIN: None})


def land(landing: Path, with_commas: Path) -> None:
    """The purchases in order of days, cut into files, as the shop delivers them and as a CSV file has them."""
    whole = with_commas.with_suffix(".all")
    write_purchases(whole, ROWS)
    header, *lines = whole.read_bytes().splitlines(keepends=True)
    whole.unlink()
    lines.sort(key=lambda line: line.split()[1])
    landing.mkdir(parents=True)
    with_commas.mkdir()
    for number in range(FILES):
        rows = [header, *lines[number * ROWS_A_FILE :][:ROWS_A_FILE]]
        (landing / f"{number:02d}.txt").write_bytes(b"".join(rows))
        (with_commas / f"{number:02d}.csv").write_bytes(b"".join(b",".join(row.split()) + b"\n" for row in rows))


def convert(spark: SparkSession, source: Path, target: Path) -> None:
    """What one writes without a platform."""
    rows = spark.read.csv(str(source), schema=SCHEMA, header=True, dateFormat="yyyyMMdd")
    rows.write.mode("overwrite").parquet(str(target))


def forget() -> None:
    """Makes the lake empty and all deliveries new."""
    shutil.rmtree(lake.table_url(DATASET), ignore_errors=True)
    with transaction() as connection:
        execute(connection, "delete from ops.file_days")
        execute(
            connection,
            """update ops.files set ingest_id = null, input_version = null,
                   rows_read = null, rows_live = null, rows_quarantined = null""",
        )


def ingested() -> str:
    """Where the rows are that the ledger names live.

    Raises:
        AssertionError: when it does not count them all.
    """
    with transaction() as connection:
        row = query(
            connection,
            """select sum(rows_live) as rows, min(ingest_id) as first, max(ingest_id) as last
               from ops.deliveries where state = 'live'""",
        )[0]
    assert row["rows"] == ROWS, row
    assert row["first"] == row["last"], row
    return f"{lake.table_url(DATASET)}/{lake.attempt_folder(row['last'])}"


def fingerprint(spark: SparkSession, url: str) -> dict[str, Any]:
    """Number and checksum of the rows in Parquet files, in whatever order."""
    content = "xxhash64(customer_id, purchased_on, cd_count, amount_usd)"
    found = spark.read.parquet(url).selectExpr("count(*) AS rows", f"sum(CAST({content} AS DECIMAL(38))) AS content")
    return found.collect()[0].asDict()


def _with_speed(contender: Callable[[], None]) -> Callable[[], Numbers]:
    def measure() -> Numbers:
        started = time.perf_counter()
        contender()
        seconds = time.perf_counter() - started
        return {"seconds": seconds, "rows_per_s": ROWS / seconds}

    return measure
