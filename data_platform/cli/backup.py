"""`dp backup` and `dp restore`: everything that cannot be derived, into a folder and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from data_platform.cli.output import JsonOption, console, print_json, reports_failures, show
from data_platform.cli.platform import with_progress
from data_platform.local.graph import Listener

if TYPE_CHECKING:
    from data_platform.local.backup import Backup

MB = 1_000_000
group = typer.Typer(help="Back up everything that cannot be derived; the platform may be at work.")


@group.callback(invoke_without_command=True)
@reports_failures
def backup(
    context: typer.Context,
    to: Annotated[
        Path | None, typer.Option(help="Folder to make; default: named by the time, in BACKUP_DIR or .state/backups.")
    ] = None,
    without_landing: Annotated[bool, typer.Option("--without-landing", help="Leave the deliveries out.")] = False,
    with_secrets: Annotated[
        bool, typer.Option("--with-secrets", help="Put the keys beside the data, in secrets.env, readable by you only.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Back up databases, lake and deliveries; the platform may be at work."""
    if context.invoked_subcommand:
        return
    from data_platform.environment import env_file
    from data_platform.local.backup import back_up
    from data_platform.settings import get_settings

    made = []

    def take(listener: Listener) -> None:
        made.append(back_up(to, with_landing=not without_landing, with_secrets=with_secrets, listener=listener))

    with_progress(take, "copied", quiet=as_json)
    (done,) = made
    if as_json:
        print_json(_row(done))
        return
    console.print(_summary(done))
    if with_secrets:
        console.print("secrets.env in it opens what the backup holds: keep it somewhere else")
    else:
        console.print(f"it can be restored only with the keys of {env_file()}: keep a copy of them somewhere else")
    if done.path.stat().st_dev == get_settings().state_dir.stat().st_dev:
        console.print("it is on the same disk as the platform: set BACKUP_DIR to another one")


@group.command("list")
@reports_failures
def list_(
    folder: Annotated[Path | None, typer.Argument(help="Where to look; default: BACKUP_DIR or .state/backups.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the complete backups of a folder."""
    from data_platform.local.backup import list_backups
    from data_platform.settings import get_settings

    show("backups", [_row(b) for b in list_backups(folder or get_settings().backups)], as_json=as_json)


@group.command()
@reports_failures
def verify(
    path: Annotated[Path, typer.Argument(help="Folder of the backup.")],
    as_json: JsonOption = False,
) -> None:
    """Read a backup's files and compare them with its manifest."""
    from data_platform.local.backup import Backup
    from data_platform.local.backup_manifest import read_manifest, verify_files

    found = Backup(path.absolute(), read_manifest(path))
    verify_files(found.path, found.manifest)
    if as_json:
        print_json(_row(found))
    else:
        console.print(f"whole: {_summary(found)}")


@reports_failures
def restore(
    source: Annotated[Path, typer.Argument(metavar="FROM", help="Folder of the backup.")],
    as_json: JsonOption = False,
) -> None:
    """Restore a backup into an empty place; starts PostgreSQL there."""
    from data_platform.local.restore import restore as bring_back

    made = []
    with_progress(lambda listener: made.append(bring_back(source, listener=listener)), "done", quiet=as_json)
    (done,) = made
    if as_json:
        print_json({"path": done.path, "taken_at": done.manifest.taken_at, "migrations": done.migrations})
        return
    tables = sum(len(tables) for tables in done.manifest.databases.values())
    console.print(
        f"{tables} tables with {done.manifest.rows:,} rows are as they were at {done.manifest.taken_at:%F %T}"
    )
    if done.migrations:
        console.print(f"and then brought up to this version: {', '.join(done.migrations)}")
    console.print("start the platform: make up")


def _row(done: Backup) -> dict[str, Any]:
    manifest = done.manifest
    return {
        "taken_at": manifest.taken_at,
        "publication_id": manifest.publication_id,
        "rows": manifest.rows,
        "files": len(manifest.files),
        "size_mb": round(manifest.size_bytes / MB, 1),
        "path": done.path,
    }


def _summary(done: Backup) -> str:
    row = _row(done)
    published = f"publication {row['publication_id']}" if row["publication_id"] else "nothing published"
    return f"{published}, {row['rows']:,} rows, {row['files']:,} files, {row['size_mb']:,} MB: {row['path']}"


def register(app: typer.Typer) -> None:
    """Adds these commands to ``dp``."""
    app.add_typer(group, name="backup", rich_help_panel="This machine")
    app.command(rich_help_panel="This machine")(restore)
