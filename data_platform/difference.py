"""What a publication changed, row by row, told from its before-images and those of later ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg2 import sql

from data_platform.contracts.load import get_contracts
from data_platform.contracts.model import Contract
from data_platform.failures import InputError
from data_platform.privacy import MASK
from data_platform.warehouse.connection import Connection, query

OPERATIONS = {"I": "added", "U": "changed", "D": "removed"}


@dataclass(frozen=True)
class ChangedRow:
    """A row as it was before a publication, and as it was after it.

    Args:
        key: the contract's key.
        before: None where the row was added.
        after: None where it was removed, or where later publications have removed what they had filled from nothing.
    """

    table: str
    operation: str
    key: dict[str, Any]
    before: dict[str, Any] | None
    after: dict[str, Any] | None

    def columns(self) -> dict[str, tuple[Any, Any]]:
        """Column → (before, after), of those that differ."""
        old, new = self.before or {}, self.after or {}
        return {
            name: (old.get(name), new.get(name))
            for name in {**old, **new}
            if name not in self.key and old.get(name) != new.get(name)
        }


def count_changes(connection: Connection, publication_id: int) -> list[dict[str, Any]]:
    """Rows added, changed and removed, and days or keys that had no row before, by table.

    Raises:
        InputError: when there is no such publication.
    """
    rows = query(
        connection,
        """select table_name, inserted as added, updated as changed, deleted as removed,
                  (select count(*) from ops.publication_units as u
                   where u.publication_id = t.publication_id and u.table_name = t.table_name) as filled_units
           from ops.publication_tables as t
           where publication_id = %s order by table_name""",
        (publication_id,),
    )
    if not rows:
        raise InputError(f"there is no publication {publication_id}", hint="`dp publications` lists them")
    return [row for row in rows if row["added"] or row["changed"] or row["removed"]]


def changed_rows(connection: Connection, publication_id: int, table: str, limit: int) -> list[ChangedRow]:
    """Rows of one table that a publication wrote into units that had rows; those of filled units are not listed.

    Personal values are masked; whether they differ is told.

    Args:
        limit: of rows, in the order of their keys.
    """
    contract = next(c for c in get_contracts() if c.table == table)
    rows = query(connection, _statement(contract), {"publication": publication_id, "table": table, "limit": limit})
    for row in rows:
        _mask(row, contract.masked_columns)
    return [ChangedRow(table, OPERATIONS[r["op"]], r["row_key"], r["before"], r["after"]) for r in rows]


def _mask(row: dict[str, Any], columns: frozenset[str]) -> None:
    before, after = row["before"] or {}, row["after"] or {}
    for name in columns:
        differs = before.get(name) != after.get(name)
        if before.get(name) is not None:
            before[name] = MASK
        if after.get(name) is not None:
            after[name] = f"{MASK} (another)" if differs and before else MASK


def _statement(contract: Contract) -> sql.Composed:
    """The row after a publication is what the next one to touch it found, or what is published now."""
    same_key = sql.SQL(" and ").join(sql.SQL("t.{0} = k.{0}").format(sql.Identifier(column)) for column in contract.key)
    return sql.SQL(
        """select i.op, i.row_key, i.before, case when i.op <> 'D' then coalesce(later.before, now.row) end as after
           from ops.before_images as i
           cross join lateral jsonb_populate_record(null::{table}, i.row_key) as k
           left join lateral (
               select l.before, l.op from ops.before_images as l
               where l.table_name = i.table_name and l.row_key = i.row_key and l.publication_id > i.publication_id
               order by l.publication_id limit 1) as later on true
           left join lateral (
               select to_jsonb(t) as row from {table} as t where later.op is null and {same_key}) as now on true
           where i.publication_id = %(publication)s and i.table_name = %(table)s
           order by i.row_key limit %(limit)s"""
    ).format(table=sql.Identifier(contract.schema_name, contract.dataset), same_key=same_key)
