"""Two million rows of seven columns from Spark into Postgres: our COPY, Spark's JDBC writer, and psql's ``\\copy``.

- *ours* is ``copy_frame``, by which the step ``stage`` fills ``X__new``, over as many connections as it would take.
- *JDBC writer* is Spark's own, with Debian's driver, in the same Spark, on the same Parquet files and partitions; it
  rewrites its inserts into statements of many rows, which is its quickest way.
- *psql COPY* is no Spark at all: one ``\\copy`` of a CSV file that was written beforehand. Ours reads Parquet and makes
  what the server takes within its time, on the two cores that the server works on, too.

All fill the same empty table, logged and without an index, and Python, JVM and disk are warm. After each turn the table
must hold the rows that the JDBC writer, which is not our code, loaded first: as many, and with the same checksum.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.debian import peer_file
from benchmarks.harness import OURS, Bench
from benchmarks.spark import local_spark
from data_platform.settings import get_settings
from data_platform.warehouse.connection import execute, query, transaction
from data_platform.warehouse.copy import connections_for, copy_frame

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ROWS = 2_000_000
JDBC, PSQL = "JDBC writer", "psql COPY"
DRIVER = "/usr/share/java/postgresql.jar"
DRIVER_PACKAGE = "libpostgresql-jdbc-java"
PSQL_PROGRAM = "/usr/lib/postgresql/*/bin/psql"  # what stands on the PATH is a script that looks for it
PSQL_PACKAGE = "postgresql-client"
SCHEMA, TABLE = "run_bench", "orders"
CREATE = """
    create schema run_bench;
    create table run_bench.orders (
        order_id bigint, customer_id text, ordered_on date, ordered_at timestamptz, cd_count integer,
        amount_usd numeric(12, 2), note text
    )
"""
# Texts with all that CSV must quote, with empty and missing ones.
COLUMNS = (
    "id AS order_id",
    "lpad(CAST(pmod(xxhash64(id), 23570) AS STRING), 5, '0') AS customer_id",
    "date_add(DATE'1997-01-01', CAST(id % 546 AS INT)) AS ordered_on",
    "timestamp_micros(852076800000000 + id * 23587654) AS ordered_at",
    "CASE WHEN id % 50 > 0 THEN CAST(1 + id % 9 AS INT) END AS cd_count",
    "CAST(pmod(xxhash64(id, 1), 20000) / 100 AS DECIMAL(12, 2)) AS amount_usd",
    r"""CASE id % 8 WHEN 0 THEN '' WHEN 1 THEN 'gift, wrapped' WHEN 2 THEN concat('said "thanks" ', id)
        WHEN 3 THEN concat('Größe ', id % 100, '\nzweite Zeile') WHEN 4 THEN concat('c:\\tmp\\', id) END AS note""",
)


def run(bench: Bench) -> None:
    driver = peer_file(bench, DRIVER, DRIVER_PACKAGE)
    psql = peer_file(bench, PSQL_PROGRAM, PSQL_PACKAGE)
    connection = bench.warehouse.connect()
    with connection:
        execute(connection, CREATE)
    connection.close()
    with local_spark(driver) as spark:
        compare(bench, spark, psql)


def compare(bench: Bench, spark: SparkSession, psql: Path) -> None:
    """Loads the same rows in turn and reports seconds."""
    bench.say(f"making {ROWS:,} rows")
    frame = make_rows(spark, bench.directory / "orders")
    load_by_jdbc(frame)
    loaded = fingerprint()
    assert loaded["rows"] == ROWS
    file = bench.directory / "orders.csv"
    write_csv(file)

    def check(name: str) -> None:
        found = fingerprint()
        assert found == loaded, f"{name} loaded {found}, and the rows are {loaded}"

    runs = bench.interleave(
        {
            OURS: lambda: load_by_copy(frame),
            JDBC: lambda: load_by_jdbc(frame),
            PSQL: lambda: load_by_psql(psql, file),
        },
        prepare=lambda: empty(bench),
        check=check,
        warm_up=True,
    )
    bench.compare("2M_rows", "s", runs, targets={JDBC: 2.5, PSQL: 0.8})


def make_rows(spark: SparkSession, folder: Path) -> DataFrame:
    """The rows, from as many Parquet files as ``stage`` would take connections at most."""
    spark.range(0, ROWS, 1, connections_for(ROWS)).selectExpr(*COLUMNS).write.parquet(str(folder))
    return spark.read.parquet(str(folder)).coalesce(connections_for(ROWS))


def load_by_copy(frame: DataFrame) -> None:
    """What ``stage`` does with the rows of the lake."""
    copy_frame(frame, SCHEMA, TABLE, get_settings().warehouse_parameters())


def load_by_jdbc(frame: DataFrame) -> None:
    """Spark's own writer."""
    to = get_settings().warehouse_parameters()
    options = {
        "url": f"jdbc:postgresql://{to['host']}:{to['port']}/{to['dbname']}?reWriteBatchedInserts=true",
        "dbtable": f"{SCHEMA}.{TABLE}",
        "driver": "org.postgresql.Driver",
        "user": str(to["user"]),
        "password": str(to["password"]),
        "batchsize": "10000",
    }
    frame.write.format("jdbc").options(**options).mode("append").save()


def write_csv(file: Path) -> None:
    """The table as a CSV file, as Postgres itself writes it."""
    with transaction() as connection, connection.cursor() as cursor, file.open("wb") as stream:
        cursor.copy_expert(f"copy {SCHEMA}.{TABLE} to stdout (format csv)", stream)


def load_by_psql(program: Path, file: Path) -> None:
    """What one types."""
    to = get_settings().warehouse_parameters()
    names = {"host": "PGHOST", "port": "PGPORT", "dbname": "PGDATABASE", "user": "PGUSER", "password": "PGPASSWORD"}
    environment = {**os.environ, **{variable: str(to[name]) for name, variable in names.items()}}
    command = rf"\copy {SCHEMA}.{TABLE} from '{file}' (format csv)"
    options = ["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--command", command]
    subprocess.run([program, *options], env=environment, check=True)


def empty(bench: Bench) -> None:
    """Empties the table, and has the server write out what the last turn left behind."""
    server = bench.warehouse.connect_as_superuser()
    execute(server, f"truncate {SCHEMA}.{TABLE}")
    execute(server, "checkpoint")
    server.close()


def fingerprint() -> dict[str, Any]:
    """Number and checksum of the table's rows, in whatever order."""
    with transaction() as connection:
        return query(
            connection,
            f"select count(*) as rows, sum(hashtextextended(o::text, 0)) as content from {SCHEMA}.{TABLE} as o",  # noqa: S608 - names of our own
        )[0]
