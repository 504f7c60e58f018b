"""``dp``: every step of the platform as a command. Rooms above the library add theirs by entry point."""

from __future__ import annotations

import logging
import sys
from importlib.metadata import entry_points

import typer

from data_platform.causes import explained
from data_platform.cli import build, contracts, deliveries, gates, platform, publications, rollbacks, runs, sql
from data_platform.cli.output import errors, fail
from data_platform.failures import PlatformError

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
    for module in (runs, build, gates, deliveries, publications, rollbacks, contracts, sql, platform):
        module.register(app)
    for entry in sorted(entry_points(group=COMMANDS), key=lambda e: e.name):
        entry.load()(app)
    return app


def main() -> None:
    """Entry point of ``dp``: a failure of a known type is one message and an exit code, never a traceback."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
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


if __name__ == "__main__":
    main()
