"""A reader that looks at the published state all the time, each time in one snapshot: it must never see a mixture."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal

import psycopg2

from data_platform.failures import TransientFailure
from data_platform.warehouse.connection import Connection, open_connection, query

PAUSE_S = 0.02


@dataclass
class Seen:
    """What the reader saw: how many snapshots, of which publications, and what was wrong with any."""

    snapshots: int = 0
    publications: set[int] = field(default_factory=set)
    mixed: list[str] = field(default_factory=list)


@contextmanager
def polling() -> Iterator[Seen]:
    """Polls while the block runs."""
    seen, over = Seen(), threading.Event()
    with ThreadPoolExecutor(1) as executor:
        reader = executor.submit(_poll, seen, over)
        try:
            yield seen
        finally:
            over.set()
        reader.result()


def _poll(seen: Seen, over: threading.Event) -> None:
    connection = None
    while not over.wait(PAUSE_S):
        try:
            connection = connection or _open()
            publication, mixed = look(connection)
        except (psycopg2.Error, TransientFailure):  # the server was killed, and comes back
            connection = None
            continue
        seen.snapshots += 1
        seen.publications.add(publication)
        seen.mixed += mixed
    if connection:
        connection.close()


def _open() -> Connection:
    connection = open_connection(application="a polling reader")
    connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
    return connection


def look(connection: Connection) -> tuple[int, list[str]]:
    """The newest publication of a snapshot, and the tables that are not what was recorded of them."""
    with connection:
        newest = query(connection, "select coalesce(max(publication_id), 0) as id from ops.publications")[0]["id"]
        recorded = query(connection, "select table_name, rows, sums from ops.published_tables")
        mixed = []
        for table, rows, sums in (row.values() for row in recorded):
            columns = "".join(f", coalesce(sum({column}), 0) as {column}" for column in sums)
            found = query(connection, f"select count(*) as rows{columns} from {table}")[0]
            wanted = {"rows": rows, **{column: Decimal(total) for column, total in sums.items()}}
            if found != wanted:
                mixed.append(f"publication {newest}: {table} holds {found}, recorded are {wanted}")
    return newest, mixed
