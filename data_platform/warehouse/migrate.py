"""Numbered SQL files bring the warehouse's own schemas up to date, each in one transaction, each once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from data_platform.failures import PermanentFailure
from data_platform.warehouse.connection import execute, open_connection, query

MIGRATIONS = Path(__file__).parent / "migrations"
LOCK = 7_410_001


@dataclass(frozen=True)
class Migration:
    """One SQL file, like ``0001_schemas_and_ops.sql``."""

    number: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def read_migrations(folder: Path = MIGRATIONS) -> list[Migration]:
    """The migrations in their order.

    Raises:
        PermanentFailure: when the numbers do not run 1, 2, 3 …
    """
    files = sorted(folder.glob("*.sql"))
    migrations = [Migration(int(f.name[:4]), f.stem[5:], f.read_text(encoding="utf-8")) for f in files]
    if [m.number for m in migrations] != list(range(1, len(migrations) + 1)):
        raise PermanentFailure(f"migrations in {folder.name}/ are not numbered 0001, 0002, … without a gap")
    return migrations


def migrate(folder: Path = MIGRATIONS) -> list[str]:
    """Applies what is not applied yet; returns the names of what it applied.

    Raises:
        PermanentFailure: when an applied migration was edited afterwards.
    """
    applied_now: list[str] = []
    connection = open_connection(application="dp migrate")
    try:
        with connection:
            execute(
                connection,
                "create table if not exists public.migrations (number int primary key, name text not null,"
                " sha256 text not null, applied_at timestamptz not null default clock_timestamp())",
            )
        for migration in read_migrations(folder):
            with connection:
                execute(connection, "select pg_advisory_xact_lock(%s)", (LOCK,))
                done = query(connection, "select sha256 from public.migrations where number = %s", (migration.number,))
                if done and done[0]["sha256"] != migration.sha256:
                    raise PermanentFailure(
                        f"migration {migration.number:04d}_{migration.name}.sql was edited after it was applied",
                        hint="restore the file and write the change as a new migration",
                    )
                if done:
                    continue
                execute(connection, migration.sql)
                execute(
                    connection,
                    "insert into public.migrations (number, name, sha256) values (%s, %s, %s)",
                    (migration.number, migration.name, migration.sha256),
                )
                applied_now.append(f"{migration.number:04d}_{migration.name}")
    finally:
        connection.close()
    return applied_now
