"""Opening a run, and taking all of its steps without Airflow."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from data_platform import staleness
from data_platform.answers import held_deliveries
from data_platform.clock import business_date, due_day
from data_platform.contracts.load import get_contracts
from data_platform.failures import InputError
from data_platform.intervals import Interval
from data_platform.ledger import discover
from data_platform.publish import Moved
from data_platform.runs import STEPS, Run, StepLog, get_run, open_run, renew_read_set
from data_platform.steps import perform
from data_platform.warehouse.connection import Connection, query, transaction
from data_platform.warehouse.tables import ensure_tables, refuse_breaking_changes

REBUILDS = 2
# What is taken again when it moved; a rollback reads no delivery.
READ, REMADE = ("ingest", "gate:ingest"), ("stage", "gate:stage", "build", "gate:build")


@dataclass(frozen=True)
class Opened:
    """A run that was opened, or None when nothing is to be done; and what led to that."""

    asked: Interval | None
    run: Run | None
    found: list[dict[str, Any]]
    stale: list[staleness.Stale]


def open_work(
    asked: Interval | None,
    *,
    datasets: Iterable[str] = (),
    kind: str = "run",
    reason: str = "",
    unless_done: bool = False,
    rebuild: bool = False,
    dry_run: bool = False,
) -> Opened:
    """Discovers deliveries, derives what is stale, and opens a run for it.

    Args:
        asked: days that must be there, and what is stale of them; without them, the due day and all that is stale.
        datasets: source datasets; default all.
        unless_done: opens no run for asked days when nothing is stale and none of them is missing.
        rebuild: do the days asked for, and what is built from them, whatever their state.
        dry_run: tells what would be done, and leaves nothing behind.

    Raises:
        InputError, PermanentFailure: as ``look``.
    """
    names = tuple(sorted(set(datasets)))
    with transaction() as connection:
        found = look(connection, asked, names)
        through = through_day_of(connection, asked)
        stale = staleness.find_stale(connection, through, names)
        if dry_run:
            connection.rollback()
            return Opened(asked, None, found, stale)
        if not any(staleness.is_work(s) for s in stale) and not _must_open(connection, asked, names, unless_done):
            return Opened(asked, None, found, stale)
        ensure_tables(connection, get_contracts())
        run = open_run(
            connection, kind=kind, asked=asked, through_day=through, datasets=names, reason=reason, rebuild=rebuild
        )
    return Opened(asked, run, found, stale)


def look(connection: Connection, asked: Interval | None, datasets: tuple[str, ...]) -> list[dict[str, Any]]:
    """Registers what has been delivered, once it is clear that a run for these days and datasets may be.

    Raises:
        InputError: for an unknown dataset, or an interval that reaches beyond the due day.
        PermanentFailure: when a contract breaks with what is published.
    """
    sources = staleness.source_contracts(datasets)
    if wrong := [c.dataset for c in sources if c.layer != "sources"]:
        raise InputError(f"{wrong[0]} is not a source", hint="name datasets of contracts/sources")
    if asked and asked.end > business_date():
        raise InputError(
            f"interval {asked} reaches beyond the last whole day, {due_day()}",
            hint=f"end it at {business_date()} at the latest (the end is not included)",
        )
    refuse_breaking_changes(connection, get_contracts())
    return discover(connection, sources)


def _must_open(connection: Connection, asked: Interval | None, datasets: tuple[str, ...], unless_done: bool) -> bool:
    """Whether days are done though nothing is stale; one that is missing needs a run that says so."""
    if asked is None:
        return False
    return not unless_done or bool(staleness.days_without_rows(connection, asked, datasets))


def through_day_of(connection: Connection, asked: Interval | None) -> date:
    """The last day that the run speaks of: never before what is published, never beyond the due day."""
    published = staleness.published_through(connection)
    if asked:
        last = max(asked)
        return max(last, published) if published else last
    return due_day()


def run_all(
    asked: Interval | None,
    *,
    datasets: Iterable[str] = (),
    kind: str = "run",
    reason: str = "",
    rebuild: bool = False,
    on_step: Callable[[str], None] = lambda _: None,
) -> Opened:
    """Opens a run and takes all its steps.

    Raises:
        PlatformError: the failure of the step that failed; published state is then as it was.
    """
    on_step("discover")
    opened = open_work(asked, datasets=datasets, kind=kind, reason=reason, rebuild=rebuild)
    if opened.run:
        take_steps(opened.run.run_id, STEPS[1:], on_step)
    return opened


def take_steps(run_id: str, steps: Iterable[str], on_step: Callable[[str], None] = lambda _: None) -> None:
    """Takes steps of a run, one after the other.

    Raises:
        PlatformError: the failure of the step that failed.
    """
    for step in steps:
        on_step(step)
        take_step(run_id, step, on_step)


def take_step(run_id: str, step: str, on_step: Callable[[str], None] = lambda _: None) -> StepLog:
    """Takes a step of a run; where what it read has moved when it is to be published, all is made again first.

    Raises:
        Moved: when it has moved again after each rebuild.
        PlatformError: the failure of a step.
    """
    for _ in range(REBUILDS):
        try:
            return perform(run_id, step)
        except Moved:
            with transaction() as connection:
                run = get_run(connection, run_id)
                renew_read_set(connection, run)
            for earlier in REMADE if run.kind == staleness.ROLLBACK else (*READ, *REMADE):
                on_step(earlier)
                perform(run_id, earlier)
            on_step(step)
    return perform(run_id, step)


def held_back(connection: Connection, run: Run) -> list[str]:
    """Messages of deliveries that cannot be read, or wait for an answer: everything else of the run is published."""
    datasets = [c.dataset for c in staleness.source_contracts(run.datasets)]
    rows = query(
        connection,
        """select path, failure from ops.deliveries
           where state in ('live', 'failed') and failure is not null and dataset = any(%s) order by file_id""",
        (datasets,),
    )
    asked = [held for held in held_deliveries(connection, datasets) if held.is_asked]
    return [*(f"{r['path']}: {r['failure']}" for r in rows), *(f"{held.path}: {held.reason}" for held in asked)]
