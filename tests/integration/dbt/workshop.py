"""A project root of the test's own: the real dbt project and contracts, with models for reaches that it lacks."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from psycopg2.extras import Json, execute_values

from data_platform import build, publish
from data_platform.contracts.compile.files import compile_all
from data_platform.contracts.load import get_contracts, load_contracts
from data_platform.contracts.model import Contract
from data_platform.intervals import Interval
from data_platform.runs import Run, StepLog, open_run, update_plan
from data_platform.warehouse.connection import Connection, execute, query, transaction
from data_platform.warehouse.tables import ensure_tables
from tests.projects import two_sources

Rows = list[tuple[Any, ...]]
Day = date
Unknown = Mapping[Day, Sequence[str | None]]
NOBODY: Unknown = {}

# A model that looks back and does not limit itself to its scope, and a keyed one that cannot tell its keys from what
# it reads.
MODELS = {
    "fct_busy_days": """
        {{ config(meta={'reads': {'fct_purchases': {'look_back_days': 2}}}) }}
        select
            purchased_on + days as counted_on,
            count(*) as order_count,
            max(known_at) as known_at
        from {{ ref('fct_purchases') }}
        cross join generate_series(0, 2) as window_of (days)
        group by purchased_on + days
        """,
    "fct_weekdays": """
        select
            to_char(purchased_on, 'Dy') as weekday,
            max(purchased_on) as last_purchased_on,
            count(*) as order_count,
            max(known_at) as known_at
        from {{ ref('fct_purchases') }}
        group by to_char(purchased_on, 'Dy')
        """,
}
CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: {name}
name: {name}
version: 1.0.0
status: active
domain: test
description: {{purpose: A model of the tests.}}
team: {{name: test, members: [{{username: test@shop.example, role: owner}}]}}
servers: [{{server: warehouse, type: postgres, host: 127.0.0.1, database: warehouse, schema: marts}}]
schema:
  - name: {name}
    physicalType: table
    dataGranularityDescription: one row a {key}
    properties:
      - name: {key}
        logicalType: {logical}
        physicalType: {type}
        primaryKey: true
        required: true
        description: What rows are told apart by.
{more}
      - {{name: order_count, logicalType: integer, physicalType: integer, description: Purchases.}}
customProperties:
  - {{property: materialization, value: {kind}}}
  - {{property: eventDay, value: {day}}}
{unit}
"""
CONTRACTS = {
    "fct_busy_days": CONTRACT.format(
        name="fct_busy_days",
        key="counted_on",
        logical="date",
        type="date",
        kind="interval",
        day="counted_on",
        more="",
        unit="",
    ),
    "fct_weekdays": CONTRACT.format(
        name="fct_weekdays",
        key="weekday",
        logical="string",
        type="text",
        kind="keyed",
        day="last_purchased_on",
        more=(
            "      - name: last_purchased_on\n        logicalType: date\n        physicalType: date\n"
            "        required: true\n        description: The newest purchase on this day of the week."
        ),
        unit="  - {property: unitKey, value: weekday}",
    ),
}


def make_project(root: Path) -> None:
    """Copies the project's contracts and dbt project to ``root`` and adds the tests' models."""
    shutil.copytree(two_sources() / "contracts", root / "contracts")
    ignored = shutil.ignore_patterns("target", "logs", "profiles.yml", "generated")
    shutil.copytree(two_sources() / "dbt_project", root / "dbt_project", ignore=ignored)
    for name, text in CONTRACTS.items():
        (root / "contracts" / "marts" / f"{name}.odcs.yaml").write_text(text)
    for name, text in MODELS.items():
        (root / "dbt_project" / "models" / "marts" / f"{name}.sql").write_text(text)
    for file, text in compile_all(load_contracts(root / "contracts"), root).items():
        if "dbt_project" in str(file):
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            (root / file).write_text(text)


def purchase(number: int, customer: str, day: Day, cds: int, amount: str) -> tuple[Any, ...]:
    """A row of raw.purchases; its identity is made of its values and its number among equal ones."""
    identity = uuid5(NAMESPACE_OID, f"{number} {customer} {day} {cds} {amount}")
    return str(identity), customer, day, cds, amount, end_of(day)


def customer(day: Day, number: str, country: str, age_band: str | None = None) -> tuple[Any, ...]:
    """A row of raw.customers."""
    identity = uuid5(NAMESPACE_OID, f"{day} {number}")
    profile = (None, None, age_band, None, country, Day(1997, 1, 1))
    return str(identity), day, number, *profile, end_of(day)


def end_of(day: Day) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(), UTC)


def open_built_run(
    staged: Mapping[str, Mapping[Day, Rows]],
    *,
    through: Day,
    asked: Interval | None = None,
    unknown: Unknown = NOBODY,
    since: datetime | None = None,
) -> tuple[Run, StepLog]:
    """Opens a run, stages the given days (source → day → all its rows), and takes the step `build`.

    ``unknown`` tells who is in quarantine in the staged extracts; None stands for a number that could not be read.
    ``since`` is when the change of these days could be known; their rows tell by themselves when they came.
    """
    with transaction() as connection:
        ensure_tables(connection, get_contracts())
        run = open_run(connection, kind="run", asked=asked, through_day=through, datasets=(), rebuild=True)
        for dataset, days in staged.items():
            _stage(connection, run, get_contracts()[dataset], days, since)
        run = update_plan(connection, run, stage=_deliver_extracts(connection, staged.get("customers", {}), unknown))
    log = StepLog(run, "build")
    build.run_step(run, log)
    return run, log


