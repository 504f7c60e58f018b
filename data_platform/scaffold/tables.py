"""From a table of another database to a draft: types as declared there, the rest by some of its rows."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import psycopg2
import pyarrow as pa
from psycopg2 import sql

from data_platform.contracts.parts import Dialect
from data_platform.extraction import DAYS, NOW, NUMBERS, SESSION, TEXTS
from data_platform.failures import InputError, TransientFailure
from data_platform.scaffold.columns import Column
from data_platform.scaffold.draft import Draft, DraftColumn, day_column
from data_platform.scaffold.keys import EVENT, LATER
from data_platform.scaffold.names import column_names
from data_platform.scaffold.personal import find_personal, is_free_text
from data_platform.scaffold.types import Type, choose_type
from data_platform.settings import get_settings
from data_platform.warehouse.connection import Connection, execute, query

ROWS_READ = 100_000
DECLARED = {
    "smallint": "smallint",
    "integer": "integer",
    "bigint": "bigint",
    "real": "double precision",
    "double precision": "double precision",
    "boolean": "boolean",
    "uuid": "uuid",
    "date": "date",
    "timestamp with time zone": "timestamptz",
    "timestamp without time zone": "timestamptz",
}
CHANGE_NAMES = ("updated", "modified", "changed", "last_")
COLUMNS = """
    select a.attname as name, format_type(a.atttypid, null) as kind, a.attnotnull as required,
           case when t.typname = 'numeric' and a.atttypmod > 0 then ((a.atttypmod - 4) >> 16) & 65535 end as digits,
           case when t.typname = 'numeric' and a.atttypmod > 0 then (a.atttypmod - 4) & 65535 end as decimals,
           coalesce(a.attnum = any (i.indkey), false) as in_key
    from pg_attribute as a
    join pg_type as t on t.oid = a.atttypid
    left join pg_index as i on i.indrelid = a.attrelid and i.indisprimary
    where a.attrelid = to_regclass(%s) and a.attnum > 0 and not a.attisdropped
    order by a.attnum
