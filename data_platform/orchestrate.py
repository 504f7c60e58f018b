"""Opening a run, and taking all of its steps without Airflow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from data_platform import staleness
from data_platform.answers import held_deliveries
from data_platform.clock import business_date, due_day
from data_platform.contracts.load import get_contracts
from data_platform.culprits import JUDGED, Undecided, find_culprits
from data_platform.extraction import extract_or_note, failed_extracts
from data_platform.failures import GateFailure, InputError
from data_platform.intervals import Interval
from data_platform.ledger import discover
from data_platform.publish import Moved
from data_platform.rejections import present_basis, reject
from data_platform.runs import STEPS, Run, StepLog, close_run, get_run, open_run, renew_read_set, reopen, update_plan
from data_platform.steps import perform
from data_platform.warehouse.connection import Connection, query, transaction
from data_platform.warehouse.tables import ensure_tables, refuse_breaking_changes

REBUILDS = 2


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
        found = look(connection, asked, names, takes_out=not dry_run)
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


def look(
    connection: Connection, asked: Interval | None, datasets: tuple[str, ...], *, takes_out: bool = False
) -> list[dict[str, Any]]:
    """Registers what has been delivered, once it is clear that a run for these days and datasets may be.

    Args:
        takes_out: bring tables of other databases into landing before.

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
    contracts = staleness.with_what_they_know(sources)
    for contract in contracts if takes_out else ():
        if contract.extract:
            extract_or_note(contract)
    return discover(connection, contracts)


def _must_open(connection: Connection, asked: Interval | None, datasets: tuple[str, ...], unless_done: bool) -> bool:
    """Whether days are done though nothing is stale; one that is missing, or rejected, needs a run that says so."""
    if asked is None:
        return False
    is_missing = bool(staleness.days_without_rows(connection, asked, datasets))
    return not unless_done or is_missing or staleness.is_any_lacking(connection, asked)


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
    """Takes a step of a run.

    Where what it read has moved when it is to be published, all is made again first. Where its gate fails for some of
    its input changes, these are rejected and held back, and it is made again without them. From where on that is,
    stands in the run's plan until it is done: a step that was killed meanwhile goes on with it.

    Raises:
        Moved: when it has moved again after each rebuild.
        PlatformError: the failure of a step.
    """
    for rebuilds_left in reversed(range(REBUILDS + 1)):
        try:
            again, due_steps = _due_steps(run_id, step)
            for due in due_steps:
                if due != step:
                    on_step(due)
                log = perform(run_id, due)
                if again:
                    _done_again(run_id, due)
            return log
        except Moved:
            if not rebuilds_left:
                raise
            _begin_again_on_what_is_there(run_id)
        except GateFailure as failure:
            if not rebuilds_left or not _begin_again_without_culprits(run_id, due, failure, on_step):
                raise
        on_step(step)
    raise AssertionError("the last round returns or raises")


def _due_steps(run_id: str, step: str) -> tuple[bool, Sequence[str]]:
    """Whether a run is to be made again, and the step, after those before it that it has to be made again from."""
    with transaction() as connection:
        again_from = get_run(connection, run_id).plan.get("again_from")
    if again_from is None or step not in STEPS:
        return False, [step]
    return True, STEPS[STEPS.index(again_from) : STEPS.index(step) + 1] or [step]


def _done_again(run_id: str, step: str) -> None:
    with transaction() as connection:
        run = get_run(connection, run_id)
        if run.plan.get("again_from") == step:
            following = STEPS[STEPS.index(step) + 1]
            update_plan(connection, run, again_from=None if following == "publish" else following)


def _begin_again_on_what_is_there(run_id: str) -> None:
    """Lets a run stand on what has moved beneath it; a rollback reads no delivery."""
    with transaction() as connection:
        run = get_run(connection, run_id)
        renew_read_set(connection, run)
        update_plan(connection, run, again_from="stage" if run.kind == staleness.ROLLBACK else "ingest")


def _begin_again_without_culprits(run_id: str, step: str, failure: GateFailure, on_step: Callable[[str], None]) -> bool:
    """Rejects the input changes that a gate failed for; whether there is a rest to go on with.

    A rollback is not split: what it restores belongs together.
    """
    gate = next((gate for gate in JUDGED if step == f"gate:{gate}"), None)
    with transaction() as connection:
        run = get_run(connection, run_id)
        if gate is None or run.kind == staleness.ROLLBACK:
            return False
        run = reopen(connection, run)
        judged_on = present_basis(connection)
    try:
        culprits = find_culprits(run, gate, on_step)
    except BaseException as error:
        with transaction() as connection:
            close_run(connection, run, "failed", f"{step}: {failure}")
        if isinstance(error, Undecided):
            on_step(f"it cannot be told which input changes are the cause: {error}")
            return False
        raise
    with transaction() as connection:
        if culprits:
            reject(connection, run, judged_on, culprits)
        update_plan(connection, run, again_from="stage")
    return True


def held_back(connection: Connection, run: Run) -> list[str]:
    """Messages of what cannot be read, waits for an answer, or was rejected: all else of the run is published."""
    datasets = [c.dataset for c in staleness.source_contracts(run.datasets)]
    rows = query(
        connection,
        """select path, failure from ops.deliveries
           where state in ('live', 'failed') and failure is not null and dataset = any(%s) order by file_id""",
        (datasets,),
    )
    asked = [held for held in held_deliveries(connection, datasets) if held.is_asked]
    not_taken_out = failed_extracts(connection)
    return [
        *(f"{dataset}: {failure}" for dataset, failure in not_taken_out.items() if dataset in datasets),
        *(f"{r['path']}: {r['failure']}" for r in rows),
        *(f"{held.path}: {held.reason}" for held in asked),
        *staleness.rejected_in_words(connection, datasets),
    ]
