"""The step `build`: what dbt has to know in tables of the run's schema, dbt itself, its results for people."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from psycopg2 import sql
from psycopg2.extras import execute_values

from data_platform import build_page, dbt_runner, unknown_keys
from data_platform.dbt_runner import write_developer_profile
from data_platform.failures import PermanentFailure, TransientFailure
from data_platform.runs import Run, StepLog
from data_platform.settings import get_settings
from data_platform.warehouse.connection import Connection, execute, query, transaction
from data_platform.work import BuildPlan, plan_build

__all__ = ["run_step", "write_context", "write_developer_profile"]

HEADING = re.compile(r"\w+ Error\b")


def run_step(run: Run, log: StepLog) -> None:
    """Builds all models in the run's schema, and writes the page that tells of each.

    Raises:
        PermanentFailure: for a model or test that fails; names it, its file, the error and the compiled SQL.
        TransientFailure: when the warehouse went away, or a lock was not to be had.
    """
    with transaction(application=f"dp build {run.run_id}") as connection:
        write_context(connection, run, plan_build(connection, run))
        staged = _staged_tables(connection, run)
    results = dbt_runner.build(run.schema, staged)
    page = build_page.write(run.run_id, results)
    for result in results:
        if result.node.config.materialized in {"interval", "keyed"}:
            log.add(
                result.node.name,
                rows_changed=result.adapter_response.get("rows_affected"),
                seconds=round(result.execution_time, 3),
                message=str(result.message or ""),
            )
    _refuse_failures(results, page)


def write_context(connection: Connection, run: Run, plans: dict[str, BuildPlan]) -> None:
    """Writes what the models' materialisations ask: the last day, the days asked for, how much of each is due.

    Tables, as variables and the environment would make dbt parse the project again each run.
    """
    schema = sql.Identifier(run.schema)
    for table, columns in (
        ("run_context", "through_day date not null"),
        ("asked_days", "day date primary key"),
        ("build_plan", "table_name text primary key, whole boolean not null, due_from date, due_to date"),
    ):
        name = sql.Identifier(run.schema, table)
        execute(connection, sql.SQL("drop table if exists {} cascade").format(name))
        execute(connection, sql.SQL("create table {} ({})").format(name, sql.SQL(columns)))
    execute(connection, sql.SQL("insert into {}.run_context values (%s)").format(schema), (run.through_day,))
    with connection.cursor() as cursor:
        # What has changed is found by itself.
        days = [(day,) for day in run.asked or ()] if run.rebuild else []
        execute_values(cursor, sql.SQL("insert into {}.asked_days values %s").format(schema), days)
        rows = [(table, p.whole, p.due_from, p.due_to) for table, p in sorted(plans.items())]
        execute_values(cursor, sql.SQL("insert into {}.build_plan values %s").format(schema), rows)
    unknown_keys.write_context(connection, run)


def _staged_tables(connection: Connection, run: Run) -> set[str]:
    rows = query(
        connection,
        "select relname from pg_class where relnamespace = to_regnamespace(%s) and relname like '%%\\_\\_new'",
        (f'"{run.schema}"',),
    )
    return {row["relname"].removesuffix("__new") for row in rows}


def _refuse_failures(results: Sequence[Any], page: Path) -> None:
    broken = dbt_runner.failed(results)
    if not broken:
        return
    first = broken[0]
    others = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
    message = (
        f"dbt {first.node.resource_type} {first.node.name} ({_place(first.node)}) failed{others}:"
        f" {error_line(first.message)}"
    )
    if dbt_runner.is_transient(str(first.message)):
        raise TransientFailure(message, hint="the same step may succeed when it is taken again")
    compiled = f"compiled SQL: {first.node.compiled_path}; " if first.node.compiled_path else ""
    raise PermanentFailure(message, hint=f"{compiled}all of the run's models: {page}")


def _place(node: Any) -> str:
    return str(Path(get_settings().dbt_project_dir.name) / node.original_file_path)


def error_line(message: str | None) -> str:
    """The line of dbt's message that tells what is wrong: the first one after its heading."""
    lines = [line.strip() for line in str(message or "no message").splitlines() if line.strip()]
    return lines[1] if len(lines) > 1 and HEADING.match(lines[0]) else lines[0]
