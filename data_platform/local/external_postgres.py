"""A PostgreSQL of somebody's own in place of the embedded one: POSTGRES_ADMIN_URL. It is set up, never started."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import psycopg2
from psycopg2.extensions import parse_dsn
from pydantic import SecretStr

from data_platform.failures import PermanentFailure, TransientFailure
from data_platform.local.databases import MADE_BY_US, OWNERS, ROLES_MADE

OLDEST = 15  # has views that ask with the rights of who reads them
NEEDS = "PostgreSQL 15 or newer with pgvector"


@dataclass(frozen=True)
class ExternalPostgres:
    """One server, as its administrator reaches it.

    Args:
        admin_url: ``postgresql://USER:PASSWORD@HOST:PORT/DATABASE``; the user may make roles and databases.
    """

    admin_url: SecretStr

    @property
    def address(self) -> str:
        """Host and port, for messages."""
        parts = urlsplit(self.admin_url.get_secret_value())
        return f"{parts.hostname}:{parts.port or 5432}"

    def connect(self, database: str = "") -> Any:
        """A connection as administrator, in autocommit mode; by default to the database of the address.

        Raises:
            TransientFailure: when the server does not answer or refuses the password.
        """
        parameters = parse_dsn(self.admin_url.get_secret_value())
        if database:
            parameters["dbname"] = database
        try:
            connection = psycopg2.connect(**{"connect_timeout": 5, "application_name": "dp set-up", **parameters})
        except psycopg2.OperationalError as error:
            raise TransientFailure(
                f"PostgreSQL at {self.address} does not let the administrator in: {str(error).strip()}",
                hint="is it up, and is POSTGRES_ADMIN_URL right?",
            ) from None
        connection.autocommit = True
        return connection

    def check(self) -> None:
        """Checks that the platform can be set up on it, before anything is changed.

        Raises:
            TransientFailure: when it does not answer.
            PermanentFailure: when it is too old or lacks pgvector, the administrator lacks rights, or roles or
                databases of our names belong to somebody else.
        """
        connection = self.connect()
        try:
            with connection.cursor() as cursor:
                self._check_kind(cursor, connection.server_version)
                self._check_names(cursor)
        finally:
            connection.close()

    def _check_kind(self, cursor: Any, version: int) -> None:
        if version // 10_000 < OLDEST:
            raise PermanentFailure(
                f"the server at {self.address} is PostgreSQL {version // 10_000}", hint=f"the platform needs {NEEDS}"
            )
        cursor.execute("select exists (select from pg_available_extensions where name = 'vector')")
        if cursor.fetchone() != (True,):
            raise PermanentFailure(
                f"the server at {self.address} has no pgvector",
                hint=f"install it there (on Debian: postgresql-{version // 10_000}-pgvector)",
            )
        cursor.execute("select rolsuper or rolcreaterole and rolcreatedb from pg_roles where rolname = current_user")
        if cursor.fetchone() != (True,):
            raise PermanentFailure(
                f"the user of POSTGRES_ADMIN_URL may not make roles and databases at {self.address}",
                hint="name a user with CREATEROLE and CREATEDB",
            )

    def _check_names(self, cursor: Any) -> None:
        """Roles belong to a whole server: one that somebody else has made keeps its password."""
        cursor.execute(
            """select rolname from pg_roles
               where rolname = any (%s) and shobj_description(oid, 'pg_authid') is distinct from %s order by 1""",
            (list(ROLES_MADE), MADE_BY_US),
        )
        foreign = [f"role {name}" for (name,) in cursor]
        for database, owner in OWNERS.items():
            cursor.execute(
                "select from pg_database where datname = %s and pg_get_userbyid(datdba) <> %s", (database, owner)
            )
            foreign += [f"database {database}"] if cursor.fetchall() else []
        if foreign:
            raise PermanentFailure(
                f"{', '.join(foreign)} at {self.address} belong to somebody else",
                hint="take another server; or, if they may be the platform's, drop them or set them up by hand "
                "(docs/runbooks/platform-up-and-down.md, 'Another PostgreSQL')",
            )
