"""``dp``: every step of the platform as a command. Rooms above the library add theirs by entry point."""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib.metadata import entry_points

import typer

from data_platform import logs
from data_platform.causes import explained
from data_platform.cli import (
    alerts,
    backfill,
    backup,
    build,
    contracts,
    deliveries,
    gates,
    new,
    platform,
    publications,
    quarantine,
    rollbacks,
    runs,
    sql,
    vault,
)
from data_platform.cli.output import errors, fail
from data_platform.failures import InputError, PlatformError
from data_platform.settings import get_settings

COMMANDS = "data_platform.commands"


def build_app() -> typer.Typer:
    """The whole command line: the library's commands and those of the installed rooms."""
    app = typer.Typer(
        name="dp",
        help="A data platform: landed files become gated, published tables and served features.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
        rich_markup_mode="rich",
    )
    for module in (
        runs,
        backfill,
        build,
        gates,
        deliveries,
        publications,
        quarantine,
        rollbacks,
        contracts,
        new,
        sql,
        vault,
        platform,
        backup,
        alerts,
    ):
        module.register(app)
    for entry in sorted(entry_points(group=COMMANDS), key=lambda e: e.name):
        entry.load()(app)
    return app


def main() -> None:
    """Entry point of ``dp``: a failure of a known type is one message and an exit code, never a traceback."""
    logs.configure(_log_format())
    try:
        with explained():
            build_app()()
    except PlatformError as error:
        try:
            fail(error)
        except typer.Exit as end:
            sys.exit(end.exit_code)
    except KeyboardInterrupt:
        errors.print("stopped; published state is as it was, the next run derives the work again")
        sys.exit(130)
    except Exception as error:
        if not logs.is_json():
            raise
        places = logs.places(error.__traceback__)
        message = f"{type(error).__name__} at {places[-1]}"
        logs.report_failure(error, kind="unknown", message=message, exit_code=1)
        sys.exit(1)


def _log_format() -> str:
    """The setting; text while the settings are wrong, which the command itself will say."""
    with suppress(InputError):
        return get_settings().log_format
    return "text"


if __name__ == "__main__":
    main()