"""


def draft_of_table(source: str, dataset: str, table: str) -> Draft:
    """Finds out what a contract for a table of the source's database must say.

    Raises:
        InputError: when the database is not known, or the table is not there, or nothing in it tells a day or a change.
        TransientFailure: when the database does not answer.
    """
    schema, _, name = table.rpartition(".")
    schema = schema or "public"
    with closing(_connect(source)) as connection:
        try:
            columns = query(connection, COLUMNS, (sql.Identifier(schema, name).as_string(connection),))
            if not columns:
                raise InputError(
                    f"source {source!r}: there is no table {schema}.{name} that its user may read",
                    hint="say --from table:SCHEMA.TABLE",
                )
            found, rows, more = _read(connection, schema, name, columns)
        except psycopg2.Error as error:
            reason = error.diag.message_primary or str(error).strip().partition("\n")[0]
            raise InputError(
                f"source {source!r}, {schema}.{name}: {reason}", hint="ask the owner of the database"
            ) from None
    names = column_names([c["name"] for c in columns])
    drafts = [_drafted(c, f, n, dataset) for c, f, n in zip(columns, found, names, strict=True)]
    day, why = _with_day(drafts, columns, names, f"{schema}.{name}")
    cursor, told = _cursor(columns, f"{schema}.{name}")
    which = "the first rows only" if more else "all"
    return Draft(
        source,
        dataset,
        "json",
        f"{schema}.{name}",
        Dialect(),
        drafts,
        rows,
        f"{rows:,} rows of table {schema}.{name}, {which}",
        kind="table",
        day=day,
        why_day=why,
        cursor=cursor,
        remarks=told,
    )


def _connect(source: str) -> Connection:
    url = get_settings().source_urls.get(source)
    if url is None:
        raise InputError(
            f"the database of source {source!r} is not known",
            hint=f'say in .env: SOURCE_URLS={{"{source}": "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"}}',
        )
    try:
        connection = psycopg2.connect(url.get_secret_value(), connect_timeout=10, application_name="dp new dataset")
    except psycopg2.OperationalError as error:
        reason = str(error).strip().splitlines()[0]
        raise TransientFailure(
            f"the database of source {source!r} does not answer: {reason}", hint="is SOURCE_URLS right?"
        ) from None
    connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
    execute(connection, SESSION)
    return connection


def _read(
    connection: Connection, schema: str, name: str, columns: list[dict[str, Any]]
) -> tuple[list[Column], int, bool]:
    """Columns by the first rows, as texts; and whether there are more."""
    texts = [sql.SQL(TEXTS.get(c["kind"], "{column}::text")).format(column=sql.Identifier(c["name"])) for c in columns]
    statement = sql.SQL("select {} from {} limit {}").format(
        sql.SQL(", ").join(texts), sql.Identifier(schema, name), sql.Literal(ROWS_READ + 1)
    )
    with connection.cursor() as cursor:
        cursor.execute(statement)
        rows = cursor.fetchall()
    more, rows = len(rows) > ROWS_READ, rows[:ROWS_READ]
    found = [Column(c["name"]) for c in columns]
    for column, values in zip(found, zip(*rows, strict=True), strict=False):
        column.take(pa.array(values, pa.string()), with_hashes=True)
        hashes = set(column.all_hashes().tolist())
        column.distinct = len(hashes - {0})
    return found, len(rows), more


def _drafted(column: dict[str, Any], found: Column, name: str, dataset: str) -> DraftColumn:
    declared = DECLARED.get(column["kind"], "" if column["kind"] == "numeric" else "text")
    if column["digits"] is not None and 0 <= column["decimals"] <= column["digits"] <= 38:
        declared = f"numeric({column['digits']},{column['decimals']})"
    kind = choose_type(found, name, ".", declared=declared)
    if not declared and kind.physical == "text":
        kind = Type("numeric(38,9)", remarks=["the table declares no digits: are these enough?"])
    draft = DraftColumn(
        name, found, kind, 0 if column["required"] else max(1, found.absent), remarks=list(kind.remarks)
    )
    draft.personal = find_personal(found, name, kind, dataset)
    draft.in_key = (
        column["in_key"] and column["required"] and (draft.personal is None or draft.personal.policy == "hash")
    )
    if not draft.personal and is_free_text(found, name, kind):
        draft.is_free = True
        draft.remarks.append("free text may hold personal data that no pattern finds")
    return draft


def _with_day(
    drafts: list[DraftColumn], columns: list[dict[str, Any]], names: list[str], table: str
) -> tuple[str, str]:
    """The event day: a date, or the UTC day of a time, that every row has."""
    kinds = {c["name"]: c["kind"] for c in columns}
    needed = {c["name"] for c in columns if c["required"]}
    fit = [d for d in drafts if kinds[d.path] in DAYS and d.path in needed and not d.personal]
    fit.sort(
        key=lambda d: (
            _tells_changes(d.path),
            bool(LATER.search(d.name)),
            not EVENT.search(d.name),
            kinds[d.path] != "date",
        )
    )
    if not fit:
        raise InputError(
            f"{table} has no date or time that is not null, and so nothing tells the day of a row",
            hint="deliver it as files, a full extract each: dp new dataset … --from 'FILES'",
        )
    column = fit[0]
    if column.kind.physical == "date":
        return column.name, f"{column.name} is a date that every row has"
    new = day_column(column, names, instead=False)
    new.kind = Type("date")
    drafts.insert(drafts.index(column) + 1, new)
    return new.name, f"the UTC day of {column.name}, which every row has"


def _tells_changes(name: str) -> bool:
    return name.lower().startswith(CHANGE_NAMES)


def _cursor(columns: list[dict[str, Any]], table: str) -> tuple[str, list[str]]:
    """The column that grows with each change, and what to review of it."""
    times = [c for c in columns if c["kind"] in NOW]
    numbers = [c for c in columns if c["kind"] in NUMBERS and c["in_key"]]
    for column in times:
        if _tells_changes(column["name"]):
            return column["name"], [f"cursor {column['name']}: is it set with every change of a row?"]
    for column in (*times, *numbers):
        return column["name"], [
            f"cursor {column['name']} tells of new rows only: changes of older ones, when all days are compared"
        ]
    raise InputError(
        f"{table} has no time and no numbered key, and so nothing tells of changes",
        hint="ask the owner of the database for a column like updated_at",
    )
