"""Lake → staging: the stale days' live rows into the run's own schema, beside the view that says what will be."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from psycopg2 import sql
from psycopg2.extras import execute_values

from data_platform import lake
from data_platform.arrivals import changes_of_days
from data_platform.contracts.compile.spark import identifier
from data_platform.contracts.model import Contract
from data_platform.failures import PermanentFailure
from data_platform.intervals import cover
from data_platform.runs import Run, StepLog, update_plan
from data_platform.settings import get_settings
from data_platform.staleness import missing_days, source_contracts
from data_platform.warehouse.connection import Connection, execute, query, transaction
from data_platform.warehouse.copy import connections_for, copy_frame
from data_platform.words import count_of, in_words
from data_platform.work import StagePlan, plan_stage
from spark_jobs.session import get_spark

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def run_step(run: Run, log: StepLog) -> None:
    """Stages every source dataset; one without stale days gets an empty scope, so that what reads it resolves.

    Raises:
        PermanentFailure: when a day that was asked for has no row, and the contract calls that an error.
    """
    with transaction(application="dp stage") as connection:
        refuse_missing_days(connection, run)
        plans = plan_stage(connection, run)
        update_plan(connection, run, stage={dataset: plan.document() for dataset, plan in plans.items()})
    for contract in source_contracts():
        started = time.monotonic()
        read, changed = stage_dataset(contract, run, plans[contract.dataset])
        plan = plans[contract.dataset]
        log.add(
            contract.dataset,
            rows_read=read,
            rows_changed=changed,
            message=told_of(contract, plan),
            seconds=round(time.monotonic() - started, 3),
        )


def told_of(contract: Contract, plan: StagePlan) -> str:
    """What is staged of a dataset, and what is not, in a few words."""

    def told(days: int) -> str:
        return count_of(days, "day") if not contract.is_reference else "all rows" if days else "nothing"

    said = [told(len(plan.days))]
    said += [f"{told(plan.waiting)} left to a later run"] if plan.waiting else []
    said += [f"{told(plan.rejected)} rejected by a gate"] if plan.rejected else []
    return "; ".join(said)


def refuse_missing_days(connection: Connection, run: Run) -> None:
    """Stops before anything is written when asked days are missing that must not be."""
    missing = missing_days(connection, run)
    if missing:
        listed = "; ".join(f"{dataset} has no rows for {in_words(days)}" for dataset, days in missing.items())
        raise PermanentFailure(
            listed,
            hint="land the files of these days, ask for other days, or say `missingDay: empty` in the contract",
        )


def stage_dataset(contract: Contract, run: Run, plan: StagePlan) -> tuple[int, int]:
    """Makes the dataset's four relations; returns the rows read from the lake, and those that differ."""
    name = contract.dataset
    with transaction(application="dp stage") as connection:
        drop_relations(connection, run.schema, [name, f"{name}__delta", f"{name}__new", f"{name}__scope"])
        schema, new, scope = (sql.Identifier(n) for n in (run.schema, f"{name}__new", f"{name}__scope"))
        execute(connection, "select ops.create_scope(%s, %s, 'date')", (run.schema, name))
        published = sql.Identifier(contract.schema_name, name)
        execute(connection, sql.SQL("create table {}.{} (like {})").format(schema, new, published))
        if plan.days:
            insert = sql.SQL("insert into {}.{} (unit, changed_at, removed_at) values %s").format(schema, scope)
            changes = changes_of_days(connection, contract, plan.days, plan.attempts, plan.restored)
            with connection.cursor() as cursor:
                execute_values(cursor, insert, [(c.day, c.changed_at, c.decided_at) for c in changes])
    if rows := plan.rows(plan.loaded):
        load(contract, run, plan, rows)
    with transaction(application="dp stage") as connection:
        restore(connection, contract, run, plan)
        refuse_miscount(connection, contract, run, plan.rows(plan.days))
        for function, *key in (("create_overlay",), ("create_delta", list(contract.key))):
            marks = ", ".join(["%s"] * (4 + len(key)))
            execute(
                connection,
                f"select ops.{function}({marks})",
                (run.schema, contract.schema_name, name, contract.unit_column, *key),
            )
        # Models may look at single days of it, as they may of the published table.
        unit = sql.Identifier(contract.unit_column)
        execute(connection, sql.SQL("create index on {}.{} ({})").format(schema, new, unit))
        execute(connection, sql.SQL("analyze {}.{}, {}.{}").format(schema, new, schema, scope))
        delta = sql.SQL("select count(*) as rows from {}.{}").format(schema, sql.Identifier(f"{name}__delta"))
        changed = query(connection, delta)[0]["rows"]
    return plan.rows(plan.days), changed


