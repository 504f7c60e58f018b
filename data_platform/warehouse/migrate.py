"""Numbered SQL files bring the warehouse's own schemas up to date, each in one transaction, each once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_platform.failures import PermanentFailure
from data_platform.warehouse.connection import Connection, execute, open_connection, query

MIGRATIONS = Path(__file__).parent / "migrations"
LOCK_TIMEOUT = "10s"
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


def refuse_other_history(applied: Mapping[int, tuple[str, str]], migrations: Sequence[Migration]) -> None:
    """Stops before a warehouse that these migrations did not make is touched.

    Args:
        applied: number to name and sha256 of what the warehouse was made by.

    Raises:
        PermanentFailure: when it is newer than the migrations, or one of them was edited afterwards.
    """
    known = {m.number: m for m in migrations}
    if newer := [f"{number:04d}_{name}" for number, (name, _) in sorted(applied.items()) if number not in known]:
        raise PermanentFailure(
            f"the warehouse is newer than this checkout, which does not know {', '.join(newer)}.sql",
            hint="check out the version that wrote it, or a newer one; nothing was changed",
        )
    for number, (_, sha256) in sorted(applied.items()):
        if known[number].sha256 != sha256:
            raise PermanentFailure(
                f"migration {number:04d}_{known[number].name}.sql was edited after it was applied",
                hint="restore the file and write the change as a new migration",
            )


def applied_migrations(connection: Connection) -> dict[int, tuple[str, str]]:
    """Number to name and sha256 of what was applied to the warehouse; empty for one that is new."""
    (there,) = query(connection, "select to_regclass('public.migrations') is not null as is_there")
    if not there["is_there"]:
        return {}
    rows = query(connection, "select number, name, sha256 from public.migrations order by number")
    return {r["number"]: (r["name"], r["sha256"]) for r in rows}


def migrate(folder: Path = MIGRATIONS) -> list[str]:
    """Applies what is not applied yet; returns the names of what it applied.

    Each migration is one transaction: one that is cut off leaves the version before it.

    Raises:
        PermanentFailure: when the warehouse is newer than the folder, or an applied migration was edited afterwards.
    """
    migrations = read_migrations(folder)
    connection = open_connection(application="dp migrate")
    try:
        with connection:
            refuse_other_history(applied_migrations(connection), migrations)
            execute(
                connection,
                "create table if not exists public.migrations (number int primary key, name text not null,"
                " sha256 text not null, applied_at timestamptz not null default clock_timestamp())",
            )
        return [f"{m.number:04d}_{m.name}" for m in migrations if _apply(connection, m)]
    finally:
        connection.close()


def _apply(connection: Connection, migration: Migration) -> bool:
    """Applies a migration in a transaction of its own; False when it, or somebody meanwhile, has done so."""
    with connection:
        execute(connection, "select pg_advisory_xact_lock(%s)", (LOCK,))
        if query(connection, "select from public.migrations where number = %s", (migration.number,)):
            return False
        # Whoever reads meanwhile is not made to wait behind us: better that the migration is taken again.
        execute(connection, f"set local lock_timeout = '{LOCK_TIMEOUT}'")
        execute(connection, migration.sql)
        execute(
            connection,
            "insert into public.migrations (number, name, sha256) values (%s, %s, %s)",
            (migration.number, migration.name, migration.sha256),
        )
    return True
