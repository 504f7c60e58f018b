"""Schema drift as the ledger has it: columns that came and no contract names, and contract's columns that did not come.

It is what the last reading found, and moves nothing: a column counts once a contract names it.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass
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
    """Counts a row that has a value, or null, in a new column."""
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
    """New and missing columns of the deliveries that count: dataset, change, name, type, rows, files, first, last."""
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    rows = query(
        connection,
        """select dataset, change, name, inferred_type, rows, path
           from ops.drifted_columns join ops.deliveries using (file_id)
           where state = 'live' and dataset = coalesce(%s, dataset)
           order by dataset, change desc, name, arrived_at, file_id""",
        (dataset,),
    )
    for row in rows:
        key = (row["dataset"], row["change"], row["name"])
        seen = found.setdefault(
            key,
            {**dict(zip(("dataset", "change", "name"), key, strict=True)), "type": None, "rows": 0, "files": 0}
            | {"first": row["path"]},
        )
        seen |= {
            "type": widest(seen["type"], row["inferred_type"]),
            "rows": seen["rows"] + row["rows"],
            "files": seen["files"] + 1,
            "last": row["path"],
        }
    return list(found.values())
