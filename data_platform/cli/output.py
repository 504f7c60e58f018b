"""How commands speak: tables and messages for people on a terminal, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, NoReturn, ParamSpec, TypeVar
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Table

from data_platform import logs
from data_platform.failures import PlatformError

P = ParamSpec("P")
T = TypeVar("T")

# A pipe or a log has no width of its own; folded to 80 columns a table of steps is unreadable.
WIDTH_OF_A_LOG = 160
console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else WIDTH_OF_A_LOG)
errors = Console(stderr=True, highlight=False, soft_wrap=True)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def _encode(value: object) -> str:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal | UUID | Path):
        return str(value)
    raise TypeError(f"cannot write {type(value).__name__} as JSON")


def print_json(value: object) -> None:
    """Writes one JSON document to standard output; decimals as strings, so that none is rounded."""
    sys.stdout.write(json.dumps(value, default=_encode, ensure_ascii=False, indent=2) + "\n")


def print_table(title: str, rows: Sequence[Mapping[str, Any]], *, columns: Sequence[str] | None = None) -> None:
    """Prints mappings as a table; columns in the order of the first row unless given."""
    if not rows and not columns:
        console.print(f"{title}: none")
        return
    names = list(columns or rows[0])
    numeric = {n for n in names if rows and all(isinstance(r.get(n), int | float | Decimal | None) for r in rows)}
    table = Table(title=title, title_justify="left", header_style="bold")
    for name in names:
        table.add_column(name.replace("_", " "), justify="right" if name in numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*("" if row.get(n) is None else str(row[n]) for n in names))
    console.print(table)


def show(title: str, rows: Sequence[Mapping[str, Any]], *, as_json: bool, columns: Sequence[str] | None = None) -> None:
    """Prints rows as JSON or as a table."""
    if as_json:
        print_json([dict(r) for r in rows])
    else:
        print_table(title, rows, columns=columns)


def fail(error: PlatformError) -> NoReturn:
    """Reports a failure as one message and ends with its exit code."""
    if logs.is_json():
        logs.report_failure(error, kind=error.kind, message=error.message, hint=error.hint, exit_code=error.exit_code)
    else:
        errors.print(f"[bold red]{error.kind} failure:[/] ", end="")
        errors.print(str(error), markup=False)
    raise typer.Exit(error.exit_code)


def reports_failures(command: Callable[P, T]) -> Callable[P, T]:
    """Decorates a command: a ``PlatformError`` becomes one message and an exit code."""

    @wraps(command)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return command(*args, **kwargs)
        except PlatformError as error:
            fail(error)

    return wrapper
