"""Tables of other databases → deliveries: a file a day in landing, written anew whenever the day's rows differ.

From there on a table is a source like any other: a day that was written again is a corrected delivery. Rows that came
or changed are found by the cursor column, from a while before its last value on, as transactions may end after others
that began later; rows that were deleted, or moved to another day, by comparing all days from time to time.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2 import sql
from psycopg2.extras import execute_values

from data_platform.contracts.model import Column, Contract
from data_platform.failures import InputError, PlatformError, TransientFailure
from data_platform.landing import local_path
from data_platform.settings import get_settings
from data_platform.warehouse.connection import Connection, execute, query, transaction

NO_DAY = "without-day"
FETCHED_ROWS = 10_000
# Values must not be written as a server's or a user's settings have it.
SESSION = "set time zone 'UTC'; set extra_float_digits = 3; set intervalstyle = iso_8601; set bytea_output = hex"
# What no four-digit year can say is left to the contract's rules, as Postgres writes it.
IN_RANGE = "isfinite({column}) and {column} >= '0001-01-01' and {column} < '10000-01-01'"
# Postgres's type → the text that the contract's types read; all others are cast to text.
TEXTS = {
    kind: f"case when {IN_RANGE} then to_char({{column}}{utc}, '{form}') else {{column}}::text end"
    for kind, utc, form in (
        ("timestamp with time zone", " at time zone 'UTC'", 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        ("timestamp without time zone", "", 'YYYY-MM-DD"T"HH24:MI:SS.US'),
    )
}
DAYS = {
    kind: f"case when {IN_RANGE} then ({{column}}{utc})::date end"
    for kind, utc in (
        ("timestamp with time zone", " at time zone 'UTC'"),
        ("timestamp without time zone", ""),
        ("date", ""),
    )
}
NOW = {"timestamp with time zone": "now()", "timestamp without time zone": "localtimestamp"}
NUMBERS = {"smallint", "integer", "bigint", "numeric"}


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


NOTHING, UNKNOWN = Content(0, 0), Content(-1, 0)


def extract(contract: Contract, *, compare: bool = False) -> Extracted:
    """Writes the days of a table that differ from what was written before; all of it is one snapshot of the table.

    Before a day is written it is noted that nobody knows what it holds; so one that was killed is written again.

    Args:
        compare: all days, not only those that the cursor tells, though it is not time for that yet.

    Raises:
        InputError: when the database is not known, or lacks the table or one of the contract's columns.
        TransientFailure: when it does not answer.
    """
    with transaction(application="dp extract") as connection, _snapshot(contract) as source:
        execute(connection, "select pg_advisory_xact_lock(hashtext(%s))", (f"extract {contract.dataset}",))
        table = _Table(source, contract)
        last = _last_extract(connection, contract)
        known = _known_days(connection, contract, is_same_shape=bool(last and last["shape"] == table.shape))
        since = None if compare or not last or last["is_due"] or UNKNOWN in known.values() else last["cursor_value"]
        cursor_value = table.newest_cursor()
        present = table.contents(since)
        looked_at = present.keys() | known.keys() if since is None else present.keys()
        changed = {d: present.get(d, NOTHING) for d in looked_at if present.get(d, NOTHING) != known.get(d, NOTHING)}
        with transaction(application="dp extract") as intent:
            _note_days(intent, contract, dict.fromkeys(changed, UNKNOWN))
        _write_days(contract, changed, table.rows(list(changed)))
        _note_days(connection, contract, changed)
        execute(
            connection,
            """insert into ops.extracts (dataset, cursor_value, shape, compared_at)
               values (%(dataset)s, %(cursor)s, %(shape)s, now())
               on conflict (dataset) do update set
                   cursor_value = excluded.cursor_value, shape = excluded.shape, failure = null,
                   compared_at = case when %(whole)s then excluded.compared_at else ops.extracts.compared_at end""",
            {"dataset": contract.dataset, "cursor": cursor_value, "shape": table.shape, "whole": since is None},
        )
    return Extracted(contract.dataset, len(changed), sum(content.rows for content in changed.values()))


def extract_or_note(contract: Contract) -> None:
    """As ``extract``; a failure holds back this table alone, and is told with what is stale."""
    try:
        extract(contract)
    except PlatformError as error:
        with transaction(application="dp extract") as connection:
            execute(
                connection,
                """insert into ops.extracts (dataset, shape, compared_at, failure) values (%s, '', '-infinity', %s)
                   on conflict (dataset) do update set failure = excluded.failure""",
                (contract.dataset, str(error)),
            )


def failed_extracts(connection: Connection) -> dict[str, str]:
    """Dataset to why its table could not be taken out the last time."""
    rows = query(connection, "select dataset, failure from ops.extracts where failure is not null order by dataset")
    return {r["dataset"]: r["failure"] for r in rows}


@contextmanager
def _snapshot(contract: Contract) -> Iterator[Connection]:
    """A connection to the source's database that sees one state of it and can change nothing."""
    url = get_settings().source_urls.get(contract.source)
    if url is None:
        raise InputError(
            f"the database of source {contract.source!r} is not known",
            hint=f'say in .env: SOURCE_URLS={{"{contract.source}": "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"}}',
        )
    try:
        source = psycopg2.connect(url.get_secret_value(), connect_timeout=10, application_name="dp extract")
    except psycopg2.OperationalError as error:
        reason = str(error).strip().splitlines()[0]
        raise TransientFailure(
            f"the database of source {contract.source!r} does not answer: {reason}", hint="is SOURCE_URLS right?"
        ) from None
    try:
        with _translated(contract):
            source.set_client_encoding("UTF8")
            source.set_session(isolation_level="REPEATABLE READ", readonly=True)
            execute(source, SESSION)
        yield source
    finally:
        source.close()


