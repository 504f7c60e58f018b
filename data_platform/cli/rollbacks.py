"""Commands that take a publication back, and that let its deliveries in again."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from data_platform.cli.output import JsonOption, console, print_json, print_table, show
from data_platform.cli.runs import DryRunOption, report
from data_platform.rollback import Rollback, hold, list_holds, plan_rollback, roll_back
from data_platform.rollback import release as release_hold
from data_platform.warehouse.connection import transaction
from data_platform.words import count_of, in_words, number_of

PublicationArgument = Annotated[int, typer.Argument(help="Number of the publication; `dp publications` lists them.")]
ReasonOption = Annotated[str, typer.Option(help="Why; kept with the hold. Never a customer's name or number.")]


def register(app: typer.Typer) -> None:
    """Adds the commands to ``dp``."""
    app.command("rollback")(rollback)
    app.command("release")(release)
    app.command("holds")(holds)


def rollback(
    publication: PublicationArgument,
    reason: ReasonOption = "",
    only_open: Annotated[
        bool, typer.Option("--open", help="Set the hold and open the run; the steps that follow take its id.")
    ] = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take back what a publication's deliveries brought, hold it there, and do again what read it."""
    if dry_run or only_open:
        with transaction() as connection:
            planned = plan_rollback(connection, publication)
            run = None if dry_run else hold(connection, planned, reason)
        _show_planned(planned, run_id=run.run_id if run else None, as_json=as_json)
        return
    with console.status("") as status:
        done = roll_back(publication, reason, on_step=lambda step: status.update(f"[bold]{step}[/] …"))
    report(done.run_id, as_json=as_json)


def _show_planned(planned: Rollback, *, run_id: str | None, as_json: bool) -> None:
    held = [_held_days(planned, table) for table in sorted(planned.tables)]
    if as_json:
        print_json(
            {"run_id": run_id, "held": held, "reprocessed": planned.reprocessed, "summary": _in_a_sentence(planned)}
        )
        return
    print_table(f"publication {planned.publication_id}: held at what was before it", held)
    console.print(f"built again: {', '.join(planned.reprocessed) or 'nothing'}")
    console.print(f"run {run_id} is open" if run_id else "dry run: nothing is held")


def _in_a_sentence(planned: Rollback) -> str:
    """What a person who is to approve it has to know, in less than 200 characters."""
    days_of = {table: [held.day for held in planned.days if held.table == table] for table in sorted(planned.tables)}
    tables = ", ".join(f"{table} ({number_of(days)})" for table, days in days_of.items())
    later = {publication for held in planned.days for publication in held.later}
    undone = f" What {len(later)} later publications wrote there is undone too." if later else ""
    return f"Restores and holds {tables}; builds {len(planned.reprocessed)} tables again.{undone}"


def _held_days(planned: Rollback, table: str) -> dict[str, Any]:
    days = [held for held in planned.days if held.table == table]
    return {
        "table": table,
        "days": in_words(held.day for held in days),
        "emptied": sum(held.fingerprint is None for held in days),
        "undone_too": sorted({later for held in days for later in held.later}),
    }


def release(publication: PublicationArgument, as_json: JsonOption = False) -> None:
    """Let the deliveries of a rolled-back publication in again: they are stale, and the next run redoes them."""
    with transaction() as connection:
        days = release_hold(connection, publication)
    if as_json:
        print_json({"publication_id": publication, "days": days})
    else:
        console.print(f"{count_of(days, 'day')} released; the next run redoes them")


def holds(as_json: JsonOption = False) -> None:
    """List what rollbacks hold back."""
    with transaction() as connection:
        rows = list_holds(connection)
    show("holds", rows, as_json=as_json)
