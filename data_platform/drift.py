"""Schema drift as the ledger has it: columns that came and no contract names, and contract's columns that did not come.

It is what the last reading found, and moves nothing: a column counts once a contract names it.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass
from functools import reduce
from itertools import groupby
from typing import Any, Literal

from psycopg2.extras import execute_values

from data_platform.contracts.inferred import type_of, widest
from data_platform.warehouse.connection import Connection, execute, query

# Objects may have keys that are values; of a file no more names than these are kept, the most frequent.
MOST_NAMES = 200


@dataclass(frozen=True)
class DriftedColumn:
    """A column of a delivery: ``rows`` have it, or would if it were not missing; ``type`` holds all its values."""

    rows: int
    type: str | None = None
    change: Literal["new", "missing"] = "new"


def add_value(columns: MutableMapping[str, DriftedColumn], name: str, value: Any) -> None:
    """Counts a row that has a value in a new column."""
    before = columns.get(name, DriftedColumn(0))
    columns[name] = DriftedColumn(before.rows + 1, widest(before.type, type_of(value)))


def add_columns(columns: MutableMapping[str, DriftedColumn], more: MutableMapping[str, DriftedColumn]) -> None:
    """Counts the columns of another file."""
    for name, column in more.items():
        before = columns.get(name, DriftedColumn(0))
        columns[name] = DriftedColumn(before.rows + column.rows, widest(before.type, column.type), column.change)


def most_frequent(columns: MutableMapping[str, DriftedColumn], most: int) -> list[tuple[str, DriftedColumn]]:
    """Columns by their number of rows, the largest first."""
    return sorted(columns.items(), key=lambda item: (-item[1].rows, item[0]))[:most]


def record_drift(connection: Connection, file_id: int, found: Iterable[tuple[str, DriftedColumn]]) -> None:
    """Writes down what a delivery was found to have, in the place of what was written before."""
    execute(connection, "delete from ops.drifted_columns where file_id = %s", (file_id,))
    with connection.cursor() as cursor:
        execute_values(
            cursor,
            "insert into ops.drifted_columns (file_id, change, name, inferred_type, rows) values %s",
            [(file_id, column.change, name, column.type, column.rows) for name, column in found],
        )


def list_drift(connection: Connection, dataset: str | None = None) -> list[dict[str, Any]]:
    """Columns of the deliveries that count: dataset, change, name, type, rows, files, first and last.

    New are those that any delivery has, missing those that the newest lacks: that an old one does not have a column
    which the contract has learnt since is no news.
    """
    rows = query(
        connection,
        """with live as (
               select file_id, dataset, path,
                   row_number() over (partition by dataset order by arrived_at, file_id) as number,
                   count(*) over (partition by dataset) as newest
               from ops.deliveries where state = 'live' and dataset = coalesce(%s, dataset)
           ),
           drifted as (select * from ops.drifted_columns join live using (file_id))
           select dataset, change, name, path, inferred_type, rows from drifted as d
           where
               change = 'new'
               or exists (
                   select from drifted as n
                   where (n.dataset, n.change, n.name, n.number) = (d.dataset, 'missing', d.name, d.newest)
               )
           order by dataset, change desc, name, number""",
        (dataset,),
    )
    found: list[dict[str, Any]] = []
    for _, group in groupby(rows, key=lambda row: (row["dataset"], row["change"], row["name"])):
        of_files = list(group)
        first, last = of_files[0], of_files[-1]
        found.append(
            {
                "dataset": first["dataset"],
                "change": first["change"],
                "name": first["name"],
                "type": reduce(widest, (row["inferred_type"] for row in of_files)),
                "rows": sum(row["rows"] for row in of_files),
                "files": len(of_files),
                "first": first["path"],
                "last": last["path"],
            }
        )
    return found
