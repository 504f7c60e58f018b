"""Commands about rows that broke a rule: what they are, who reads them, and what they should read."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Annotated

import typer

from data_platform.cli.output import JsonOption, console, print_json, show
from data_platform.clock import business_now
from data_platform.contracts.load import get_contracts
from data_platform.failures import InputError
from data_platform.overrides import hash_older_rows, list_overrides
from data_platform.overrides import revoke as revoke_override
from data_platform.quarantine import (
    BrokenRow,
    Fix,
    count_rows,
    find_row,
    find_rows,
    list_rows,
    record_access,
    refuse_broken,
    write_fixes,
)
from data_platform.quarantine_file import read_fixes, write_rows
from data_platform.warehouse.connection import transaction
from data_platform.words import count_of

ROLE = "steward"
DatasetOption = Annotated[str | None, typer.Option("--dataset", "-d", help="One dataset; default: all.")]
PathArgument = Annotated[
    str, typer.Argument(help="The delivery, as `dp quarantine list --rows` names it, or its file.")
]
LineArgument = Annotated[int, typer.Argument(min=1, help="Line that the row begins on.")]
DecisionReason = Annotated[str, typer.Option("--reason", help="Why; kept. Never a customer's name or number.")]
AccessReason = Annotated[
    str, typer.Option("--reason", help="Why you read it; kept with your name. Needed where the dataset is personal.")
]


def register(app: typer.Typer) -> None:
    """Adds the commands to ``dp``."""
    group = typer.Typer(help="Rows that broke a rule of their contract.", no_args_is_help=True)
    group.command("list")(quarantine_list)
    group.command("show")(quarantine_show)
    group.command("export")(quarantine_export)
    group.command("fix")(quarantine_fix)
    group.command("overrides")(quarantine_overrides)
    group.command("revoke")(quarantine_revoke)
    app.add_typer(group, name="quarantine")


def quarantine_list(
    dataset: DatasetOption = None,
    rows: Annotated[bool, typer.Option("--rows", help="A line for each row instead of a count a rule.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Count quarantined rows of live deliveries by rule and state, or list them; raw text is not shown.

    States: open; overridden, by the next run; failing, as the corrected text breaks a rule too; settled, stays out.
    """
    _known(dataset)
    with transaction(ROLE) as connection:
        found = list_rows(connection, dataset) if rows else count_rows(connection, dataset)
    show("quarantine", found, as_json=as_json)


def quarantine_show(
    path: PathArgument,
    line: LineArgument,
    dataset: DatasetOption = None,
    reason: AccessReason = "",
    as_json: JsonOption = False,
) -> None:
    """Show the raw text of a row and what it breaks. Who reads it, and why, is kept."""
    with transaction(ROLE) as connection:
        row = find_row(connection, path, line, _known(dataset))
        record_access(connection, "show", [row], reason)
    told = {"dataset": row.dataset, "path": row.path, "line": row.line, "rule": row.rule, "column": row.column}
    if as_json:
        print_json({**told, "message": row.message, "raw": row.text()})
        return
    console.print(f"{row.place} of {row.dataset} {row.message}", markup=False)
    console.print(row.text(), markup=False)


def quarantine_export(
    to: Annotated[Path, typer.Option(help="A new file, .csv or .jsonl; only you can read it.")],
    dataset: DatasetOption = None,
    rule: Annotated[str | None, typer.Option(help="Only rows that broke this rule.")] = None,
    reason: AccessReason = "",
    as_json: JsonOption = False,
) -> None:
    """Write decrypted rows into a file for the source's owner to correct; `dp quarantine fix --from` takes it back."""
    with transaction(ROLE) as connection:
        rows = find_rows(connection, dataset=_known(dataset), rule=rule)
        if not rows:
            raise InputError("no such row is in quarantine", hint="`dp quarantine list` tells what is")
        record_access(connection, "export", rows, reason)
    write_rows(to, rows)
    if as_json:
        print_json({"file": str(to), "rows": len(rows)})
    else:
        console.print(
            f"{count_of(len(rows), 'row')} in {to}; fill in `corrected`, then `dp quarantine fix --from {to}`"
        )