def build_and_publish(
    staged: Mapping[str, Mapping[Day, Rows]],
    *,
    through: Day,
    asked: Interval | None = None,
    unknown: Unknown = NOBODY,
    since: datetime | None = None,
) -> dict[str, str]:
    """A whole run whose gates pass. Returns table → ``+inserted ~updated -deleted``, where anything changed."""
    run, _ = open_built_run(staged, through=through, asked=asked, unknown=unknown, since=since)
    return pass_gates_and_publish(run)


def pass_gates_and_publish(run: Run) -> dict[str, str]:
    """What is left of a run once it is built. Returns as ``build_and_publish``."""
    with transaction() as connection:
        execute(connection, "delete from ops.run_steps where run_id = %s and step = 'gate:build'", (run.run_id,))
        execute_values(
            connection.cursor(),
            "insert into ops.run_steps (run_id, step, subject, state, verdict) values %s",
            [(run.run_id, "gate:build", c.dataset, "done", "passed") for c in get_contracts()],
        )
    log = StepLog(run, "publish")
    publish.run_step(run, log)
    return {line["subject"]: line["message"] for line in log.lines if line["rows_changed"]}


def _deliver_extracts(connection: Connection, days: Mapping[Day, Rows], unknown: Unknown) -> dict[str, Any]:
    """What the ledger has of the extracts; returns the plan to stage them."""
    attempts = []
    for day in days:
        execute(
            connection,
            """insert into ops.files
                   (dataset, path, sha256, size_bytes, modified_ns, extract_day, arrived_at, ingest_id)
               values ('customers', 'x', 'x', 0, 0, %s, %s, 1)""",
            (day, end_of(day)),
        )
        (file,) = query(connection, "select max(file_id) as id from ops.files")
        attempts.append([file["id"], 1])
        for line, name in enumerate(unknown.get(day, ()), start=2):
            execute(
                connection,
                """insert into quarantine.rows (dataset, file_id, line, rule, raw_text, row_key)
                   values ('customers', %s, %s, 'type', 'x', %s)""",
                (file["id"], line, Json({"customer_id": name}) if name else None),
            )
    return {"customers": {"days": [str(day) for day in days], "attempts": attempts, "fingerprints": {}}} if days else {}


def _stage(
    connection: Connection, run: Run, contract: Contract, days: Mapping[Day, Rows], since: datetime | None
) -> None:
    name, unit = contract.dataset, contract.day_column
    execute(connection, f"create table {run.schema}.{name}__new (like {contract.table})")
    execute(connection, "select ops.create_scope(%s, %s, 'date')", (run.schema, name))
    with connection.cursor() as cursor:
        execute_values(cursor, f"insert into {run.schema}.{name}__scope values %s", [(d, since, None) for d in days])
        rows = [row for rows in days.values() for row in rows]
        if rows:
            execute_values(cursor, f"insert into {run.schema}.{name}__new values %s", rows)
    execute(connection, "select ops.create_overlay(%s, 'raw', %s, %s)", (run.schema, name, unit))
    execute(connection, "select ops.create_delta(%s, 'raw', %s, %s, array['row_id'])", (run.schema, name, unit))


def model_contracts() -> list[Contract]:
    """Contracts of all models, those of the tests too."""
    return [c for c in get_contracts() if c.layer != "sources"]


def rows(relation: str, contract: Contract) -> list[tuple[Any, ...]]:
    """What a relation holds, in the contract's columns: the time at which a row was known is no part of it."""
    columns = ", ".join(c.name for c in contract.published_columns)
    with transaction() as connection:
        return [tuple(r.values()) for r in query(connection, f"select {columns} from {relation} order by {columns}")]


def differences_from_clean_build(through: Day) -> dict[str, Any]:
    """Table → (published rows, rows of a clean build), for the tables where these are not the same."""
    with transaction() as connection:
        execute(connection, "update ops.published_tables set code_hash = 'of an older version'")
    run, _ = open_built_run({}, through=through)
    found = {}
    for contract in model_contracts():
        published, clean = rows(contract.table, contract), rows(f"{run.schema}.{contract.dataset}__new", contract)
        if published != clean:
            found[contract.table] = (set(published) - set(clean), set(clean) - set(published))
    return found


def empty_warehouse() -> None:
    """Takes everything that was published away again, with the runs."""
    with transaction() as connection:
        published = query(
            connection,
            "select format('%I.%I', schemaname, tablename) as name from pg_tables"
            " where schemaname in ('raw', 'marts', 'features')",
        )
        schemas = query(connection, "select nspname as name from pg_namespace where nspname like 'run\\_%'")
        for table in published:
            execute(connection, f"truncate {table['name']}")
        for schema in schemas:
            execute(connection, f"drop schema {schema['name']} cascade")
        execute(connection, "truncate ops.publications, ops.runs, ops.files cascade")
