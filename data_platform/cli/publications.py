"""Commands about what is published."""

from __future__ import annotations

from typing import Annotated

import typer

from data_platform.cli.output import JsonOption, print_json, print_table, show
from data_platform.cli.runs import RunOption, take_step
from data_platform.difference import ChangedRow, changed_rows, count_changes
from data_platform.warehouse.connection import query, transaction


def register(app: typer.Typer) -> None:
    """Adds the commands to ``dp``."""
    app.command("publish")(publish)
    app.command("publications")(publications)
    app.command("diff")(diff)


def publish(run: RunOption, as_json: JsonOption = False) -> None:
    """Make what a run built, and what passed its gates, visible in one transaction."""
    take_step(run, "publish", as_json=as_json)


def publications(
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List publications, the newest first, with what they wrote."""
    with transaction() as connection:
        rows = query(
            connection,
            """select publication_id, run_id, through_day, date_trunc('second', published_at) as published_at,
                      sum(inserted) as inserted, sum(updated) as updated, sum(deleted) as deleted,
                      string_agg(table_name, ', ' order by table_name)
                          filter (where inserted + updated + deleted > 0) as tables
               from ops.publications join ops.publication_tables using (publication_id)
               group by publication_id order by publication_id desc limit %s""",
            (limit,),
        )
    show("publications", rows, as_json=as_json)


def diff(
    publication: Annotated[int, typer.Argument(help="Number of the publication.")],
    rows: Annotated[int, typer.Option(min=0, help="How many changed rows of each table to show.")] = 5,
    as_json: JsonOption = False,
) -> None:
    """Tell what a publication added, changed and removed; rows of days or keys without any before are only counted."""
    with transaction() as connection:
        counts = count_changes(connection, publication)
        changed = [r for c in counts for r in changed_rows(connection, publication, c["table_name"], rows)]
    if as_json:
        print_json({"tables": counts, "rows": [{**vars(r), "columns": r.columns()} for r in changed]})
        return
    print_table(f"publication {publication}", counts)
    print_table("rows", [_in_short(row) for row in changed])


def _in_short(row: ChangedRow) -> dict[str, str]:
    columns = row.columns() if row.operation == "changed" else {}
    return {
        "table": row.table,
        "what": row.operation,
        "key": ", ".join(f"{name}={value}" for name, value in row.key.items()),
        "before → after": "\n".join(f"{name}: {old} → {new}" for name, (old, new) in columns.items()),
    }
