"""``dp simulate``: the sample company delivers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from data_platform.cli.output import JsonOption, console, print_json, reports_failures
from data_platform.clock import business_date, due_day
from data_platform.failures import InputError
from data_platform.intervals import Interval
from data_platform.settings import Settings, get_settings

ONE_DAY = timedelta(days=1)

app = typer.Typer(
    help="Deliver the sample company's files: an online record shop in 1997 and 1998, and the days after.",
    no_args_is_help=True,
)


def register(root: typer.Typer) -> None:
    """Adds ``dp simulate``."""
    root.add_typer(app, name="simulate")


@app.command("company")
@reports_failures
def company_command(as_json: JsonOption = False) -> None:
    """Land every file of the real days, 1997-01-01 to 1998-06-30.

    Purchases land as a file a day (September 1997 as one file), customers as a full extract each Wednesday. Files that
    are there already are left alone, so a second call is quick and changes nothing.
    """
    from sample_company import cdnow

    _land(Interval(cdnow.FIRST_DAY, cdnow.LAST_DAY + ONE_DAY), as_json=as_json)


@app.command("day")
@reports_failures
def day_command(
    through: Annotated[
        str, typer.Option(metavar="DAY", help="Land every day up to this one (YYYY-MM-DD). Default: the next day only.")
    ] = "",
    through_due: Annotated[
        bool, typer.Option("--through-due", help="Land every day up to the last whole one on the business clock.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Land days that are not over on the business clock.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Land the next generated day, or all days up to one.

    A day's files are the same whenever and in whatever steps they are landed.
    """
    next_day = _last_landed_day() + ONE_DAY
    if through and through_due:
        raise InputError("--through and --through-due both name the last day", hint="leave one of them out")
    last = due_day() if through_due else _day(through) if through else next_day
    if last < next_day:
        _report([], as_json=as_json, note=f"{last} has landed already")
        return
    if last >= business_date() and not force:
        raise InputError(
            f"{last} is not over: today is {business_date()} on the business clock",
            hint="wait, or land it all the same with --force",
        )
    _land(Interval(next_day, last + ONE_DAY), as_json=as_json)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InputError(f"{text!r} is not a day", hint="write days as YYYY-MM-DD") from None


def _landing() -> Path:
    settings = get_settings()
    refuse_real_data(settings)
    return Path(settings.landing)


def refuse_real_data(settings: Settings) -> None:
    """Keeps generated customers away from real ones.

    Raises:
        InputError: in ``prod``.
    """
    if settings.dp_environment == "prod":
        raise InputError("the sample company does not deliver to prod", hint="take another DP_ENVIRONMENT")


def _last_landed_day() -> date:
    """The last day whose purchases have landed.

    Raises:
        InputError: when the real days have not landed.
    """
    from sample_company import cdnow
    from sample_company.manifest import Manifest

    paths = [Path(entry.path) for entry in Manifest.read(_landing())]
    daily = [path.stem for path in paths if path.parent.name == "purchases" and path.stem.count("-") == 2]
    last = max(map(date.fromisoformat, daily), default=None)
    if last is None or last < cdnow.LAST_DAY:
        raise InputError("the real days have not landed", hint="run `dp simulate company` first")
    return last


def _land(days: Interval, *, as_json: bool) -> None:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from sample_company.company import company

    landing, shop = _landing(), company()
    deliveries = list(shop.deliveries(days))
    columns = (TextColumn("landing"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=as_json or not console.is_terminal, transient=True) as progress:
        task = progress.add_task("landing", total=len(deliveries))
        landed = shop.land(landing, days, on_file=lambda _: progress.advance(task))
    entries = [entry for d in deliveries if (entry := landed.manifest.get(d.path))]
    _report(entries, as_json=as_json, written=len(landed.written), note=f"in {landing}")


def _report(entries: Iterable[Any], *, as_json: bool, written: int = 0, note: str = "") -> None:
    broken: Counter[str] = Counter()
    files, rows = 0, 0
    for entry in entries:
        files, rows = files + 1, rows + entry.rows
        broken.update(entry.broken)
    if as_json:
        print_json(
            {"files": files, "written": written, "rows": rows, "broken": dict(sorted(broken.items())), "note": note}
        )
        return
    planted = sum(broken.values())
    console.print(f"{files} files, {written} of them written now; {rows:,} rows, {planted} broken on purpose; {note}")
