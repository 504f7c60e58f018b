"""Commands of the gates: take one, and read what they said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import typer

from data_platform.cli.output import JsonOption, console, print_json, print_table
from data_platform.cli.runs import DatasetsOption, RunOption, take_step
from data_platform.failures import InputError
from data_platform.gates import results as gate_results
from data_platform.rejections import forget
from data_platform.settings import get_settings
from data_platform.staleness import source_contracts
from data_platform.warehouse.connection import transaction
from data_platform.words import count_of

GATES: tuple[Literal["ingest", "stage", "build"], ...] = ("ingest", "stage", "build")
COLUMNS = ("gate", "relation", "rule_id", "severity", "holds", "observed", "expected", "rows_checked")


def register(app: typer.Typer) -> None:
    """Adds ``dp gate`` to ``dp``."""
    commands = typer.Typer(help="Check what a step has made; a failed error rule stops the run.")
    commands.callback(invoke_without_command=True)(gate)
    for after in GATES:
        commands.command(after, help=f"Take the gate after {after}.")(_take(after))
    commands.command("results")(results)
    commands.command("retry")(retry)
    app.add_typer(commands, name="gate")


def _take(after: str) -> Callable[..., None]:
    def command(run: RunOption, as_json: JsonOption = False) -> None:
        take_step(run, f"gate:{after}", as_json=as_json)

    return command


def gate(
    context: typer.Context,
    run: Annotated[str | None, typer.Option("--run", help="Id of the run, as `dp discover` printed it.")] = None,
    after: Annotated[str | None, typer.Option("--after", help=f"One of: {', '.join(GATES)}.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Check what a step has made; a failed error rule stops the run and exits with 4."""
    if context.invoked_subcommand:
        return
    if run is None or after not in GATES:
        raise InputError(
            "which run, and the gate after which step?",
            hint=f"`dp gate --run RUN_ID --after {'|'.join(GATES)}`; `dp runs` lists runs",
        )
    take_step(run, f"gate:{after}", as_json=as_json)


def results(
    run: Annotated[str | None, typer.Option("--run", help="Id of the run; default: the last one checked.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show every rule's result, what failed first, with example rows (personal values masked)."""
    with transaction() as connection:
        run_id = run or gate_results.last_checked_run(connection)
        rows = gate_results.read(connection, run_id) if run_id else []
    if as_json:
        print_json(rows)
        return
    if not rows:
        raise InputError(
            f"no gate has checked anything of run {run_id}" if run_id else "no gate has checked anything yet",
            hint="`dp runs` lists runs; `dp gate --run RUN_ID --after stage` takes a gate",
        )
    shown = [{**row, "holds": "yes" if row["passed"] else "NO"} for row in rows]
    print_table(f"gates of run {run_id}", shown, columns=COLUMNS)
    for row in rows:
        if not row["passed"]:
            console.print(f"{row['relation']}, rule {row['rule_id']}: {row['reason']}", markup=False)
            for example in row["examples"]:
                console.print("  " + ", ".join(f"{k}={v}" for k, v in example.items()), markup=False)
    console.print(f"pages: {get_settings().reports_dir / 'data_docs' / 'index.html'}", markup=False)


def retry(dataset: DatasetsOption = [], as_json: JsonOption = False) -> None:  # noqa: B006 - see run
    """Let the next run try again what gates have rejected, though none of it has changed."""
    contracts = source_contracts(dataset)
    with transaction() as connection:
        days = sum(forget(connection, contract.dataset) for contract in contracts)
    if as_json:
        print_json({"days": days})
    else:
        console.print(f"{count_of(days, 'day')} will be tried again by the next run" if days else "nothing is rejected")
