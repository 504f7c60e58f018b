"""Keys of which an extract tells nothing, because their rows are in quarantine: unknown, and so not deleted.

What a run builds on is what was published of the days that it leaves alone, and what the ledger has of the days that it
stages; publication then keeps the latter. A key that is null could not be read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg2 import sql

from data_platform.contracts.model import Contract
from data_platform.runs import Run
from data_platform.staleness import source_contracts
from data_platform.warehouse.connection import Connection, execute

TABLE = "ops.unknown_keys"
COLUMNS = "table_name text not null, day date not null, row_key jsonb"


def write_context(connection: Connection, run: Run) -> None:
    """Writes what the models of a run ask: ``unknown_keys``, and in ``requarantined_days`` where these have changed."""
    keys, days = sql.Identifier(run.schema, "unknown_keys"), sql.Identifier(run.schema, "requarantined_days")
    execute(connection, sql.SQL("drop table if exists {}, {} cascade").format(keys, days))
    execute(connection, sql.SQL("create table {} ({})").format(keys, sql.SQL(COLUMNS)))
    execute(connection, sql.SQL("insert into {} select table_name, day, row_key from ops.unknown_keys").format(keys))
    columns = "table_name text not null, day date not null, changed_at timestamptz"
    execute(connection, sql.SQL("create table {} ({})").format(days, sql.SQL(columns)))
    for contract in source_contracts():
        plan = run.plan.get("stage", {}).get(contract.dataset)
        if plan and contract.kind == "snapshot":
            _replace_days(connection, keys, contract, plan)
            scope = sql.Identifier(run.schema, f"{contract.dataset}__scope")
            _add_changed_days(connection, keys, days, scope, contract, plan["days"])


def _replace_days(connection: Connection, keys: sql.Identifier, contract: Contract, plan: Mapping[str, Any]) -> None:
    """What the ledger has of the staged days, and of those that a rollback holds what was before it."""
    restored: dict[str, int] = plan.get("restored", {})
    execute(
        connection,
        sql.SQL("delete from {} where table_name = %s and day = any(%s::date[])").format(keys),
        (contract.table, plan["days"]),
    )
    execute(
        connection,
        sql.SQL(
            """insert into {} select distinct %s, f.extract_day, q.row_key
               from ops.files as f join quarantine.rows as q using (file_id)
               where f.file_id = any(%s) and f.extract_day = any(%s::date[])"""
        ).format(keys),
        (contract.table, [file_id for file_id, _ in plan["attempts"]], [d for d in plan["days"] if d not in restored]),
    )
    for day, publication_id in restored.items():
        execute(
            connection,
            sql.SQL(
                """insert into {} select %s, %s, nullif(held.row_key, 'null')
                   from jsonb_array_elements((
                       select before from ops.before_images
                       where table_name = %s and publication_id >= %s
                           and row_key = jsonb_build_object('table_name', %s::text, 'day', %s::date)
                       order by publication_id limit 1)) as held (row_key)"""
            ).format(keys),
            (contract.table, day, TABLE, publication_id, contract.table, day),
        )


def _add_changed_days(
    connection: Connection,
    keys: sql.Identifier,
    days: sql.Identifier,
    scope: sql.Identifier,
    contract: Contract,
    staged: Sequence[str],
) -> None:
    either = sql.SQL("select day, row_key from {} where table_name = %s")
    now, before = either.format(keys), either.format(sql.Identifier("ops", "unknown_keys"))
    execute(
        connection,
        sql.SQL(
            """insert into {} select distinct %s, changed.day, s.changed_at
               from (({now} except {before}) union all ({before} except {now})) as changed
               join {scope} as s on s.unit = changed.day
               where changed.day = any(%s::date[])"""
        ).format(days, now=now, before=before, scope=scope),
        (*[contract.table] * 5, staged),
    )


def record(connection: Connection, run: Run, contract: Contract, publication_id: int, days: list[str]) -> None:
    """Makes what the run was built on the published state of these days; equal rows are not written again.

    What was unknown before is kept, an array a day, for a rollback to restore.
    """
    execute(
        connection,
        """insert into ops.before_images (publication_id, table_name, op, row_key, before)
           select %s, %s, 'U', jsonb_build_object('table_name', %s::text, 'day', d.day),
                  coalesce(jsonb_agg(coalesce(p.row_key, 'null')) filter (where p.day is not null), '[]')
           from unnest(%s::date[]) as d (day)
           left join ops.unknown_keys as p on p.table_name = %s and p.day = d.day
           group by d.day""",
        (publication_id, TABLE, contract.table, days, contract.table),
    )
    execute(
        connection,
        sql.SQL(
            """delete from ops.unknown_keys as p where table_name = %s and day = any(%s::date[]) and not exists (
                   select from {} as n
                   where n.table_name = p.table_name and n.day = p.day and n.row_key is not distinct from p.row_key)"""
        ).format(sql.Identifier(run.schema, "unknown_keys")),
        (contract.table, days),
    )
    execute(
        connection,
        sql.SQL(
            """insert into ops.unknown_keys select n.*, %s from {} as n
               where n.table_name = %s and n.day = any(%s::date[]) and not exists (
                   select from ops.unknown_keys as p
                   where n.table_name = p.table_name and n.day = p.day and n.row_key is not distinct from p.row_key)"""
        ).format(sql.Identifier(run.schema, "unknown_keys")),
        (publication_id, contract.table, days),
    )
