"""`dp new dataset --from table:…`: the drafted contract takes the table out, and reads every row."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from typer.testing import CliRunner

from data_platform.cli.main import build_app
from data_platform.contracts.lint import lint
from data_platform.contracts.load import get_contracts
from data_platform.extraction import extract
from data_platform.local.postgres import EmbeddedPostgres
from data_platform.warehouse.connection import Connection, execute
from tests.conftest import Platform, forget_settings
from tests.integration.scaffold.test_law_of_drafts import read_back

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("spark_server")]
TABLE = """
    create table "Calls" (
        id bigint primary key, customer text not null, email text, minutes numeric(8,2), score real, fee numeric,
        answered boolean not null, token uuid, note text, created_at timestamptz not null, updated_at timestamp not null
    );
    insert into "Calls"
    select n, lpad(n::text, 5, '0'), 'c' || n || '@mail.example', n / 8.0, n / 3.0, n * 1.25, n % 2 = 0,
           gen_random_uuid(), case when n % 3 = 0 then 'called' end,
           timestamptz '1998-01-10 23:30+00' + n * interval '1 hour', now()
    from generate_series(1, 40) as n;
    create table undated (id integer primary key);
"""


@pytest.fixture
def crm(platform: Platform, postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    """A database with a table of calls, which the settings name source ``crm``."""
    administrator = postgres.connect()
    name = f"crm_{platform.database}"
    execute(administrator, f"create database {name}")
    password = postgres.superuser_password.get_secret_value()
    url = f"postgresql://postgres:{password}@127.0.0.1:{postgres.port}/{name}"
    monkeypatch.setenv("SOURCE_URLS", json.dumps({"crm": url}))
    monkeypatch.setenv("PROJECT_ROOT", str(platform.home / "project"))
    forget_settings()
    source = psycopg2.connect(url)
    source.autocommit = True
    execute(source, TABLE)
    yield source
    source.close()
    execute(administrator, f"drop database {name} with (force)")
    administrator.close()


def test_a_table_is_drafted_taken_out_and_read(platform: Platform, crm: Connection) -> None:
    words = ["new", "dataset", "calls", "--source", "crm", "--from", "table:public.Calls"]
    done = CliRunner().invoke(build_app(), words)
    assert done.exit_code == 0, done.output
    assert lint(platform.home / "project" / "contracts") == []
    forget_settings()
    contract = get_contracts()["calls"]
    assert {c.name: c.physical_type for c in contract.columns} == {
        "id": "bigint",
        "customer": "text",
        "email": "text",
        "minutes": "numeric(8,2)",
        "score": "double precision",
        "fee": "numeric(12,2)",
        "answered": "boolean",
        "token": "uuid",
        "note": "text",
        "created_at": "timestamptz",
        "created_on": "date",
        "updated_at": "timestamptz",
    }
    assert (contract.day_column, contract.extract and contract.extract.cursor) == ("created_on", "updated_at")
    assert [c.name for c in contract.columns if c.primary_key] == ["id"]
    assert [c.name for c in contract.columns if c.privacy] == ["email"]
    assert extract(contract).rows == 40
    rows = read_back(contract, sorted((platform.landing / "crm" / "calls").glob("*.jsonl")))
    assert [row["rule"] for row in rows] == [None] * 40
    with crm.cursor() as cursor:
        cursor.execute('select sum(minutes), sum(fee), count(note) from "Calls"')
        assert cursor.fetchone() == (
            sum(row["minutes"] for row in rows),
            sum(row["fee"] for row in rows),
            sum(row["note"] is not None for row in rows),
        )


def test_what_cannot_be_taken_out_is_said(platform: Platform, crm: Connection) -> None:
    for source, table, says in (
        ("crm", "public.nothing", "there is no table public.nothing"),
        ("crm", "undated", "no date or time that is not null"),
        ("erp", "public.calls", "the database of source 'erp' is not known"),
    ):
        done = CliRunner().invoke(
            build_app(), ["new", "dataset", "things", "--source", source, "--from", f"table:{table}"]
        )
        assert done.exit_code == 2, done.output
        assert says in " ".join(done.output.split())
    assert not Path(platform.home / "project").exists()
