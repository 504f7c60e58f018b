"""Commands about work before it is done: what a run would cost, and doing a range of days again."""

from __future__ import annotations

from typing import Annotated

import typer

from data_platform.backfill import Backfill, Chunk, open_backfill, run_backfill
from data_platform.cli.output import JsonOption, console, errors, print_json, print_table
from data_platform.cli.runs import DatasetsOption, EndArgument, RebuildOption, StartArgument, asked_interval
from data_platform.intervals import Interval
from data_platform.orchestrate import look
from data_platform.plan import Plan, plan_work
from data_platform.settings import get_settings
from data_platform.warehouse.connection import transaction


def register(app: typer.Typer) -> None:
    """Adds the commands to ``dp``."""
    app.command("plan")(plan)
    app.command("backfill")(backfill)


def plan(
    start: StartArgument = None,
    end: EndArgument = None,
    dataset: DatasetsOption = [],  # noqa: B006 - typer reads the default, nobody changes it
    rebuild: RebuildOption = False,
    as_json: JsonOption = False,
) -> None:
    """Tell what a run would do and cost: files, rows, days, seconds. Nothing is written."""
    planned = plan_work(asked_interval(start, end), dataset, rebuild=rebuild)
    if as_json:
        print_json(planned.document())
        return
    print_table("what a run would do", [vars(table) for table in planned.tables])
    console.print(_cost_in_words(planned))


def _cost_in_words(planned: Plan) -> str:
    if planned.seconds is None:
        return "how long it would take is not known before the first publication"
    steps = ", ".join(f"{step} {seconds:.0f} s" for step, seconds in planned.seconds_by_step.items() if seconds >= 1)
    return f"about {planned.seconds:.0f} s ({steps})" if steps else f"about {planned.seconds:.0f} s"


def backfill(
    start: Annotated[str, typer.Argument(help="First day, YYYY-MM-DD.")],
    end: Annotated[str, typer.Argument(help="Day after the last, YYYY-MM-DD.")],
    dataset: DatasetsOption = [],  # noqa: B006 - see plan
    chunk_days: Annotated[
        int | None, typer.Option(min=1, help="Days that are published at once; default: BACKFILL_CHUNK_DAYS.")
    ] = None,
    budget_minutes: Annotated[
        float | None, typer.Option(min=0, help="Begin no further chunk after so long, and end with code 5.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; kept in the runs' records.")] = "",
    rebuild: RebuildOption = False,
    as_json: JsonOption = False,
) -> None:
    """Bring the days from START up to END up to date, chunk by chunk; a backfill that was stopped goes on."""
    days = Interval.parse(start, end)
    with transaction() as connection:
        look(connection, days, tuple(dataset))
        opened = open_backfill(
            connection,
            days,
            chunk_days=chunk_days or get_settings().backfill_chunk_days,
            datasets=dataset,
            reason=reason,
            rebuild=rebuild,
        )
    if opened.resumed:
        errors.print(
            f"backfill {opened.backfill_id} goes on: {len(opened.left)} of {len(opened.chunks)} chunks are left"
        )
    with console.status("") as status:

        def tell(chunk: Chunk, step: str) -> None:
            status.update(f"[bold]{chunk.days}[/] {step} …")

        runs = run_backfill(opened, budget_minutes=budget_minutes, on_step=tell)
    _show(opened, runs, as_json=as_json)


def _show(done: Backfill, runs: list[str], *, as_json: bool) -> None:
    run_of = dict(zip((chunk.days.start for chunk in done.left), runs, strict=True))
    rows = [
        {
            "start": c.days.start,
            "end": c.days.end,
            "run_id": c.run_id or run_of[c.days.start],
            "resumed": bool(c.run_id),
        }
        for c in done.chunks
    ]
    if as_json:
        print_json({"backfill_id": done.backfill_id, "chunks": rows})
    else:
        print_table(f"backfill {done.backfill_id} of {done.days}", rows)
