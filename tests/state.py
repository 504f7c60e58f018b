"""The published state as tests compare it, and what is stale of it."""

from __future__ import annotations

from typing import Any

from data_platform import staleness
from data_platform.clock import due_day
from data_platform.contracts.load import get_contracts
from data_platform.warehouse.connection import close_idle, execute, query, transaction

Rows = list[tuple[Any, ...]]


def published() -> dict[str, Rows]:
    """Every published table in every contract column, sorted: what promise 3 compares."""
    return {c.table: _rows(c.table, [column.name for column in c.published_columns]) for c in get_contracts()}


def published_and_online() -> dict[str, Rows]:
    """Every published table with ``row_id`` and ``known_at`` too, and what is online of it."""
    with transaction() as connection:
        rows = query(connection, "select tablename as name from pg_tables where schemaname = 'online'")
    columns = {c.table: ["*"] for c in get_contracts()}
    columns |= {f"online.{r['name']}": ["entity_key", "feature_name", "value"] for r in rows}
    return {table: _rows(table, names) for table, names in columns.items()}


def _rows(table: str, columns: list[str]) -> Rows:
    with transaction() as connection:
        found = query(connection, f"select {', '.join(columns)} from {table}")
    return sorted((tuple(map(_plain, row.values())) for row in found), key=repr)


def _plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value


def told_by_history() -> dict[str, Rows]:
    """What the history of each feature table tells its readers that it now holds."""
    told: dict[str, Rows] = {}
    for contract in get_contracts().of_layer("features"):
        columns = [c.name for c in contract.published_columns]
        with transaction("training") as connection:
            entries = query(
                connection,
                f"select op, {', '.join(columns)} from {contract.table}_history"
                " order by publication_id, op = 'I', op = 'U'",
            )
        rows: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        for entry in entries:
            key = tuple(entry[name] for name in contract.key)
            rows.pop(key, None)
            if entry["op"] != "D":
                rows[key] = tuple(entry[name] for name in columns)
        told[contract.table] = sorted(rows.values(), key=repr)
    return told


def write_counts() -> dict[str, tuple[int, int, int]]:
    """Rows ever inserted, updated, deleted in each published table, as the server counts."""
    close_idle()  # a session may tell the server only when it ends
    with transaction() as connection:
        execute(connection, "select pg_stat_force_next_flush()")
        rows = query(
            connection,
            """select schemaname || '.' || relname as name, n_tup_ins, n_tup_upd, n_tup_del from pg_stat_user_tables
               where schemaname in ('raw', 'marts', 'features', 'online')""",
        )
    return {r["name"]: (r["n_tup_ins"], r["n_tup_upd"], r["n_tup_del"]) for r in rows}


def stale() -> list[staleness.Stale]:
    """What is stale up to the last whole day."""
    with transaction() as connection:
        return staleness.find_stale(connection, due_day())


def newest_publication() -> int:
    """The number of the last publication, 0 before the first."""
    with transaction() as connection:
        return int(query(connection, "select coalesce(max(publication_id), 0) as id from ops.publications")[0]["id"])
