"""Which input changes a gate fails for: found by trying parts of a run's work, each in a schema of its own.

Every trial is a run that takes the same steps on a part of the changes and publishes nothing. What the run whose gate
failed has made is not touched meanwhile, so a search that breaks off leaves no trace in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from itertools import chain

from data_platform.contracts.load import get_contracts
from data_platform.contracts.model import Contract
from data_platform.failures import GateFailure, PermanentFailure
from data_platform.gates.rules import Gate
from data_platform.holds import active_holds
from data_platform.input_changes import InputChange, connected, input_changes, turn
from data_platform.ledger import fingerprints
from data_platform.rejections import Rejected, Rejection
from data_platform.runs import Run, close_run, drop_schema, get_run, open_run, update_plan
from data_platform.sifting import Search, Unit
from data_platform.staleness import (
    TRIAL,
    named_days,
    published_through,
    source_contracts,
    stale_days,
)
from data_platform.steps import perform
from data_platform.warehouse.connection import Connection, query, transaction
from data_platform.work import plan_build

MOST_TRIALS = 30
# The gate → the steps that lead to its verdict.
JUDGED: dict[Gate, tuple[str, ...]] = {"stage": ("stage",), "build": ("stage", "gate:stage", "build")}


class Undecided(Exception):
    """It cannot be told which changes the gate fails for."""


@dataclass(frozen=True)
class Verdict:
    """What a trial found.

    Args:
        trial: as it ended: its last day is the one that it spoke of.
        rejected: all that it tried, where a gate failed; None where it passed.
    """

    trial: Run
    rejected: Rejected | None


def find_culprits(run: Run, gate: Gate, tell: Callable[[str], None]) -> Rejected:
    """The input changes of a run that its gate fails for; none where it passes by now.

    Args:
        tell: is called with what is being tried.

    Raises:
        Undecided: when it is not for any of them, when nothing else is to be done, or when too many trials do not tell.
        TransientFailure: when a trial breaks off.
    """
    with transaction() as connection:
        _close_trials_broken_off(connection, run)
        restored, changes = _changes_of(connection, run)
        through = published_through(connection)
    contracts = {contract.dataset: contract for contract in get_contracts()}
    required, optional = _units(changes, contracts, through)
    verdicts: list[Verdict] = []
    failed: dict[tuple[Unit, ...], Rejected] = {}

    def passes(units: Sequence[Unit]) -> bool:
        if len(verdicts) == MOST_TRIALS:
            raise Undecided(f"{MOST_TRIALS} trials do not tell")
        tried = list(chain.from_iterable(units))
        tell(f"trial {len(verdicts) + 1}: {len(tried)} of {len(changes)} input changes")
        untried = [change for change in changes if change not in tried]
        verdicts.append(_try(run, gate, [*restored, *tried], untried))
        if found := verdicts[-1].rejected:
            failed[tuple(units)] = found
        return found is None

    def last_passed() -> Run:
        return next(verdict.trial for verdict in reversed(verdicts) if verdict.rejected is None)

    if not passes([]):
        raise Undecided("it fails with none of the input changes, too")
    search = Search(required, optional, passes, lambda: last_passed().through_day, contracts)
    search.run()
    if search.rejected and not search.kept and not _is_other_work(last_passed()):
        raise Undecided("nothing else is to be done")
    found: Rejected = {}
    for unit, beside in search.rejected.items():
        for change in unit:
            judged = failed[*beside, unit][change.dataset]
            found.setdefault(change.dataset, {}).update((day, judged[day]) for day in change.days)
    return found


def _is_other_work(trial: Run) -> bool:
    """Whether models are to be built though no input has changed; a first publication of nothing is no such work."""
    with transaction() as connection:
        plans = plan_build(connection, trial).values()
        return published_through(connection) is not None and any(plan.whole or plan.due_from for plan in plans)


def _changes_of(connection: Connection, run: Run) -> tuple[list[InputChange], list[InputChange]]:
    """What a run has staged: what rollbacks restore, which is no input to be rejected, and the input changes."""
    restored: list[InputChange] = []
    changes: list[InputChange] = []
    for contract in source_contracts():
        holds = active_holds(connection, contract.table)
        staged = {date.fromisoformat(day) for day in run.plan["stage"].get(contract.dataset, {}).get("days", ())}
        for change in input_changes(connection, contract, staged & stale_days(connection, contract).keys(), {}):
            (changes if change.days.isdisjoint(holds) else restored).append(change)
    return restored, changes


def _units(
    changes: Sequence[InputChange], contracts: Mapping[str, Contract], through: date | None
) -> tuple[list[Unit], list[Unit]]:
    """Changes that only together can be tried: first those of datasets that must come daily, then all others.

    No run speaks of a day that such a dataset has not brought, so new days of several of them come together or not at
    all; and whether anything else of these days can be tried is known only after them.

    Args:
        through: the last day that is published.
    """
    daily = [change for change in changes if contracts[change.dataset].missing_day == "error"]
    new = [{day for day in change.days if through is None or day > through} for change in daily]
    together = connected(set().union(*new), [(n, day) for n, days in enumerate(new) for day in sorted(days)])
    required: list[Unit] = [tuple(c for c, days in zip(daily, new, strict=True) if days & group) for group in together]
    required += [(change,) for change, days in zip(daily, new, strict=True) if not days]
    optional: list[Unit] = [(change,) for change in changes if change not in daily]

    def in_turn(unit: Unit) -> tuple[int, int]:
        return max(turn(change, contracts) for change in unit)

    return sorted(required, key=in_turn), sorted(optional, key=in_turn)


def _try(run: Run, gate: Gate, changes: Sequence[InputChange], others: Sequence[InputChange]) -> Verdict:
    """Takes the steps up to a gate with a part of a run's changes, and without the others.

    Raises:
        Undecided: when the trial says nothing about these: not all were staged, or deliveries came meanwhile.
    """
    tried, untried = _days_of(changes), _days_of(others)
    with _trial(run, tried=tried, untried=untried) as trial:
        failure = None
        for step in (*JUDGED[gate], f"gate:{gate}"):
            try:
                perform(trial.run_id, step)
            except GateFailure as gate_failure:
                failure, gate = gate_failure, "build" if step == "gate:build" else "stage"
                break
            except PermanentFailure as other:
                raise Undecided(f"a trial failed in {step}: {other.message}") from other
        with transaction() as connection:
            trial = get_run(connection, trial.run_id)
            _refuse_moved(connection, trial, tried)
            if failure is None:
                close_run(connection, trial, "tried")
    return Verdict(trial, _rejections(trial, tried, gate, failure) if failure else None)


def _refuse_moved(connection: Connection, trial: Run, tried: dict[str, list[str]]) -> None:
    for dataset in tried:
        contract, staged = get_contracts()[dataset], trial.plan["stage"][dataset]
        live, held = fingerprints(connection, contract), active_holds(connection, contract.table)
        for day in named_days(trial, "tried", dataset):
            is_moved = day not in held and staged["fingerprints"].get(str(day)) != live.get(day)
            if is_moved or str(day) not in staged["days"]:
                raise Undecided(f"{dataset} of {day} has moved since")


def _rejections(trial: Run, tried: dict[str, list[str]], gate: Gate, failure: GateFailure) -> Rejected:
    # The line below the heading names relation, rule and what was observed; examples are for those who may see them.
    reason = failure.message.splitlines()[1].strip()
    made_from = {dataset: trial.plan["stage"][dataset]["fingerprints"] for dataset in tried}
    return {
        dataset: {date.fromisoformat(d): Rejection(made_from[dataset].get(d), gate, trial.run_id, reason) for d in days}
        for dataset, days in tried.items()
    }


def _days_of(changes: Iterable[InputChange]) -> dict[str, list[str]]:
    """Dataset to the days of these changes, as a plan names them."""
    days: dict[str, list[str]] = {}
    for change in changes:
        days.setdefault(change.dataset, []).extend(map(str, sorted(change.days)))
    return days


@contextmanager
def _trial(run: Run, *, tried: dict[str, list[str]], untried: dict[str, list[str]]) -> Iterator[Run]:
    """A run that tries a part of what a run has staged; its schema goes when it has ended."""
    with transaction() as connection:
        trial = open_run(
            connection,
            kind=TRIAL,
            asked=run.asked,
            through_day=run.through_day,
            datasets=run.datasets,
            reason=f"which input changes stop run {run.run_id}",
            rebuild=run.rebuild,
        )
        trial = update_plan(connection, trial, judges=run.run_id, tried=tried, untried=untried)
    try:
        yield trial
    finally:
        with transaction() as connection:
            _end(connection, get_run(connection, trial.run_id))


def _end(connection: Connection, trial: Run) -> None:
    if trial.state == "open":
        close_run(connection, trial, "failed", "the trial was broken off")
    drop_schema(connection, trial.schema)


def _close_trials_broken_off(connection: Connection, run: Run) -> None:
    """Ends what a killed search has left: of this run, and of those that nobody took up again for a day."""
    rows = query(
        connection,
        """select run_id from ops.runs
           where kind = %s and (state = 'open' or to_regnamespace(quote_ident('run_' || run_id)) is not null)
               and (plan ->> 'judges' = %s or started_at < now() - interval '1 day')""",
        (TRIAL, run.run_id),
    )
    for row in rows:
        _end(connection, get_run(connection, row["run_id"]))