def quarantine_fix(
    path: Annotated[str | None, typer.Argument(help="The delivery, as `dp quarantine list --rows` names it.")] = None,
    line: Annotated[int | None, typer.Argument(min=1, help="Line that the row begins on.")] = None,
    dataset: DatasetOption = None,
    to_text: Annotated[
        str | None, typer.Option(help="The whole row as it should read. Shows in process lists: not for personal data.")
    ] = None,
    text_file: Annotated[
        Path | None, typer.Option(help="A file with the whole row as it should read; - for standard input.")
    ] = None,
    settle: Annotated[bool, typer.Option("--settle", help="The row is rubbish and stays out for good.")] = False,
    from_file: Annotated[
        Path | None, typer.Option("--from", help="An export with `corrected` filled in; all of it, or nothing.")
    ] = None,
    reason: DecisionReason = "",
    as_json: JsonOption = False,
) -> None:
    """Say what a broken row should read: the next run reads it so, by the same rules.

    The correction holds for that text, wherever it is delivered, and lapses when the row passes unaided or is gone.
    """
    with transaction() as connection:
        hash_older_rows(connection)
    with transaction(ROLE) as connection:
        if from_file is not None and (path, line, to_text, text_file, settle) == (None, None, None, None, False):
            fixes = read_fixes(connection, from_file, _known(dataset))
        elif from_file is None and path is not None and line is not None:
            row = find_row(connection, path, line, _known(dataset))
            fixes = [Fix(row, _corrected(row, to_text, text_file, settle))]
        else:
            raise InputError("say which row, or which file of corrections", hint="PATH LINE, or --from FILE alone")
    refuse_broken(fixes)
    with transaction(ROLE) as connection:
        numbers = write_fixes(connection, fixes, reason)
    if as_json:
        print_json({"overrides": numbers})
    else:
        what = "settled" if settle else "corrected by the next run"
        console.print(f"{count_of(len(numbers), 'row')} {what}: override {', '.join(map(str, numbers))}")


def _corrected(row: BrokenRow, to_text: str | None, text_file: Path | None, settle: bool) -> str | None:
    """The text that was said in the one way that was chosen, or None to settle the row."""
    if (to_text is not None) + (text_file is not None) + settle != 1:
        raise InputError(f"say what {row.place} should read", hint="by --to-text, --text-file, or --settle")
    if settle:
        return None
    if to_text is not None:
        if row.contract.is_personal:
            raise InputError(
                f"{row.dataset} holds personal data, and what a command is given shows in process lists",
                hint="write the text into a file of mode 600 and name it with --text-file, or pipe it to --text-file -",
            )
        return to_text
    try:
        text = sys.stdin.read() if str(text_file) == "-" else Path(str(text_file)).read_text(encoding="utf-8")
    except (OSError, UnicodeError):
        raise InputError(f"{text_file} cannot be read as UTF-8") from None
    return text.removesuffix("\n").removesuffix("\r")


def quarantine_overrides(
    dataset: DatasetOption = None,
    every: Annotated[bool, typer.Option("--all", help="Also those that were replaced or revoked.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List what was decided about rows, and whether it holds.

    States: waiting for the next run; applied; failing, breaks a rule too; settled; lapsed, its row passes or is gone.
    """
    with transaction(ROLE) as connection:
        rows = list_overrides(connection, dataset=_known(dataset))
    show("overrides", [r for r in rows if every or r["state"] not in ("replaced", "revoked")], as_json=as_json)


def quarantine_revoke(
    override: Annotated[int, typer.Argument(help="Its number; `dp quarantine overrides` lists them.")],
    reason: DecisionReason,
    as_json: JsonOption = False,
) -> None:
    """Take a decision back: the next run quarantines the row again."""
    with transaction(ROLE) as connection:
        revoke_override(connection, override, reason=reason, by=getpass.getuser(), at=business_now())
    if as_json:
        print_json({"revoked": override})
    else:
        console.print(f"override {override} is revoked; the next run reads the row as it was delivered")


def _known(dataset: str | None) -> str | None:
    """The dataset, if it is one.

    Raises:
        InputError: when no contract describes it.
    """
    if dataset:
        get_contracts()[dataset]
    return dataset
