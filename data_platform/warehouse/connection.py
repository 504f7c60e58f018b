"""Connections to the warehouse, by role."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from psycopg2.extras import RealDictCursor

from data_platform.causes import explain
from data_platform.failures import PermanentFailure, TransientFailure
from data_platform.settings import get_settings

ATTEMPTS = 3
PAUSE_S = 1.0


def open_connection(role: str = "platform", *, application: str = "dp") -> Connection:
    """Opens a connection as ``role``, trying a few times while the server is not there.

    Raises:
        InputError: when no warehouse is set up.
        PermanentFailure: when its disk is full.
        TransientFailure: when the server does not answer; says how to start it.
    """
    parameters = get_settings().warehouse_parameters(role)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            connection = psycopg2.connect(**parameters, application_name=application, connect_timeout=5)  # type: ignore[call-overload]
            connection.set_session(autocommit=False)
            return connection
        except psycopg2.OperationalError as error:
            failure = explain(error)
            if isinstance(failure, PermanentFailure):
                raise failure from None
            reason = str(error).strip().splitlines()[0]
            if attempt < ATTEMPTS and "authentication" not in reason:
                time.sleep(PAUSE_S * attempt)
                continue
            raise TransientFailure(
                f"the warehouse at {parameters['host']}:{parameters['port']} does not answer: {reason}",
                hint="start it with `make up`; `make status` tells what runs",
            ) from None
    raise AssertionError("unreachable")


@contextmanager
def transaction(role: str = "platform", *, application: str = "dp") -> Iterator[Connection]:
    """A connection whose work is committed at the end, or rolled back when anything fails."""
    connection = open_connection(role, application=application)
    try:
        yield connection
        connection.commit()
    except BaseException:
        # A server that is gone has rolled back already; saying so again would hide what happened.
        with suppress(psycopg2.Error):
            connection.rollback()
        raise
    finally:
        connection.close()


def query(connection: Connection, sql: Any, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[dict[str, Any]]:
    """All rows of a statement, as mappings."""
    with connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(sql, parameters or None)
        return [dict(row) for row in cursor.fetchall()]


def execute(connection: Connection, sql: Any, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> int:
    """Runs a statement and returns the number of rows that it touched."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters or None)
        return int(cursor.rowcount)
