"""The command that builds models."""

from __future__ import annotations

import typer

from data_platform.cli.output import JsonOption
from data_platform.cli.runs import RunOption, take_step


def register(app: typer.Typer) -> None:
    """Adds the command to ``dp``."""
    app.command("build")(build)


def build(run: RunOption, as_json: JsonOption = False) -> None:
    """Build marts and features of a run with dbt, in its schema; a page tells of every model."""
    take_step(run, "build", as_json=as_json)
