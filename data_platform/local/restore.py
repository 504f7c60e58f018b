"""A restore: a backup into an empty place, checked before anything is written and after.

Nothing that is there is ever replaced. The warehouse, by which everybody sees what counts, comes last and in one
transaction; until the end a mark in the state folder says that a restore is under way, so that one which was killed is
known for that, ``dp up`` refuses to start on half of it, and the same restore goes through when it is run again.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from data_platform.environment import env_file
from data_platform.failures import PermanentFailure
from data_platform.local.airflow import airflow_home
from data_platform.local.backup import SECRETS, part
from data_platform.local.backup_manifest import (
    NAME,
    Manifest,
    read_manifest,
    refuse_other_settings,
    stored,
    verify_files,
)
from data_platform.local.databases import prepare_databases, role_passwords
from data_platform.local.dump import Database, checksums, databases, load
from data_platform.local.graph import Listener
from data_platform.local.lake_copy import LOG, copy, folder_place, has_tables, highest_attempt, open_place
from data_platform.local.secrets import write_private
from data_platform.local.up import (
    administered_server,
    embedded_postgres,
    external_postgres,
    platform_components,
    set_up,
)
from data_platform.settings import Settings, get_settings
from data_platform.warehouse.connection import execute, query, transaction
from data_platform.warehouse.migrate import migrate, read_migrations, refuse_other_history

MARK = "restoring.json"
CUT_OFF = "cut off: the warehouse was restored from a backup"


@dataclass(frozen=True)
class Restored:
    """What was restored; ``migrations`` are those that the backup did not have yet."""

    path: Path
    manifest: Manifest
    migrations: tuple[str, ...]


def restore(source: Path, *, listener: Listener | None = None) -> Restored:
    """Restores a backup into an empty place, where PostgreSQL is started and stays up.

    Run again after it was cut off, it ends as if it had not been.

    Raises:
        InputError: when the source is no backup, or keys or settings are not those that it was made with.
        PermanentFailure: when the backup is damaged or of a newer platform, the place is not empty, or the platform up;
            also when what was restored differs from what was backed up.
        TransientFailure: when a server or one of its programs fails.
    """
    listener = listener or Listener()
    source = source.absolute()
    manifest = read_manifest(source)
    refuse_other_history({m.number: (m.name, m.sha256) for m in manifest.migrations}, read_migrations())
    with part(listener, "verify"):
        verify_files(source, manifest)
    _take_secrets(source)
    refuse_other_settings(manifest, get_settings(), env_file())
    settings = set_up()
    _refuse_running(settings)
    goes_on = _is_begun(settings, source)
    if not goes_on and has_tables(settings.lake):
        raise _not_empty(f"the lake at {settings.lake} has tables")
    with part(listener, "postgres"):
        _start_postgres(settings)
    _refuse_published(settings, manifest, goes_on=goes_on)
    write_private(settings.state_dir / MARK, json.dumps(_mark(source)))
    _write(source, manifest, settings, listener)
    with part(listener, "migrations"):
        migrations = _settle(manifest, settings)
    os.sync()
    (settings.state_dir / MARK).unlink()
    return Restored(source, manifest, tuple(migrations))


def refuse_half_restored(settings: Settings) -> None:
    """Stops whoever would work on half of a platform.

    Raises:
        PermanentFailure: when a restore was cut off.
    """
    if begun := _read_mark(settings):
        raise PermanentFailure(
            f"a restore from {begun['source']} was cut off", hint=f"run it again: make restore FROM={begun['source']}"
        )


def _take_secrets(source: Path) -> None:
    """Where nothing is set up yet, the keys that came with the backup are taken."""
    secrets = source / SECRETS
    if secrets.exists() and not env_file().exists():
        write_private(env_file(), secrets.read_text(encoding="utf-8"))
        get_settings.cache_clear()


def _refuse_running(settings: Settings) -> None:
    running = [p.name for p in platform_components(settings) if p.name != "postgres" and p.pids()]
    if running:
        raise PermanentFailure(f"the platform is up ({', '.join(running)})", hint="stop it first: make down")


def _mark(source: Path) -> dict[str, str]:
    return {"source": str(source), "manifest": stored(source / NAME).sha256}


def _read_mark(settings: Settings) -> dict[str, str] | None:
    try:
        content: dict[str, str] = json.loads((settings.state_dir / MARK).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return content


def _is_begun(settings: Settings, source: Path) -> bool:
    """Whether a restore of this backup was cut off here."""
    begun = _read_mark(settings)
    if begun and begun["manifest"] != _mark(source)["manifest"]:
        refuse_half_restored(settings)
    return begun is not None


def _not_empty(what: str) -> PermanentFailure:
    return PermanentFailure(
        f"{what}: a backup is restored into an empty place only",
        hint="set STATE_DIR in .env to a new folder, and WAREHOUSE_URL to an empty database if that is not of the "
        "platform's own server; everything that is here stays where it is",
    )


def _start_postgres(settings: Settings) -> None:
    """The server with its roles and databases, unless its administrator has prepared them."""
    if embedded := embedded_postgres(settings):
        embedded.init()
        embedded.start()
    if external := external_postgres(settings):
        external.check()
    if server := administered_server(settings):
        prepare_databases(server, role_passwords(settings))


def _refuse_published(settings: Settings, manifest: Manifest, *, goes_on: bool) -> None:
    """What was published before the backup was taken may be what a killed restore brought; nothing else may go."""
    with transaction() as connection:
        (there,) = query(connection, "select to_regclass('ops.publications') is not null as is_migrated")
        if not there["is_migrated"]:
            return
        (row,) = query(
            connection, "select max(publication_id) as last, max(published_at) as newest from ops.publications"
        )
    if row["last"] and not (goes_on and row["newest"] <= manifest.taken_at):
        raise _not_empty(f"the warehouse at {settings.warehouse_url} holds publications, the last is {row['last']}")


def _write(source: Path, manifest: Manifest, settings: Settings, listener: Listener) -> None:
    """Lake, landing and databases, the warehouse last."""
    if (source / "landing").exists():
        with part(listener, "landing"):
            _write_landing(source, manifest, Path(settings.landing))
    with part(listener, "lake"):
        _write_lake(source, manifest, settings.lake)
    for database in reversed(databases(settings)):
        with part(listener, database.name):
            load(database, source / "databases" / f"{database.name}.dump")
            _compare(database, manifest)


def _write_landing(source: Path, manifest: Manifest, landing: Path) -> None:
    """Deliveries with their times; a file that is there stays, as it came later."""
    for name in manifest.below("landing"):
        kept, target = source / "landing" / name, landing / name
        if not target.exists():
            unfinished = target.with_name(f".{target.name}.part")
            copy(folder_place(kept), folder_place(unfinished))
            os.utime(unfinished, ns=(kept.stat().st_atime_ns, kept.stat().st_mtime_ns))
            unfinished.rename(target)


def _write_lake(source: Path, manifest: Manifest, lake: str) -> None:
    """Tables, each with its log last and in its order: a table is never there before its rows."""
    writes, root = open_place(lake)
    for name in sorted(manifest.below("lake"), key=lambda n: (f"/{LOG}/" in n, n)):
        copy(folder_place(source / "lake" / name), (writes, f"{root}/{name}"))


def _compare(database: Database, manifest: Manifest) -> None:
    """Holds what a database has now to what the backup's snapshot had."""
    wanted = manifest.databases[database.name]
    connection = database.connect()
    try:
        found = checksums(connection)
    finally:
        connection.close()
    if wrong := sorted(t for t in wanted.keys() | found.keys() if wanted.get(t) != found.get(t)):
        raise PermanentFailure(
            f"restored, {', '.join(wrong)} of {database.name} differ from what was backed up",
            hint="do not start the platform on it; restore another backup",
        )


def _settle(manifest: Manifest, settings: Settings) -> list[str]:
    """Ends what was under way, keeps numbers in the lake from being given out twice, and migrates to this version."""
    with transaction() as connection:
        execute(
            connection,
            "update ops.runs set state = 'failed', failure = %s, ended_at = clock_timestamp() where state = 'open'",
            (CUT_OFF,),
        )
        execute(
            connection,
            "select setval('ops.ingest_id', %s) from ops.ingest_id where last_value < %s",
            (highest := highest_attempt(manifest.below("lake")), highest),
        )
    # The next `dp up` migrates Airflow's database too, whatever an earlier one here had noted.
    (airflow_home(settings) / "migrated").unlink(missing_ok=True)
    return migrate()