@contextmanager
def _translated(contract: Contract) -> Iterator[None]:
    """Tells what is wrong with a source's database in one message."""
    try:
        yield
    except psycopg2.Error as error:
        reason = error.diag.message_primary or str(error).strip().partition("\n")[0]
        message = f"source {contract.source!r}: {reason}"
        if isinstance(error, psycopg2.OperationalError):
            raise TransientFailure(message, hint="its database broke off; the next run tries again") from None
        raise InputError(message, hint=_whom_to_ask(contract)) from None
    except UnicodeDecodeError:
        raise InputError(
            f"source {contract.source!r}: a text is no UTF-8", hint="ask the owner of the database for its encoding"
        ) from None


def _whom_to_ask(contract: Contract) -> str:
    return f"correct contracts/{contract.path}, or ask the owner of the database"


class _Table:
    """A table of another database, in terms of its contract; ``shape`` names what is read of it.

    Raises:
        InputError: when it, or a column, is not there or of no use.
        TransientFailure: when the database breaks off.
    """

    def __init__(self, source: Connection, contract: Contract) -> None:
        assert contract.extract is not None
        self._source = source
        self._contract = contract
        self._extract = contract.extract
        types = self._types()
        self._cursor_type = types[self._extract.cursor]
        if self._cursor_type not in NOW.keys() | NUMBERS:
            raise self._wrong(f"a cursor is a time or a number; {self._extract.cursor} is a {self._cursor_type}")
        columns = {c.name: (c.delivered_name, types[c.delivered_name]) for c in contract.columns}
        name, kind = columns[contract.day_column]
        if kind not in DAYS:
            raise self._wrong(f"{name} is a {kind}, and tells no day")
        self._day = self._expression(DAYS[kind], name)
        texts = [self._text(column, *columns[column.name]) for column in contract.columns]
        self._texts = sql.SQL(", ").join(texts)
        self._from = sql.Identifier(contract.source_schema, self._extract.table)
        read = [self._extract.model_dump(mode="json"), contract.source_schema, columns, contract.day_column]
        self.shape = hashlib.sha256(json.dumps(read).encode()).hexdigest()

    def _wrong(self, what: str) -> InputError:
        where = f"{self._contract.source_schema}.{self._extract.table}"
        return InputError(
            f"source {self._contract.source!r}, {where}: {what}",
            hint=_whom_to_ask(self._contract),
        )

    def _ask(self, statement: Any) -> list[dict[str, Any]]:
        with _translated(self._contract):
            return query(self._source, statement)

    def _types(self) -> dict[str, str]:
        statement = sql.SQL(
            "select column_name, data_type from information_schema.columns where table_schema = {} and table_name = {}"
        ).format(sql.Literal(self._contract.source_schema), sql.Literal(self._extract.table))
        types = {r["column_name"]: r["data_type"] for r in self._ask(statement)}
        wanted = [*(c.delivered_name for c in self._contract.columns), self._extract.cursor]
        if missing := [name for name in dict.fromkeys(wanted) if name not in types]:
            raise self._wrong(
                f"there is no column {', '.join(missing)}" if types else "there is no such table that its user may read"
            )
        return types

    @staticmethod
    def _expression(form: str, column: str) -> sql.Composed:
        return sql.SQL(form).format(column=sql.Identifier(column))

    def _text(self, column: Column, name: str, kind: str) -> sql.Composed:
        form = TEXTS.get(kind, "{column}::text")
        if column.physical_type == "date" and kind in DAYS:
            form = f"coalesce(({DAYS[kind]})::text, {form})"
        return self._expression(form, name)

    def newest_cursor(self) -> str | None:
        """The largest value of the cursor column; a time that is yet to come would hide all changes until then."""
        newest = sql.SQL("max({})").format(sql.Identifier(self._extract.cursor))
        if self._cursor_type in NOW:
            newest = sql.SQL("least({}, {})").format(newest, sql.SQL(NOW[self._cursor_type]))
        rows = self._ask(sql.SQL("select ({})::text as newest from {}").format(newest, self._from))
        found: str | None = rows[0]["newest"]
        return found

    def contents(self, since: str | None) -> dict[date | None, Content]:
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
        return {r["day"]: Content(r["rows"], int(r["digest"])) for r in self._ask(statement)}

    def _since(self, last: str) -> sql.Composed:
        value = sql.SQL("{}::{}").format(sql.Literal(last), sql.SQL(self._cursor_type))
        if self._cursor_type not in NOW:
            return value
        return sql.SQL("{} - {}").format(value, sql.Literal(self._extract.overlap))

    def rows(self, days: Sequence[date | None]) -> Iterator[tuple[date | None, Sequence[str | None]]]:
        """The rows of these days as texts, day by day, always in the same order."""
        if not days:
            return
        statement = sql.SQL(
            "select {day}, {texts} from {table} where {day} = any({days}::date[]) or {undated} and {day} is null"
            " order by {order}"
        ).format(
            day=self._day,
            texts=self._texts,
            table=self._from,
            days=sql.Literal([day for day in days if day]),
            undated=sql.Literal(None in days),
            order=sql.SQL(", ").join(sql.SQL(str(n)) for n in range(1, len(self._contract.columns) + 2)),
        )
        with _translated(self._contract), self._source.cursor("days") as cursor:
            cursor.itersize = FETCHED_ROWS
            cursor.execute(statement)
            for day, *texts in cursor:
                yield day, texts


def _known_days(connection: Connection, contract: Contract, *, is_same_shape: bool) -> dict[date | None, Content]:
    """Day to what stands in landing; unknown where it was written for another shape, or somebody has taken it out."""
    rows = query(connection, "select day, rows, digest from ops.extracted_days where dataset = %s", (contract.dataset,))
    return {
        r["day"]: Content(r["rows"], int(r["digest"]))
        if is_same_shape and _file(contract, r["day"]).exists()
        else UNKNOWN
        for r in rows
    }


def _last_extract(connection: Connection, contract: Contract) -> dict[str, Any] | None:
    assert contract.extract is not None
    rows = query(
        connection,
        """select cursor_value, shape, now() >= compared_at + %s as is_due from ops.extracts where dataset = %s""",
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


def _note_days(connection: Connection, contract: Contract, days: Mapping[date | None, Content]) -> None:
    with connection.cursor() as cursor:
        execute_values(
            cursor,
            """insert into ops.extracted_days (dataset, day, rows, digest) values %s
               on conflict (dataset, day) do update set rows = excluded.rows, digest = excluded.digest""",
            [(contract.dataset, day, content.rows, content.digest) for day, content in days.items()],
        )