def drop_relations(connection: Connection, schema: str, names: Iterable[str]) -> None:
    """Drops tables and views of a schema, whichever of them there are."""
    rows = query(
        connection,
        """select relname, relkind from pg_class
           where relnamespace = to_regnamespace(quote_ident(%s)) and relname = any(%s) and relkind in ('r', 'v')""",
        (schema, list(names)),
    )
    for row in sorted(rows, key=lambda r: r["relkind"], reverse=True):
        kind = sql.SQL("view" if row["relkind"] == "v" else "table")
        statement = sql.SQL("drop {} if exists {}.{} cascade")
        execute(connection, statement.format(kind, sql.Identifier(schema), sql.Identifier(row["relname"])))


def restore(connection: Connection, contract: Contract, run: Run, plan: StagePlan) -> None:
    """Brings the rows that held days had before a publication from its before-images into ``X__new``."""
    held: dict[int, list[str]] = {}
    for day, publication_id in plan.restored.items():
        held.setdefault(publication_id, []).append(str(day))
    for publication_id, days in held.items():
        execute(
            connection,
            "select ops.restore_rows(%s::regclass, %s::regclass, %s, %s, %s, %s)",
            (
                f"{run.schema}.{contract.dataset}__new",
                contract.table,
                publication_id,
                contract.unit_column,
                list(contract.key),
                days,
            ),
        )


def load(contract: Contract, run: Run, plan: StagePlan, rows: int) -> None:
    """Brings the plan's rows from the lake into ``X__new``."""
    frame = with_binary_uuids(numbered(live_rows(contract, plan), contract), contract)
    parameters = get_settings().warehouse_parameters()
    partitioned = frame.coalesce(connections_for(rows))
    copy_frame(partitioned, run.schema, f"{contract.dataset}__new", parameters)


def refuse_miscount(connection: Connection, contract: Contract, run: Run, expected: int) -> None:
    """The staged rows must be those that the ledger counts: neither lost in the lake nor loaded twice."""
    table = sql.Identifier(run.schema, f"{contract.dataset}__new")
    staged = query(connection, sql.SQL("select count(*) as rows from {}").format(table))[0]["rows"]
    if staged != expected:
        raise PermanentFailure(
            f"{contract.dataset}: the ledger counts {expected} live rows for these days, but {staged} were staged",
            hint="run it again; if that does not help, the lake has lost files: `dp ingest` them again from landing",
        )


def live_rows(contract: Contract, plan: StagePlan) -> DataFrame:
    """Rows of the lake that count, of the plan's days."""
    files = lake.find_files(contract, plan.loaded, [ingest_id for _, ingest_id in plan.attempts])
    reader = get_spark().read.schema(lake_ddl(contract))
    day = identifier(contract.day_column)
    wanted_days = " OR ".join(f"({day} >= DATE'{i.start}' AND {day} < DATE'{i.end}')" for i in cover(plan.loaded))
    return reader.parquet(*[f.url for f in files]).where(f"({wanted_days}) AND ({attempts_filter(plan.attempts)})")


def attempts_filter(attempts: Iterable[tuple[int, int]]) -> str:
    """Spark SQL that holds for rows of these (file_id, ingest_id)."""
    files: dict[int, list[int]] = {}
    for file_id, ingest_id in attempts:
        files.setdefault(ingest_id, []).append(file_id)
    return " OR ".join(
        f"(ingest_id = {ingest_id} AND file_id IN ({', '.join(map(str, ids))}))" for ingest_id, ids in files.items()
    )


def lake_ddl(contract: Contract) -> str:
    """Spark schema of the lake's files."""
    from data_platform.contracts.compile.spark import spark_schema

    origin = "file_id BIGINT, ingest_id BIGINT, line BIGINT, arrived_at TIMESTAMP, content_hash STRING"
    return f"{origin}, {spark_schema(contract.published_columns)}"


def numbered(rows: DataFrame, contract: Contract) -> DataFrame:
    """Adds ``row_id`` and ``known_at``, and leaves the published columns.

    Equal rows of a day are told apart by a number, given in order of arrival; rows that arrived together are the same
    in everything, so it does not matter which of them gets which number, nor from which file they come.
    """
    day = identifier(contract.day_column)
    delay = int(contract.arrival_delay.total_seconds())
    occurrence = f"row_number() OVER (PARTITION BY {day}, content_hash ORDER BY arrived_at)"
    names = [identifier(c.name) for c in contract.published_columns]
    return rows.selectExpr(*names, "content_hash", "arrived_at", f"{occurrence} AS occurrence").selectExpr(
        "left(sha2(concat(content_hash, CAST(occurrence AS STRING)), 256), 32) AS row_id",
        *names,
        f"greatest(timestamp_seconds(unix_date(date_add({day}, 1)) * 86400L + {delay}L), arrived_at) AS known_at",
    )


def with_binary_uuids(rows: DataFrame, contract: Contract) -> DataFrame:
    """Staged rows as a binary COPY takes them; all other types of a contract are the same in Spark and Postgres."""
    binary = {"row_id", *(c.name for c in contract.published_columns if c.physical_type == "uuid")}
    quoted = {name: identifier(name) for name in contract.table_columns}
    return rows.selectExpr(
        *(f"unhex(replace({q}, '-', '')) AS {q}" if name in binary else q for name, q in quoted.items())
    )
