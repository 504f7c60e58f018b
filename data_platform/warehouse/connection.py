"""Connections to the warehouse, by role."""

from __future__ import annotations

import os
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
MOST_IDLE = 2
_idle: list[tuple[dict[str, str | int], Connection]] = []


def open_connection(role: str = "platform", *, application: str = "dp") -> Connection:
    """Opens a connection as ``role``, trying a few times while the server is not there.

    Raises:
        InputError: when no warehouse is set up.
        PermanentFailure: when its disk is full.
        TransientFailure: when the server does not answer; says how to start it.
    """
    return connect(get_settings().warehouse_parameters(role), application=application)


def connect(parameters: Mapping[str, Any], *, application: str) -> Connection:
    """As ``open_connection``, where there are no settings: Spark's workers are told how.

    Raises:
        PermanentFailure, TransientFailure: as ``open_connection``.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            connection = psycopg2.connect(**parameters, application_name=application, connect_timeout=5)
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
    """A connection whose work is committed at the end, or rolled back when anything fails.

    It is used again by later transactions of the process: a step has a dozen, most of which take less than it takes to
    log in.
    """
    parameters = get_settings().warehouse_parameters(role)
    connection = _take_idle(parameters, application) or open_connection(role, application=application)
    try:
        yield connection
        connection.commit()
    except BaseException:
        # A server that is gone has rolled back already; saying so again would hide what happened.
        with suppress(psycopg2.Error):
            connection.rollback()
        connection.close()
        raise
    _keep_idle(parameters, connection)


def _take_idle(parameters: dict[str, str | int], application: str) -> Connection | None:
    """A connection of these parameters that still answers, or None."""
    while _idle:
        known, connection = _idle.pop()
        if known == parameters:
            with suppress(psycopg2.Error):
                _outside_transactions(connection, "set application_name = %s", application)
                return connection
        connection.close()
    return None


def _keep_idle(parameters: dict[str, str | int], connection: Connection) -> None:
    """Keeps a connection as it was when it was new: without settings, locks or temporary tables of whoever had it."""
    if len(_idle) < MOST_IDLE:
        with suppress(psycopg2.Error):
            connection.set_session(isolation_level="default", readonly="default", autocommit=False)
            _outside_transactions(connection, "discard all")
            _idle.append((parameters, connection))
            return
    connection.close()


def _outside_transactions(connection: Connection, statement: str, *parameters: str) -> None:
    connection.autocommit = True
    execute(connection, statement, parameters)
    connection.autocommit = False


def close_idle() -> None:
    """Gives back the connections that nobody uses."""
    while _idle:
        _idle.pop()[1].close()


os.register_at_fork(before=close_idle)  # a child that ended would say good-bye to the server in its parent's name


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
