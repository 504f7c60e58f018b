"""Roles and databases of the platform's server. Rights inside ``warehouse`` come from its own migrations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import psycopg2.errors
from psycopg2 import sql
from psycopg2.extensions import encrypt_password
from pydantic import SecretStr

from data_platform.failures import PermanentFailure
from data_platform.settings import ROLES, Settings

AIRFLOW_ROLE = "airflow"
ROLES_MADE = (*ROLES, AIRFLOW_ROLE)
MADE_BY_US = "made by the data platform"
OWNERS = {"warehouse": "platform", "feast": "platform", "airflow": AIRFLOW_ROLE}
# dbt's unit tests, which developers run, make temporary tables.
GUESTS = {"warehouse": {r: "CONNECT, TEMPORARY" if r == "developer" else "CONNECT" for r in ROLES if r != "platform"}}


# Text sorts and compares by code point on every server. Before version 17 only the operating system can do that.
TEXT = "TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8'"
BUILTIN_TEXT = f"{TEXT} LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'"


class Server(Protocol):
    """A PostgreSQL that we may set up."""

    def connect(self, database: str = ...) -> Any:
        """A connection as administrator, in autocommit mode."""


def role_passwords(settings: Settings) -> dict[str, SecretStr]:
    """Password of every role that the platform's programs log in as."""
    passwords = {role: getattr(settings, f"warehouse_password_{role}") for role in ROLES}
    return {**passwords, AIRFLOW_ROLE: settings.airflow_database_password}


def _prepare_role(connection: Any, role: str, password: SecretStr) -> None:
    """Makes a role that may log in and nothing else. The server sees a SCRAM verifier, never the password."""
    verifier = encrypt_password(password.get_secret_value(), role, connection, "scram-sha-256")
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,))
        verb = "ALTER" if cursor.fetchone() else "CREATE"
        statement = sql.SQL("{} ROLE {} LOGIN NOCREATEDB NOCREATEROLE PASSWORD {}")
        cursor.execute(statement.format(sql.SQL(verb), sql.Identifier(role), sql.Literal(verifier)))
        cursor.execute(sql.SQL("COMMENT ON ROLE {} IS {}").format(sql.Identifier(role), sql.Literal(MADE_BY_US)))
        cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        if cursor.fetchone() != (True,):  # who makes databases for a role must be a member of it
            cursor.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(role)))


def _prepare_database(connection: Any, database: str, owner: str) -> None:
    """Makes a database that only its owner and its guests can enter."""
    names = {"database": sql.Identifier(database), "owner": sql.Identifier(owner)}
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,))
        if not cursor.fetchone():
            text = sql.SQL(BUILTIN_TEXT if connection.server_version >= 170_000 else TEXT)
            cursor.execute(sql.SQL("CREATE DATABASE {database} OWNER {owner} {text}").format(**names, text=text))
    restrict_database(connection, database, GUESTS.get(database, {}))


def restrict_database(connection: Any, database: str, guests: Mapping[str, str]) -> None:
    """Lets the owner of a database and its guests (role → what it may do) in, and nobody else."""
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(database)))
        for guest, rights in guests.items():
            grant = sql.SQL("GRANT {} ON DATABASE {} TO {}")
            cursor.execute(grant.format(sql.SQL(rights), sql.Identifier(database), sql.Identifier(guest)))


def prepare_databases(server: Server, passwords: Mapping[str, SecretStr]) -> None:
    """Makes the roles, the databases ``warehouse``, ``feast`` and ``airflow``, and pgvector in ``warehouse``.

    Can be repeated: what is there stays, and each role gets the password given.

    Args:
        server: must run.
        passwords: of each of ``ROLES`` and of ``airflow``; see ``role_passwords``.

    Raises:
        TransientFailure: when the server is down.
        PermanentFailure: when it refuses what it was asked for.
    """
    try:
        _prepare(server, passwords)
    except psycopg2.ProgrammingError as error:  # also a lack of rights
        raise PermanentFailure(
            f"PostgreSQL refuses to be set up: {str(error).strip()}",
            hint="let its administrator do that by hand (docs/runbooks/platform-up-and-down.md, 'Another PostgreSQL')",
        ) from None


def _prepare(server: Server, passwords: Mapping[str, SecretStr]) -> None:
    connection = server.connect()
    try:
        for role, password in passwords.items():
            _prepare_role(connection, role, password)
        for database, owner in OWNERS.items():
            _prepare_database(connection, database, owner)
    finally:
        connection.close()
    connection = server.connect("warehouse")
    try:
        with connection.cursor() as cursor:
            cursor.execute("CREATE EXTENSION IF NOT EXISTS vector")
    except psycopg2.errors.InsufficientPrivilege:
        raise PermanentFailure(
            "the administrator may not install pgvector",
            hint="let a superuser run CREATE EXTENSION vector in database warehouse, which is there now, and try again",
        ) from None
    finally:
        connection.close()
