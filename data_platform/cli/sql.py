"""``dp sql``: a question to the published tables, as a role that can only read."""

from __future__ import annotations

import csv
import sys
from typing import Annotated

import psycopg2
import typer

from data_platform.cli.output import JsonOption, print_json, print_table
from data_platform.failures import InputError
from data_platform.warehouse.connection import open_connection
from data_platform.words import count_of


def register(app: typer.Typer) -> None:
    """Adds the command to ``dp``."""
    app.command("sql")(sql)


def sql(
    statement: Annotated[str, typer.Argument(help="One SELECT.")],
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV with a header.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Ask the published tables, read-only, as role analyst."""
    connection = open_connection("analyst", application="dp sql")
    connection.set_session(readonly=True)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            if cursor.description is None:
                raise InputError("the statement returns no rows", hint="dp sql answers SELECTs")
            names = [d.name for d in cursor.description]
            rows = cursor.fetchall()
    except psycopg2.OperationalError:
        raise
    except psycopg2.Error as error:
        raise InputError(f"the warehouse refuses the statement: {str(error).strip()}") from None
    finally:
        connection.close()
    if as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(rows)
    elif as_json:
        print_json([dict(zip(names, row, strict=True)) for row in rows])
    else:
        print_table(
            count_of(len(rows), "row"),
            [dict(zip(names, row, strict=True)) for row in rows],
            columns=names,
        )
