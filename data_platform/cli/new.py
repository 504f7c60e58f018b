"""`dp new …`: first drafts of datasets, models, feature tables and DAGs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from data_platform.cli.output import JsonOption, console, print_json, print_table, reports_failures
from data_platform.settings import get_settings

commands = typer.Typer(
    no_args_is_help=True, help="Draft a dataset's contract from its files, or a model, features, a DAG."
)
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would be written; write nothing.")]


def register(app: typer.Typer) -> None:
    """Adds the group to ``dp``."""
    app.add_typer(commands, name="new")


@commands.command("dataset")
@reports_failures
def new_dataset(
    name: Annotated[str, typer.Argument(help="What the dataset is to be called, in lower_snake_case.")],
    source: Annotated[str, typer.Option(help="The system that delivers it: a folder in contracts/sources.")],
    origin: Annotated[
        list[str],
        typer.Option(
            "--from", help="Files, or patterns of files in quotes; or table:SCHEMA.TABLE of the source's database."
        ),
    ],
    dry_run: DryRun = False,
    as_json: JsonOption = False,
) -> None:
    """Draft a contract from files or a table, and a page that shows what is in them."""
    from data_platform.scaffold import contract, profile
    from data_platform.scaffold.write import draft_dataset, write_dataset

    draft = draft_dataset(source, name, origin)
    text = contract.write(draft)
    contract.parse(text, draft)
    if dry_run:
        if as_json:
            print_json({"contract": text, "rows": draft.rows, "columns": list(profile.summary(draft))})
        else:
            sys.stdout.write(text)
        return
    written = write_dataset(draft, text)
    if as_json:
        files = [str(file) for file in written]
        print_json(
            {"written": files, "rows": draft.rows, "sampled": draft.sampled, "columns": list(profile.summary(draft))}
        )
        return
    columns = ["column", "type", "missing", "distinct", "key", "personal"]
    print_table(f"{source}/{name}: {draft.sampled}", profile.summary(draft), columns=columns)
    steps = [
        f"look at {written[-1]}",
        f"edit {_shown(written[0])}: each word `review` waits for a decision",
        "dp contracts lint && dp contracts compile",
        f"land files as {draft.location}" if draft.kind != "table" else f"dp extract {name}",
        "dp run",
    ]
    _tell(written, steps)


@commands.command("model")
@reports_failures
def new_model(
    name: Annotated[str, typer.Argument(help="Its name: int_<entity>__<verb>, fct_… or dim_….")],
    layer: Annotated[Literal["intermediate", "marts"], typer.Option(help="Where it stands.")],
    origin: Annotated[str, typer.Option("--from", help="The model that it reads, like stg_shop__purchases.")],
    dry_run: DryRun = False,
    as_json: JsonOption = False,
) -> None:
    """Draft a model's SQL, and of a mart its contract."""
    from data_platform.scaffold.models import draft_model

    _write(
        draft_model(name, layer, origin),
        dry_run,
        as_json,
        ["edit them", "dp contracts lint && dp contracts compile", "make lint", "dp plan"],
    )


@commands.command("feature")
@reports_failures
def new_feature(
    name: Annotated[str, typer.Argument(help="Its name: ftr_<entity>__<group>.")],
    entity: Annotated[str, typer.Option(help="Feast's entity, like customer.")],
    origin: Annotated[str, typer.Option("--from", help="The mart that it is made of, like fct_customer_days.")],
    dry_run: DryRun = False,
    as_json: JsonOption = False,
) -> None:
    """Draft a feature table's SQL and contract."""
    from data_platform.scaffold.models import draft_feature

    _write(
        draft_feature(name, entity, origin),
        dry_run,
        as_json,
        ["edit them", "dp contracts lint && dp contracts compile", "make lint", "dp plan"],
    )


@commands.command("dag")
@reports_failures
def new_dag(
    name: Annotated[str, typer.Argument(help="A verb phrase like replay_returns: the file's name and the DAG's id.")],
    runbook: Annotated[
        str, typer.Option(help="A page of docs/runbooks, without .md: what the person on call reads.")
    ] = "nightly-run-failed",
    dry_run: DryRun = False,
    as_json: JsonOption = False,
) -> None:
    """Draft a DAG that goes the way of every run, by hand and with a form."""
    from data_platform.scaffold.models import draft_dag

    _write(
        draft_dag(name, runbook),
        dry_run,
        as_json,
        ["edit its notes and its deadline", "make lint", "make test-dags", "make up"],
    )


def _write(files: dict[Path, str], dry_run: bool, as_json: bool, steps: Sequence[str]) -> None:
    from data_platform.scaffold.write import write_new

    if not dry_run:
        write_new(files)
    if as_json and dry_run:
        print_json({"drafted": {_shown(path): text for path, text in files.items()}})
    elif as_json:
        print_json({"written": [str(path) for path in files]})
    elif dry_run:
        for path, text in files.items():
            sys.stdout.write(f"# {_shown(path)}\n{text}\n")
    else:
        _tell(list(files), steps)


def _tell(written: Sequence[Path], steps: Sequence[str]) -> None:
    for path in written:
        console.print(f"written: {_shown(path)}", markup=False)
    console.print("\nnext:", style="bold")
    for number, step in enumerate(steps, start=1):
        console.print(f"  {number}. {step}", markup=False)


def _shown(path: Path) -> str:
    root = get_settings().project_root
    return str(path.relative_to(root) if path.is_relative_to(root) else path)
