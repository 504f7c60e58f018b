"""``dp ingest`` and ``dp stage``: the Spark steps of a run."""

from __future__ import annotations

from typing import Annotated

import typer

from data_platform.cli.output import JsonOption, reports_failures, show

RunOption = Annotated[str, typer.Option("--run", help="The run that the step belongs to; `dp discover` opens one.")]
COLUMNS = ("subject", "rows_read", "rows_live", "rows_quarantined", "rows_changed", "verdict", "message", "seconds")


def register(app: typer.Typer) -> None:
    """Adds the commands to ``dp``."""
    app.command("ingest")(ingest_command)
    app.command("stage")(stage_command)


@reports_failures
def ingest_command(run_id: RunOption, as_json: JsonOption = False) -> None:
    """Parse every delivery that the lake does not hold yet; good rows to the lake, broken ones to quarantine."""
    _perform(run_id, "ingest", as_json)


@reports_failures
def stage_command(run_id: RunOption, as_json: JsonOption = False) -> None:
    """Load the stale days' rows from the lake into the run's own schema."""
    _perform(run_id, "stage", as_json)


def _perform(run_id: str, step: str, as_json: bool) -> None:
    from data_platform.steps import perform

    log = perform(run_id, step)
    rows = [{column: line[column] for column in COLUMNS} for line in log.lines]
    show(f"{step} of run {run_id}", rows, as_json=as_json, columns=COLUMNS)
