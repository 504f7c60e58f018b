"""Commands that open runs, take their steps, and tell what they did."""

from __future__ import annotations

import time
from datetime import date
from typing import Annotated, Any

import typer

from data_platform import orchestrate, staleness
from data_platform.cli.output import JsonOption, console, errors, print_json, print_table, show
from data_platform.cli.step_table import step_table
from data_platform.clock import due_day, to_business
from data_platform.failures import InputError, PermanentFailure
from data_platform.intervals import Interval, parse_day
from data_platform.runs import StepLog, get_run, list_runs, step_rows
from data_platform.warehouse.connection import transaction

DatasetsOption = Annotated[
    list[str], typer.Option("--dataset", "-d", help="Source dataset; may be repeated. Default: all.")
]
RunOption = Annotated[str, typer.Option("--run", help="Id of the run, as `dp discover` printed it.")]
StartArgument = Annotated[str | None, typer.Argument(help="First day, YYYY-MM-DD.", show_default=False)]
EndArgument = Annotated[str | None, typer.Argument(help="Day after the last, YYYY-MM-DD.", show_default=False)]
ReasonOption = Annotated[str, typer.Option(help="Why; kept in the run's record.")]
RebuildOption = Annotated[
    bool, typer.Option("--rebuild", help="Do these days, and what is built from them, whatever their state.")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Tell what would be done, and leave nothing behind.")]


def asked_interval(start: str | None, end: str | None) -> Interval | None:
    """The interval of two optional arguments.

    Raises:
        InputError: when only one is given, or they are no whole days in order.
    """
    if start is None and end is None:
        return None
    if start is None or end is None:
        raise InputError("an interval has a start and an end", hint="say both, like 1998-06-30 1998-07-01")
    return Interval.parse(start, end)


def register(app: typer.Typer) -> None:
    """Adds the commands to ``dp``."""
    app.command("run")(run)
    app.command("discover")(discover)
    app.command("report")(report)
    app.command("stale")(stale)
    app.command("runs")(runs)


def run(
    start: StartArgument = None,
    end: EndArgument = None,
    dataset: DatasetsOption = [],  # noqa: B006 - typer reads the default, nobody changes it
    reason: ReasonOption = "",
    rebuild: RebuildOption = False,
    dry_run: DryRunOption = False,
    progress: Annotated[bool, typer.Option("--progress", help="Name each step as it begins, also in a log.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Take all steps without Airflow: for the days from START up to END, or for whatever is stale."""
    asked = asked_interval(start, end)
    if dry_run:
        _show_opened(orchestrate.open_work(asked, datasets=dataset, dry_run=True), dry_run=True, as_json=as_json)
        return
    began = time.monotonic()
    with console.status("") as status:

        def tell(step: str) -> None:
            status.update(f"[bold]{step}[/] …")
            if progress:
                errors.print(f"  {time.monotonic() - began:4.0f} s  {step} …")

        opened = orchestrate.run_all(asked, datasets=dataset, reason=reason, rebuild=rebuild, on_step=tell)
    if opened.run is None:
        _show_opened(opened, dry_run=False, as_json=as_json)
    else:
        report(opened.run.run_id, as_json=as_json)


def discover(
    start: StartArgument = None,
    end: EndArgument = None,
    dataset: DatasetsOption = [],  # noqa: B006 - see run
    night: Annotated[
        str | None,
        typer.Option(
            help="Calendar day of a nightly run; the business clock says which day that is. Without work, no run."
        ),
    ] = None,
    chunk_days: Annotated[
        int | None,
        typer.Option(min=1, help="Take the first so many days; `next_start` in the JSON tells what is left."),
    ] = None,
    reason: ReasonOption = "",
    rebuild: RebuildOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Register new deliveries, derive what is stale, and open a run; the steps that follow take its id."""
    asked = asked_interval(start, end)
    if night is not None:
        if asked:
            raise InputError("--night names the day itself", hint="leave START and END out")
        asked = Interval.of_day(to_business(parse_day("night", night)))
    kind = staleness.NIGHT if night else staleness.BACKFILL if asked else "run"
    chunks = asked.chunks(chunk_days or len(asked)) if asked else []
    opened = orchestrate.open_work(
        chunks[0] if chunks else None,
        datasets=dataset,
        kind=kind,
        reason=reason,
        unless_done=night is not None,
        rebuild=rebuild,
        dry_run=dry_run,
    )
    _show_opened(opened, dry_run=dry_run, as_json=as_json, next_start=chunks[1].start if len(chunks) > 1 else None)


def _show_opened(opened: orchestrate.Opened, *, dry_run: bool, as_json: bool, next_start: date | None = None) -> None:
    waiting = [s for s in opened.stale if not staleness.is_work(s)]
    if as_json:
        print_json(
            {
                "run_id": opened.run.run_id if opened.run else None,
                "asked": str(opened.asked) if opened.asked else None,
                "next_start": next_start,
                "found": len(opened.found),
                "stale": _grouped(opened.stale),
                "held_back": [f"{s.table} {s.what}: {s.reason}" for s in waiting],
            }
        )
        return
    print_table("deliveries found", opened.found[:20])
    if len(opened.found) > 20:
        console.print(f"… and {len(opened.found) - 20} more")
    print_table("stale", _grouped(opened.stale))
    if opened.asked:
        console.print(f"asked for: the days {opened.asked}")
    if opened.run:
        console.print(f"run {opened.run.run_id} is open; it speaks of days up to {opened.run.through_day}")
    else:
        console.print("dry run: no run was opened" if dry_run else "nothing to do")


def _grouped(found: list[staleness.Stale]) -> list[dict[str, Any]]:
    """Stale things with equal table and reason on one line: a first load has thousands."""
    groups: dict[tuple[str, str], list[str]] = {}
    for one in found:
        groups.setdefault((one.table, one.reason), []).append(one.what)
    return [
        {"table": table, "reason": reason, "count": len(what), "first": min(what), "last": max(what)}
        for (table, reason), what in groups.items()
    ]


def stale(
    dataset: DatasetsOption = [],  # noqa: B006 - see run
    every: Annotated[bool, typer.Option("--all", help="A line for each day and file instead of a summary.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List what is stale and why, up to the last whole day of the business clock."""
    with transaction() as connection:
        found = staleness.find_stale(connection, due_day(), dataset)
    rows = [vars(s) for s in found]
    show(f"stale on {due_day()}", rows if every or as_json else _grouped(found), as_json=as_json)


def runs(
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List runs, the newest first; of one that is open, which step it is at, and whom that waits for."""
    with transaction() as connection:
        rows = list_runs(connection, limit)
    if not as_json:
        for row in rows:
            row["failure"] = (row["failure"] or "").partition("\n")[0]  # `dp report` has the rest
    show("runs", rows, as_json=as_json)


def report(run_id: Annotated[str, typer.Option("--run", help="Id of the run.")], as_json: JsonOption = False) -> None:
    """Show what each step of a run did; fail when deliveries are held back, though all else is published."""
    with transaction() as connection:
        found = get_run(connection, run_id)
        rows = step_rows(connection, run_id)
        held = orchestrate.held_back(connection, found)
    if as_json:
        print_json({"run_id": run_id, "state": found.state, "steps": rows, "held_back": held})
    else:
        console.print(step_table(f"run {run_id}: {found.state}", rows))
    if held:
        raise PermanentFailure(
            "these are held back:\n  " + "\n  ".join(held),
            hint="all else is published; late-or-wrong-file.md and failed-gate.md of docs/runbooks say what to do",
        )


def take_step(run_id: str, step: str, *, as_json: bool) -> None:
    """Takes one step of a run and shows its report; the commands ``dp ingest``, ``dp stage`` … are this."""
    log: StepLog = orchestrate.take_step(run_id, step, lambda what: errors.print(f"{what} …", markup=False))
    rows = [{"step": step, **line} for line in log.lines]
    if as_json:
        print_json({"run_id": run_id, "step": step, "lines": rows})
    else:
        console.print(step_table(f"{step} of run {run_id}", rows))
