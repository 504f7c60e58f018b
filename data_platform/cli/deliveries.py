"""Commands about single deliveries: which count, which wait for an answer, and what somebody says of them."""

from __future__ import annotations

from typing import Annotated

import typer

from data_platform.answers import answer, held_deliveries
from data_platform.cli.output import JsonOption, console, print_json, show
from data_platform.cli.runs import DatasetsOption
from data_platform.extraction import extract as take_out
from data_platform.staleness import source_contracts
from data_platform.warehouse.connection import query, transaction
from data_platform.withdrawals import withdraw as withdraw_path
from data_platform.words import count_of

ReasonOption = Annotated[str, typer.Option(help="Why; kept with the decision. Never a customer's name or number.")]
PathsArgument = Annotated[
    list[str], typer.Argument(help="Files as `dp deliveries list` names them; `*` stands for any text.")
]


def register(app: typer.Typer) -> None:
    """Adds the commands to ``dp``."""
    app.command("extract")(extract)
    app.command("withdraw")(withdraw)
    group = typer.Typer(help="Which deliveries count, and those that wait for an answer.", no_args_is_help=True)
    group.command("list")(deliveries_list)
    group.command("accept")(deliveries_accept)
    group.command("refuse")(deliveries_refuse)
    app.add_typer(group, name="deliveries")


def extract(
    dataset: DatasetsOption = [],  # noqa: B006 - see run
    compare: Annotated[bool, typer.Option("--compare", help="Look at all days now, for deleted rows.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Bring tables of other databases into landing, as far as they have changed; each run does so by itself."""
    done = [take_out(c, compare=compare) for c in source_contracts(dataset) if c.extract]
    show("extracted", [vars(each) for each in done], as_json=as_json)


def withdraw(
    path: Annotated[str, typer.Argument(help="The file as `dp stale --all` names it, like landing/shop/x.csv.")],
    reason: ReasonOption,
    as_json: JsonOption = False,
) -> None:
    """Say that a delivered file does not count: the next run takes its rows out of everything published."""
    with transaction() as connection:
        done = withdraw_path(connection, path, reason)
    if as_json:
        print_json(vars(done))
        return
    days = count_of(done.days, "day")
    console.print(f"{done.path} is withdrawn; the next run removes {done.rows} rows of {days}")


def deliveries_list(
    dataset: Annotated[str | None, typer.Option("--dataset", "-d", help="One dataset; default: all.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All versions of all files, those that count too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List deliveries that the contract does not accept by itself, or with --all what became of each that came."""
    with transaction() as connection:
        if every:
            rows = query(
                connection,
                """select dataset, path, state, arrived_at, rows_live, rows_quarantined, failure from ops.deliveries
                   where %(dataset)s::text is null or dataset = %(dataset)s order by path, file_id""",
                {"dataset": dataset},
            )
        else:
            rows = [
                {"dataset": h.dataset, "path": h.path, "arrived_at": h.arrived_at, "kind": h.kind, "reason": h.reason}
                for h in held_deliveries(connection, [dataset] if dataset else None)
            ]
    show("deliveries" if every else "held deliveries", rows, as_json=as_json)


def deliveries_accept(paths: PathsArgument, reason: ReasonOption, as_json: JsonOption = False) -> None:
    """Let held deliveries count, or held withdrawals take rows away: the next run does what follows."""
    _answer(paths, reason, accept=True, as_json=as_json)


def deliveries_refuse(paths: PathsArgument, reason: ReasonOption, as_json: JsonOption = False) -> None:
    """Say that held deliveries, or withdrawals, are not to count; nobody is asked about them any longer."""
    _answer(paths, reason, accept=False, as_json=as_json)


def _answer(paths: list[str], reason: str, *, accept: bool, as_json: bool) -> None:
    with transaction() as connection:
        answered = answer(connection, paths, reason, accept=accept)
    word = "accepted" if accept else "refused"
    if as_json:
        print_json([{"path": held.path, "kind": held.kind, "answer": word} for held in answered])
        return
    for held in answered:
        what = "the withdrawal of " if held.about == "withdrawal" else ""
        console.print(f"{what}{held.path} is {word}" + ("; the next run does what follows" if accept else ""))
