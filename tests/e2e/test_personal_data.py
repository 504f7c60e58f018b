"""No plain personal value of a customer is found in anything that the platform has written."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from benchmarks.platform import Platform
from data_platform.local.postgres import EmbeddedPostgres
from data_platform.local.up import embedded_postgres
from data_platform.settings import get_settings
from sample_company.company import all_canaries
from sample_company.scan import CanaryScanner
from tests.e2e.conftest import DAY

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def scanner(running: Platform, night: dict[str, Any]) -> CanaryScanner:
    """Looks for the e-mail, phone and street of every customer of every extract up to the night's day."""
    return CanaryScanner(all_canaries(DAY))


@pytest.fixture(scope="module")
def server(running: Platform) -> EmbeddedPostgres:
    found = embedded_postgres(get_settings())
    assert found is not None
    return found


def test_what_landed_holds_canaries(scanner: CanaryScanner) -> None:
    (extract, *_) = sorted(Path(get_settings().landing, "shop", "customers").glob("*.csv"))
    assert len(scanner.scan(extract.read_bytes())) > 1000, "or the scans below find nothing because of themselves"


def test_none_stands_in_lake_logs_or_reports(scanner: CanaryScanner) -> None:
    settings = get_settings()
    written = [
        file
        for file in settings.state_dir.rglob("*")
        if file.is_file() and not file.is_relative_to(settings.landing) and file.suffix != ".jsa"
    ]
    folders = {file.relative_to(settings.state_dir).parts[0] for file in written}
    assert folders >= {"lake", "logs", "reports", "airflow"}
    for file in written:
        assert not scanner.scan(file.read_bytes()), file


def test_none_stands_in_the_files_of_the_server(scanner: CanaryScanner, server: EmbeddedPostgres) -> None:
    connection = server.connect()
    with connection.cursor() as cursor:
        cursor.execute("checkpoint")
    connection.close()
    folders = set()
    for file in server.data_dir.resolve().rglob("*"):
        if file.is_file() and file.name != "postmaster.pid":
            try:
                content = file.read_bytes()
            except FileNotFoundError:  # the running server removes caches and recycles its log
                continue
            assert not scanner.scan(content), file
            folders.add(file.relative_to(server.data_dir.resolve()).parts[0])
    assert {"base", "pg_wal"} <= folders


def test_none_stands_in_a_table_of_warehouse_or_airflow(scanner: CanaryScanner, server: EmbeddedPostgres) -> None:
    dumped = dict(dumps(server))
    assert {"warehouse.raw.customers", "warehouse.quarantine.rows", "airflow.public.xcom"} <= set(dumped)
    assert len(dumped["warehouse.raw.customers"]) > 100_000
    for table, text in dumped.items():
        assert not scanner.scan(text), table


def dumps(server: EmbeddedPostgres) -> Iterator[tuple[str, bytes]]:
    """Every table of every database as text: its long values are compressed in the server's files."""
    for database in ("warehouse", "feast", "airflow"):
        connection = psycopg2.connect(
            host="127.0.0.1",
            port=server.port,
            dbname=database,
            user="postgres",
            password=server.superuser_password.get_secret_value(),
        )
        with connection, connection.cursor() as cursor:
            cursor.execute(
                "select schemaname, tablename from pg_tables"
                " where schemaname not in ('pg_catalog', 'information_schema')"
            )
            for schema, table in cursor.fetchall():
                text = io.BytesIO()
                cursor.copy_expert(f'copy (select * from "{schema}"."{table}") to stdout', text)
                yield f"{database}.{schema}.{table}", text.getvalue()
        connection.close()
