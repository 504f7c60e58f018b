"""Connections are used again by later transactions, and nobody notices but by the time that it saves."""

from __future__ import annotations

import os

import psycopg2
import pytest

from data_platform.local.postgres import EmbeddedPostgres
from data_platform.warehouse.connection import execute, query, transaction

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("platform")]


def backend(role: str = "platform") -> int:
    """The server's process that serves a transaction."""
    with transaction(role) as connection:
        return int(query(connection, "select pg_backend_pid() as pid")[0]["pid"])


def test_transactions_one_after_the_other_share_a_connection() -> None:
    assert backend() == backend()
    with transaction() as outer, transaction() as inner:
        assert outer is not inner
    with transaction(application="dp test") as connection:
        assert query(connection, "show application_name") == [{"application_name": "dp test"}]


def test_each_role_has_its_own() -> None:
    assert backend("analyst") != backend("platform")
    with transaction("analyst") as connection:
        assert query(connection, "select current_user as name") == [{"name": "analyst"}]


def test_nothing_is_left_of_whoever_had_it_before() -> None:
    with transaction() as connection:
        connection.set_session(isolation_level="REPEATABLE READ", readonly=False)
        execute(connection, "set search_path to ops")
        execute(connection, "create temporary table left_over (n int)")
        execute(connection, "select pg_advisory_lock(4711)")
        first = connection.info.backend_pid
    with transaction() as connection:
        assert connection.info.backend_pid == first
        (found,) = query(
            connection,
            """select current_setting('transaction_isolation') as isolation, current_setting('search_path') as path,
                      to_regclass('left_over') as relation, count(locktype) as locks
               from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()""",
        )
    assert found == {"isolation": "read committed", "path": '"$user", public', "relation": None, "locks": 0}


def test_one_that_the_server_has_ended_is_replaced(postgres: EmbeddedPostgres) -> None:
    ended = backend()
    superuser = postgres.connect()
    execute(superuser, "select pg_terminate_backend(%s, 10000)", (ended,))
    superuser.close()
    assert backend() != ended


def test_one_whose_transaction_failed_is_not_used_again() -> None:
    before = backend()
    with pytest.raises(psycopg2.Error), transaction() as connection:
        execute(connection, "select 1 / 0")
    assert backend() != before


def test_a_child_takes_none_of_its_parents() -> None:
    before = backend()
    child = os.fork()
    if child == 0:
        os._exit(0 if backend() != before else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert backend() != before, "the parent has given back its idle ones before"
