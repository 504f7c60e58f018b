"""Tables of other databases → deliveries: a file a day in landing, written anew whenever the day's rows differ.

From there on a table is a source like any other: a day that was written again is a corrected delivery. Rows that came
or changed are found by the cursor column, from a while before its last value on, as transactions may end after others
that began later; rows that were deleted, or moved to another day, by comparing all days from time to time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2 import sql
from psycopg2.extras import execute_values

from data_platform.contracts.model import Contract
from data_platform.failures import InputError, TransientFailure
from data_platform.landing import local_path
from data_platform.settings import get_settings
from data_platform.warehouse.connection import Connection, execute, query, transaction

NO_DAY = "without-day"
FETCHED_ROWS = 10_000
# Postgres's type → the text that the contract's types read; all others are cast to text.
TEXTS = {
    "timestamp with time zone": """to_char({column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')""",
    "timestamp without time zone": """to_char({column}, 'YYYY-MM-DD"T"HH24:MI:SS.US')""",
}
DAYS = {
    "timestamp with time zone": "({column} at time zone 'UTC')::date",
    "timestamp without time zone": "{column}::date",
    "date": "{column}",
}


@dataclass(frozen=True)
class Extracted:
    """What was written for a dataset: days whose rows differ from what was there, and the rows that they have now."""

    dataset: str
    days: int
    rows: int


@dataclass(frozen=True)
class Content:
    """A day's rows, by their number and the sum of their hashes."""

    rows: int
    digest: int


def extract(contract: Contract, *, compare: bool = False) -> Extracted:
    """Writes the days of a table that differ from what was written before; all of it is one snapshot of the table.

    What was written counts once all of it is: a killed extraction is done again.

    Args:
        compare: all days, not only those that the cursor tells, though it is not time for that yet.

    Raises:
        InputError: when the database is not known, or lacks the table or one of the contract's columns.
        TransientFailure: when it does not answer.
    """
    assert contract.extract is not None
    with _snapshot(contract) as source, transaction(application="dp extract") as connection:
        execute(connection, "select pg_advisory_xact_lock(hashtext(%s))", (f"extract {contract.dataset}",))
        table = _Table(source, contract)
        known = _known_days(connection, contract)
        last = _last_extract(connection, contract)
        whole = compare or last is None or last["is_due"]
        cursor_value = table.newest_cursor()
        present = table.contents() if whole or last is None else table.contents(since=last["cursor_value"])
        looked_at = present.keys() | known.keys() if whole else present.keys()
        nothing = Content(0, 0)
        changed = [day for day in looked_at if present.get(day, nothing) != known.get(day, nothing)]
        _write_days(contract, changed, table.rows(changed))
        _remember(connection, contract, {day: present.get(day) for day in changed}, cursor_value, whole=whole)
    return Extracted(contract.dataset, len(changed), sum(present[day].rows for day in changed if day in present))


@contextmanager
def _snapshot(contract: Contract) -> Iterator[Connection]:
    """A connection to the source's database that sees one state of it and can change nothing."""
    url = get_settings().source_urls.get(contract.source)
    if url is None:
        raise InputError(
            f"the database of source {contract.source!r} is not known",
            hint=f'set SOURCE_URLS={{"{contract.source}": "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"}} in .env',
        )
    try:
        source = psycopg2.connect(url.get_secret_value(), connect_timeout=10, application_name="dp extract")
    except psycopg2.OperationalError as error:
        reason = str(error).strip().splitlines()[0]
        raise TransientFailure(
            f"the database of source {contract.source!r} does not answer: {reason}", hint="is SOURCE_URLS right?"
        ) from None
    try:
        source.set_session(isolation_level="REPEATABLE READ", readonly=True)
        execute(source, "set time zone 'UTC'")
        yield source
    except psycopg2.OperationalError as error:
        reason = str(error).strip().splitlines()[0]
        raise TransientFailure(f"the database of source {contract.source!r} went away: {reason}") from None
    finally:
        source.close()


class _Table:
    """A table of another database, in terms of its contract.

    Raises:
        InputError: when it, or a column, is not there.
    """

    def __init__(self, source: Connection, contract: Contract) -> None:
        assert contract.extract is not None
        self._source = source
        self._extract = contract.extract
        types = self._types(contract)
        columns = {c.name: (c.delivered_name, types[c.delivered_name]) for c in contract.columns}
        name, kind = columns[contract.day_column]
        if kind not in DAYS:
            raise InputError(f"{self._name}.{name} is a {kind}, and tells no day", hint="name another eventDay")
        self._day = self._expression(DAYS[kind], name)
        texts = {c: self._expression(TEXTS.get(kind, "{column}::text"), name) for c, (name, kind) in columns.items()}
        texts[contract.day_column] = sql.SQL("({})::text").format(self._day)
        self._texts = sql.SQL(", ").join(texts.values())
        self._from = sql.SQL("{}.{}").format(
            sql.Identifier(contract.extract.db_schema), sql.Identifier(contract.extract.table)
        )
        self._cursor_type = types[contract.extract.cursor]

    @property
    def _name(self) -> str:
        return f"{self._extract.db_schema}.{self._extract.table}"

    def _types(self, contract: Contract) -> dict[str, str]:
        rows = query(
            self._source,
            "select column_name, data_type from information_schema.columns where table_schema = %s and table_name = %s",
            (self._extract.db_schema, self._extract.table),
        )
        types = {r["column_name"]: r["data_type"] for r in rows}
        wanted = [*(c.delivered_name for c in contract.columns), self._extract.cursor]
        if missing := [name for name in dict.fromkeys(wanted) if name not in types]:
            what = f"column {', '.join(missing)}" if types else "such table, or none that its user may read"
            raise InputError(
                f"source {contract.source!r} has no {what}: {self._name}",
                hint=f"correct contracts/{contract.path}, or ask the owner of the database",
            )
        return types

    @staticmethod
    def _expression(form: str, column: str) -> sql.Composed:
        return sql.SQL(form).format(column=sql.Identifier(column))

    def newest_cursor(self) -> str | None:
        """The largest value of the cursor column."""
        statement = sql.SQL("select max({})::text as newest from {}").format(
            sql.Identifier(self._extract.cursor), self._from
        )
        newest: str | None = query(self._source, statement)[0]["newest"]
        return newest

    def contents(self, since: str | None = None) -> dict[date | None, Content]:
        """Day to what it holds: of all days, or of those with a row whose cursor is not long before a value."""
        where: sql.Composable = sql.SQL("")
        if since is not None:
            where = sql.SQL(
                "where coalesce({day}, 'infinity') in"
                " (select coalesce({day}, 'infinity') from {table} where {cursor} >= {since})"
            ).format(
                day=self._day, table=self._from, cursor=sql.Identifier(self._extract.cursor), since=self._since(since)
            )
        statement = sql.SQL(
            "select {day} as day, count(*) as rows,"
            " sum(('x' || left(md5(row({texts})::text), 15))::bit(60)::bigint)::numeric as digest"
            " from {table} {where} group by 1"
        ).format(day=self._day, texts=self._texts, table=self._from, where=where)
        return {r["day"]: Content(r["rows"], int(r["digest"])) for r in query(self._source, statement)}

    def _since(self, last: str) -> sql.Composed:
        value = sql.SQL("{}::{}").format(sql.Literal(last), sql.SQL(self._cursor_type))
        if not self._cursor_type.startswith("timestamp"):
            return value
        return sql.SQL("{} - {}").format(value, sql.Literal(self._extract.overlap))

    def rows(self, days: Sequence[date | None]) -> Iterator[tuple[date | None, Sequence[str | None]]]:
        """The rows of these days as texts, day by day."""
        if not days:
            return
        statement = sql.SQL(
            "select {day}, {texts} from {table} where {day} = any(%s) or %s and {day} is null order by 1"
        ).format(day=self._day, texts=self._texts, table=self._from)
        with self._source.cursor("days") as cursor:
            cursor.itersize = FETCHED_ROWS
            cursor.execute(statement, ([day for day in days if day], None in days))
            for day, *texts in cursor:
                yield day, texts


def _known_days(connection: Connection, contract: Contract) -> dict[date | None, Content]:
    rows = query(connection, "select day, rows, digest from ops.extracted_days where dataset = %s", (contract.dataset,))
    # A file that somebody has taken out of landing must come again.
    return {r["day"]: Content(r["rows"], int(r["digest"])) for r in rows if _file(contract, r["day"]).exists()}


def _last_extract(connection: Connection, contract: Contract) -> dict[str, Any] | None:
    assert contract.extract is not None
    rows = query(
        connection,
        """select cursor_value, now() >= compared_at + %s or cursor_value is null as is_due
           from ops.extracts where dataset = %s""",
        (contract.extract.compare_every, contract.dataset),
    )
    return rows[0] if rows else None


def _file(contract: Contract, day: date | None) -> Path:
    assert contract.location is not None
    return local_path(contract.location.replace("*", str(day) if day else NO_DAY))


def _write_days(
    contract: Contract, days: Iterable[date | None], rows: Iterator[tuple[date | None, Sequence[str | None]]]
) -> None:
    """Writes each day's file; one that has lost its rows is empty."""
    names = [column.name for column in contract.columns]
    empty = set(days)
    for day, of_day in groupby(rows, key=lambda row: row[0]):
        _write_file(_file(contract, day), (dict(zip(names, texts, strict=True)) for _, texts in of_day))
        empty.discard(day)
    for day in empty:
        _write_file(_file(contract, day), ())


def _write_file(file: Path, rows: Iterable[dict[str, str | None]]) -> None:
    """Writes a file under another name first. As it may hold personal data, nobody else may read it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
        for row in rows:
            json.dump({name: text for name, text in row.items() if text is not None}, stream, ensure_ascii=False)
            stream.write("\n")
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(file)


def _remember(
    connection: Connection,
    contract: Contract,
    changed: dict[date | None, Content | None],
    cursor_value: str | None,
    *,
    whole: bool,
) -> None:
    with connection.cursor() as cursor:
        execute_values(
            cursor,
            """insert into ops.extracted_days (dataset, day, rows, digest) values %s
               on conflict (dataset, day) do update set rows = excluded.rows, digest = excluded.digest""",
            [
                (contract.dataset, day, content.rows if content else 0, content.digest if content else 0)
                for day, content in changed.items()
            ],
        )
    execute(
        connection,
        """insert into ops.extracts (dataset, cursor_value, compared_at) values (%(dataset)s, %(cursor)s, now())
           on conflict (dataset) do update set cursor_value = excluded.cursor_value,
               compared_at = case when %(whole)s then excluded.compared_at else ops.extracts.compared_at end""",
        {"dataset": contract.dataset, "cursor": cursor_value, "whole": whole},
    )
