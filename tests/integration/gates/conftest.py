"""A small project with a rule of every kind, and runs whose steps are made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from psycopg2.extras import execute_values

from data_platform.contracts.load import get_contracts
from data_platform.intervals import Interval
from data_platform.runs import Run, open_run, update_plan
from data_platform.warehouse.connection import execute, query, transaction
from data_platform.warehouse.tables import ensure_tables
from tests.conftest import Platform, forget_settings

PROJECT = Path(__file__).parent / "project"
DAY = date(1998, 1, 5)
ORDER_COLUMNS = ("order_id", "ordered_on", "customer_id", "amount_usd", "country", "gender", "note")
Order = tuple[Any, ...]


def order(number: int | None, **changes: Any) -> Order:
    """A good order, but for the changes."""
    good = {
        "order_id": number,
        "ordered_on": DAY,
        "customer_id": f"{number or 0:05d}",
        "amount_usd": "9.99",
        "country": "US",
        "gender": "f",
        "note": "",
    }
    return tuple((good | changes)[name] for name in ORDER_COLUMNS)


GOOD = [order(n) for n in range(1, 5)]


@pytest.fixture
def project(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Platform:
    """A platform with the contracts and models of ``project/``."""
    monkeypatch.setenv("PROJECT_ROOT", str(PROJECT))
    forget_settings()
    with transaction() as connection:
        ensure_tables(connection, get_contracts())
    return platform


def new_run() -> Run:
    with transaction() as connection:
        return open_run(connection, kind="run", asked=Interval.of_day(DAY), through_day=DAY, datasets=(), reason="test")


def deliver(dataset: str, rows: int, *, quarantined: int = 0, state: str = "live", path: str = "") -> int:
    """A delivery of ``DAY`` in the ledger, with as many rows read as live and quarantined; returns its id."""
    with transaction() as connection:
        file_id = query(
            connection,
            """insert into ops.files (dataset, path, sha256, size_bytes, modified_ns, arrived_at, ingest_id, rows_read,
                                      rows_live, rows_quarantined, failure)
               values (%s, %s, %s, 1, 1, now(), %s, %s, %s, %s, %s) returning file_id""",
            (
                dataset,
                path or f"landing/till/{dataset}/{uuid4()}.csv",
                str(uuid4()),
                1 if state == "live" else None,
                *((rows + quarantined, rows, quarantined) if state == "live" else (None, None, None)),
                "not a text file" if state == "failed" else None,
            ),
        )[0]["file_id"]
        if state == "live":
            execute(connection, "insert into ops.file_days values (%s, %s, %s, 0)", (file_id, DAY, rows))
        for line in range(quarantined):
            execute(
                connection,
                "insert into quarantine.rows (dataset, file_id, line, rule, raw_text) values (%s, %s, %s, 'type', 'x')",
                (dataset, file_id, line + 2),
            )
    return int(file_id)


def make(run: Run, dataset: str, rows: Sequence[tuple[Any, ...]], *, scope: Sequence[Any] = (DAY,)) -> Run:
    """Makes ``X__scope``, ``X__new``, ``X`` and ``X__delta`` of a dataset, as staging and dbt do."""
    contract = get_contracts()[dataset]
    names = [c.name for c in contract.published_columns]
    with transaction() as connection:
        execute(connection, "select ops.create_scope(%s, %s, 'date')", (run.schema, dataset))
        execute(connection, f"create table {run.schema}.{dataset}__new (like {contract.table})")
        execute(connection, f"alter table {run.schema}.{dataset}__new alter known_at set default now()")
        for name in names:
            execute(connection, f"alter table {run.schema}.{dataset}__new alter {name} drop not null")
        if contract.layer == "sources":
            execute(connection, f"alter table {run.schema}.{dataset}__new alter row_id set default gen_random_uuid()")
        with connection.cursor() as cursor:
            execute_values(cursor, f"insert into {run.schema}.{dataset}__scope (unit) values %s", [(u,) for u in scope])
            execute_values(cursor, f"insert into {run.schema}.{dataset}__new ({', '.join(names)}) values %s", rows)
        arguments = (run.schema, contract.schema_name, dataset, contract.unit_column)
        execute(connection, "select ops.create_overlay(%s, %s, %s, %s)", arguments)
        execute(connection, "select ops.create_delta(%s, %s, %s, %s, %s)", (*arguments, list(contract.key)))
        days = [str(unit) for unit in scope]
        return update_plan(connection, run, stage={**run.plan.get("stage", {}), dataset: {"days": days}})


def stage(dataset: str, rows: Sequence[tuple[Any, ...]]) -> Run:
    """A run that has staged these rows for ``DAY``; the ledger has as many."""
    deliver(dataset, len(rows))
    return make(new_run(), dataset, rows)
