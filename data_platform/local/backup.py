"""A backup: everything that cannot be derived, as one state, in a folder of files that a manifest vouches for.

It is taken while the platform works. The warehouse's snapshot comes first, the lake after it. The ledger names an
attempt only once the lake has committed it, and the lake is only added to; so every row that the snapshot counts stands
in a later version of the lake. What that version has beyond the snapshot is named by no ledger, and as invisible in the
restored platform as what a killed attempt leaves (``restore`` keeps its number from being given out again). Taken the
other way round, a run between the two would leave a ledger that names rows which the lake lacks.

Of a Delta table goes into the backup the log up to the version that it has when its turn comes, and the files that this
log names. No version before a removal is lost by that, as long as the removed files are still there; a table that is
vacuumed meanwhile makes the backup fail, and another one succeed.

Files of landing come last: a file that the ledger knows is there unless its source has replaced it, and one that it
does not know yet is a new delivery to the restored platform. They are kept because a changed contract reads every
delivery anew. Feast's and Airflow's databases have snapshots of their own: every step may be repeated, so that they
need not agree with the warehouse to the second.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from data_platform.failures import InputError, PlatformError, TransientFailure
from data_platform.local.backup_manifest import (
    NAME,
    AppliedMigration,
    Manifest,
    StoredFile,
    TableSum,
    fingerprints_of_keys,
    read_manifest,
    secrets_to_keep,
    settings_to_keep,
    stored,
)
from data_platform.local.dump import WAREHOUSE, Database, checksums, databases, dump, snapshot
from data_platform.local.graph import Listener
from data_platform.local.lake_copy import copy, folder_place, open_place, pin_tables
from data_platform.local.secrets import write_private
from data_platform.settings import Settings, get_settings
from data_platform.warehouse.connection import Connection, execute, open_connection, query
from data_platform.warehouse.migrate import applied_migrations

SECRETS = "secrets.env"
UNFINISHED = ".part"
STAMP = "%Y%m%dT%H%M%SZ"
STAMPED = "[0-9]*T[0-9]*Z"
LOCK = 7_410_004


@dataclass(frozen=True)
class Backup:
    """A complete backup and where it is."""

    path: Path
    manifest: Manifest


def list_backups(folder: Path) -> list[Backup]:
    """The complete backups in a folder, oldest first."""
    paths = sorted(manifest.parent for manifest in folder.glob(f"*/{NAME}"))
    return [Backup(path, read_manifest(path)) for path in paths if path.suffix != UNFINISHED]


def back_up(
    target: Path | None = None,
    *,
    with_landing: bool = True,
    with_secrets: bool = False,
    listener: Listener | None = None,
) -> Backup:
    """Takes a backup; a folder without the ending ``.part`` is a complete one.

    Args:
        target: a folder that is made; default: named by the time, in the settings' ``backups``.
        with_landing: with the deliveries.
        with_secrets: with ``secrets.env``, which holds the keys.

    Raises:
        InputError: when the target is there already.
        TransientFailure: when a server does not answer, another backup is being taken, or the lake is tidied meanwhile.
    """
    settings = get_settings()
    target = (target or settings.backups / f"{datetime.now(UTC):{STAMP}}").absolute()
    if target.exists():
        raise InputError(f"{target} is there already", hint="name a folder that does not exist yet")
    with _only_one():
        folder = _begin(target)
        manifest = _fill(folder, settings, with_landing=with_landing, listener=listener or Listener())
        if with_secrets:
            write_private(folder / SECRETS, secrets_to_keep(settings))
        (folder / NAME).write_text(manifest.model_dump_json(indent=1), encoding="utf-8")
        os.sync()
        folder.rename(target)
    return Backup(target, manifest)


@contextmanager
def _only_one() -> Iterator[None]:
    connection = open_connection(application="dp backup")
    try:
        connection.autocommit = True
        (row,) = query(connection, "select pg_try_advisory_lock(%s) as is_free", (LOCK,))
        if not row["is_free"]:
            raise TransientFailure("another backup is being taken", hint="wait until it has ended")
        yield
        # The server ends a session a moment after it was closed, and the next backup may come before.
        execute(connection, "select pg_advisory_unlock(%s)", (LOCK,))
    finally:
        connection.close()


def _begin(target: Path) -> Path:
    """The folder to fill, readable by its owner only; what killed backups left beside it is removed."""
    folder = target.with_name(target.name + UNFINISHED)
    for cut_off in {folder, *target.parent.glob(STAMPED + UNFINISHED)}:
        shutil.rmtree(cut_off, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700)
    return folder


def _fill(folder: Path, settings: Settings, *, with_landing: bool, listener: Listener) -> Manifest:
    """Everything but the manifest, which it returns."""
    files: dict[str, StoredFile] = {}
    sums: dict[str, dict[str, TableSum]] = {}
    state: dict[str, Any] = {}
    for database in databases(settings):
        with part(listener, database.name), snapshot(database) as (connection, name):
            if database.name == WAREHOUSE:
                state = _state(connection)
            file = f"databases/{database.name}.dump"
            files[file], sums[database.name] = _dump(database, connection, name, folder / file)
    with part(listener, "lake"):
        versions = _copy_lake(settings, folder, files)
    if with_landing:
        with part(listener, "landing"):
            _copy_landing(Path(settings.landing), folder, files)
    return Manifest(
        **state,
        settings=settings_to_keep(settings),
        keys=fingerprints_of_keys(settings),
        databases=sums,
        lake=versions,
        files=files,
    )


def _state(connection: Connection) -> dict[str, Any]:
    """What the warehouse says of its snapshot."""
    applied = applied_migrations(connection)
    (row,) = query(
        connection,
        "select clock_timestamp() as taken_at, (select max(publication_id) from ops.publications) as publication_id",
    )
    migrations = [AppliedMigration(number=n, name=name, sha256=sha256) for n, (name, sha256) in applied.items()]
    return {**row, "migrations": migrations}


def _dump(
    database: Database, connection: Connection, snapshot_name: str, target: Path
) -> tuple[StoredFile, dict[str, TableSum]]:
    target.parent.mkdir(exist_ok=True)
    dump(database, snapshot_name, target)
    return stored(target), checksums(connection)


def _copy_lake(settings: Settings, folder: Path, files: dict[str, StoredFile]) -> dict[str, int]:
    """Copies every table; returns its version.

    Raises:
        TransientFailure: when a file was removed meanwhile.
    """
    reads, root = open_place(settings.lake)
    writes, to = folder_place(folder)
    tables = pin_tables(settings.lake)
    for table in tables:
        for name in table.files:
            try:
                files[f"lake/{name}"] = copy((reads, f"{root}/{name}"), (writes, f"{to}/lake/{name}"))
            except FileNotFoundError:
                raise TransientFailure(f"{name} was removed from the lake meanwhile", hint="try again") from None
    return {table.path: table.version for table in tables}


def _copy_landing(landing: Path, folder: Path, files: dict[str, StoredFile]) -> None:
    """Copies the deliveries; one that is still being written, or goes, waits for the next backup."""
    for path in sorted(p for p in landing.rglob("*") if p.is_file()):
        name = f"landing/{path.relative_to(landing)}"
        if file := _copy_unless_moving(path, folder / name):
            files[name] = file


def _copy_unless_moving(path: Path, to: Path) -> StoredFile | None:
    """Copies a file with its times; leaves none when it changed or went meanwhile."""
    with suppress(FileNotFoundError):
        before = path.stat()
        file = copy(folder_place(path), folder_place(to))
        after = path.stat()
        if (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns):
            os.utime(to, ns=(before.st_atime_ns, before.st_mtime_ns))
            return file
    to.unlink(missing_ok=True)
    return None


@contextmanager
def part(listener: Listener, name: str) -> Iterator[None]:
    """Tells a listener of a part of the work."""
    listener.started(name)
    begun = time.monotonic()
    try:
        yield
    except PlatformError as error:
        listener.finished(name, time.monotonic() - begun, error)
        raise
    listener.finished(name, time.monotonic() - begun, None)
