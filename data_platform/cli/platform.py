"""`dp setup`, `dp up`, `dp down`, `dp status`: the platform on this machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from data_platform.cli.output import JsonOption, console, print_json, reports_failures, show
from data_platform.failures import PlatformError
from data_platform.local.graph import Listener


class PlainLines(Listener):
    """Progress for logs and pipes: one line when a part is done."""

    def __init__(self, done: str) -> None:
        self._done = done

    def finished(self, name: str, seconds: float, error: PlatformError | None) -> None:
        console.print(f"{name}: {'failed' if error else self._done} ({seconds:.1f} s)")


class Spinners(Listener):
    """Progress for a terminal: a line for each part, with a spinner while it is under way."""

    def __init__(self, progress: Progress, done: str) -> None:
        self._progress = progress
        self._done = done
        self._lines: dict[str, TaskID] = {}

    def started(self, name: str) -> None:
        self._lines[name] = self._progress.add_task(name, total=1)

    def finished(self, name: str, seconds: float, error: PlatformError | None) -> None:  # noqa: ARG002
        verdict = "[red]failed[/]" if error else f"[green]{self._done}[/]"
        self._progress.update(self._lines[name], completed=1, description=f"{name} {verdict}")


def with_progress(action: Callable[[Listener], object], done: str, *, quiet: bool) -> None:
    """Runs an action that reports to a listener, showing its progress as fits the output."""
    if quiet:
        action(Listener())
        return
    if not console.is_terminal:
        action(PlainLines(done))
        return
    columns = (SpinnerColumn(finished_text=" "), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        action(Spinners(progress, done))


@reports_failures
def setup(
    compose: Annotated[bool, typer.Option("--compose", help="In .env.compose, for docker-compose.yml.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write what is missing in the environment's file: secrets, ports, the business clock."""
    from data_platform.environment import PROJECT_ROOT, env_file
    from data_platform.local.secrets import ensure_compose_file
    from data_platform.local.up import set_up

    file = PROJECT_ROOT / ".env.compose" if compose else env_file()
    if compose:
        ensure_compose_file(file)
    else:
        set_up(generate=True)
    if as_json:
        print_json({"env_file": file})
    else:
        console.print(f"settings are in {file}")


@reports_failures
def up(as_json: JsonOption = False) -> None:
    """Start whatever does not run: PostgreSQL, Airflow, reports."""
    from data_platform.environment import env_file
    from data_platform.local.airflow import ADMIN, airflow_url
    from data_platform.local.up import status as ask
    from data_platform.local.up import up as start
    from data_platform.settings import get_settings

    with_progress(start, "ready", quiet=as_json)
    if as_json:
        print_json(ask())
        return
    url = airflow_url(get_settings())
    console.print(f"Airflow is at {url}, user {ADMIN}, password: AIRFLOW_ADMIN_PASSWORD in {env_file()}")


@reports_failures
def down(
    erase: Annotated[bool, typer.Option("--erase", help="Then delete PostgreSQL's data.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Stop all of it; data stays."""
    from data_platform.local.up import down as stop
    from data_platform.local.up import erase_data
    from data_platform.local.up import status as ask

    with_progress(stop, "stopped", quiet=as_json)
    if as_json:
        print_json(ask())
    if erase:
        erase_data()


@reports_failures
def status(as_json: JsonOption = False) -> None:
    """Tell what runs, where, and with how much memory. Exits 1 unless every part answers."""
    from data_platform.local.up import status as ask

    rows = ask()
    show("Platform", rows, as_json=as_json)
    if not rows or any(row["state"] != "running" for row in rows):
        raise typer.Exit(1)


def register(app: typer.Typer) -> None:
    """Adds these commands to ``dp``."""
    for command in (setup, up, down, status):
        app.command(rich_help_panel="This machine")(command)
