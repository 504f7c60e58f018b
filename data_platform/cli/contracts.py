"""``dp contracts``: lint, compile, diff, drift."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from data_platform.cli.output import JsonOption, console, print_json, reports_failures, show
from data_platform.contracts.additions import Addition, add_to_file, lines_of
from data_platform.contracts.compile.files import compile_all, find_drift, mend_drift
from data_platform.contracts.diff import diff_all
from data_platform.contracts.inferred import suggested
from data_platform.contracts.lint import lint
from data_platform.contracts.load import get_contracts, load_contract, load_contracts
from data_platform.contracts.model import Contract
from data_platform.contracts.odcs import LAYERS
from data_platform.contracts.published import published_contracts
from data_platform.drift import list_drift
from data_platform.failures import InputError
from data_platform.settings import get_settings
from data_platform.warehouse.connection import transaction
from data_platform.words import count_of

commands = typer.Typer(no_args_is_help=True, help="Check contracts, compile them, and see what a change breaks.")


def register(app: typer.Typer) -> None:
    """Adds the group to ``dp``."""
    app.add_typer(commands, name="contracts")


@commands.command("lint")
@reports_failures
def lint_contracts(as_json: JsonOption = False) -> None:
    """Check every contract against the standard and our own rules; exit 1 when one is wrong."""
    problems = lint(get_settings().contracts_dir)
    if as_json:
        print_json(problems)
    elif not problems:
        console.print(f"{len(get_contracts())} contracts, no problem")
    else:
        console.print("\n".join(problems), markup=False)
    raise typer.Exit(1 if problems else 0)


@commands.command("compile")
@reports_failures
def compile_contracts(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 when a file is not up to date.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write what is compiled from contracts and committed: dbt's property files and the catalog."""
    root = get_settings().project_root
    files = compile_all(get_contracts(), root)
    drift = find_drift(files, root)
    if not check:
        mend_drift(files, drift)
    rows = [{"file": path.relative_to(root), "state": "outdated" if check else "written"} for path in drift.outdated]
    rows += [{"file": path.relative_to(root), "state": "stale" if check else "removed"} for path in drift.stale]
    if rows or as_json:
        show("Generated files", rows, as_json=as_json)
    else:
        console.print(f"{len(files)} generated files, all up to date")
    if check and drift:
        console.print("run `dp contracts compile` and commit what it writes", style="bold") if not as_json else None
        raise typer.Exit(1)


@commands.command("diff")
@reports_failures
def diff_contracts(
    dataset: Annotated[str | None, typer.Argument(help="One dataset; all of them unless given.")] = None,
    against: Annotated[
        Path | None,
        typer.Option(help="Contracts to compare with instead of what is published: a folder, or a file in one."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what changed since the last publication; exit 1 when a change breaks readers or rows already there."""
    old = _read(against) if against else _published()
    new = {contract.dataset: contract for contract in get_contracts()}
    if dataset is None and against is not None and against.is_file():
        (dataset,) = old
    if dataset is not None:
        new, old = {dataset: get_contracts()[dataset]}, {name: c for name, c in old.items() if name == dataset}
    changes = diff_all(old, new)
    show("Changes", [asdict(change) for change in changes], as_json=as_json)
    raise typer.Exit(1 if any(change.breaking for change in changes) else 0)


@commands.command("drift")
@reports_failures
def drifted_columns(
    dataset: Annotated[str | None, typer.Argument(help="One dataset; all of them unless given.")] = None,
    add: Annotated[
        bool, typer.Option("--add", help="Write the dataset's new columns into its contract, to be reviewed.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show columns that came and no contract names, and those that did not come; of one dataset, the lines to add."""
    if add and dataset is None:
        raise InputError("--add writes into one contract", hint="name its dataset")
    contract = get_contracts()[dataset] if dataset else None
    with transaction("analyst") as connection:
        rows = list_drift(connection, dataset)
    new = [
        Addition(row["name"], row["type"], f"{count_of(row['rows'], 'row')} since {row['first']}")
        for row in rows
        if row["change"] == "new"
    ]
    if contract and add:
        if not new:
            raise InputError(f"nothing came that {contract.dataset} does not name", hint=_why_nothing(contract))
        file = add_to_file(contract, new, get_settings().contracts_dir)
        console.print(f"{count_of(len(new), 'column')} written into {file}", soft_wrap=True)
        console.print("review the lines, then `dp contracts compile`: the next run reads the files again")
        return
    show("Drifted columns", [{**row, "type": row["type"] and suggested(row["type"])} for row in rows], as_json=as_json)
    if contract and new and not as_json:
        console.print("\nlines for the contract (`--add` writes them):", style="bold")
        console.print("\n".join(lines_of(contract, new)), markup=False)


def _why_nothing(contract: Contract) -> str:
    if contract.drift != "evolve":
        return f"its schemaDrift is {contract.drift}: nothing new lands; docs/drift.md tells more"
    return "beside personal data no new names are kept" if contract.is_personal else "`dp contracts drift` lists others"


def _read(path: Path) -> dict[str, Contract]:
    """Dataset → contract, of a folder like contracts/ or of one file in such a folder."""
    path = path.resolve()
    if path.is_dir():
        return {contract.dataset: contract for contract in load_contracts(path)}
    root = next((folder for folder in path.parents if path.relative_to(folder).parts[0] in LAYERS), None)
    if root is None or not path.is_file():
        raise InputError(
            f"{path} is neither a folder of contracts nor a file in one",
            hint="name a folder that holds sources/, marts/ or features/, or a contract in it",
        )
    contract = load_contract(path, root)
    return {contract.dataset: contract}


def _published() -> dict[str, Contract]:
    with transaction("analyst") as connection:
        return published_contracts(connection)
