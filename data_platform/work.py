"""What a run takes of what is stale: the days to stage of each source, and how much to build of each model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from data_platform.contracts.load import get_contracts
from data_platform.costs import learn_costs, rows_within
from data_platform.holds import Hold, active_holds, rows_of
from data_platform.input_changes import InputChange, affordable, input_changes, turn
from data_platform.intervals import ONE_DAY, REFERENCE_DAY
from data_platform.ledger import live_attempts
from data_platform.runs import Run
from data_platform.settings import get_settings
from data_platform.staleness import (
    BACKFILL,
    NIGHT,
    ROLLBACK,
    TRIAL,
    differing_days,
    model_contracts,
    named_days,
    outdated_days,
    published_tables,
    rejected_days,
    source_contracts,
    stale_days,
    wanted_fingerprints,
)
from data_platform.warehouse.connection import Connection


@dataclass(frozen=True)
class StagePlan:
    """What to stage of a dataset: its days, the attempts in the lake that count, and what the days were made from.

    Days in ``restored`` do not come from the lake: they get what they were before the publication named there.
    ``waiting`` counts stale days that are left to a later run, ``rejected`` those that a gate has rejected.
    """

    days: tuple[date, ...]
    attempts: tuple[tuple[int, int], ...]
    fingerprints: dict[date, str]
    restored: dict[date, int]
    waiting: int = 0
    rejected: int = 0

    @property
    def loaded(self) -> tuple[date, ...]:
        """Days that come from the lake."""
        return tuple(day for day in self.days if day not in self.restored)

    def rows(self, days: Iterable[date]) -> int:
        """How many rows these of its days must have."""
        return sum(rows_of(self.fingerprints.get(day)) for day in days)

    def document(self) -> dict[str, Any]:
        """The plan as JSON values, for the run's record: publication takes its inputs from there."""
        return {
            "days": [str(day) for day in self.days],
            "attempts": [list(attempt) for attempt in self.attempts],
            "fingerprints": {str(day): fingerprint for day, fingerprint in self.fingerprints.items()},
            "restored": {str(day): publication_id for day, publication_id in self.restored.items()},
        }


@dataclass(frozen=True)
class BuildPlan:
    """How much of a model is rebuilt beyond what changed upstream.

    ``whole`` rebuilds everything; days from ``due_from`` to ``due_to`` (both included) are due because time went on.
    """

    whole: bool
    due_from: date | None = None
    due_to: date | None = None


def plan_stage(connection: Connection, run: Run) -> dict[str, StagePlan]:
    """Days to stage, for every source dataset: what the run takes of what is stale, and what was asked for.

    Days after the run's last day wait for their night.
    """
    chosen = {c.dataset for c in source_contracts(run.datasets)}
    holds = {c.dataset: active_holds(connection, c.table) for c in source_contracts()}
    wanted = {c.dataset: wanted_fingerprints(connection, c, holds[c.dataset]) for c in source_contracts()}
    changes: list[InputChange] = []
    for contract in source_contracts():
        if contract.dataset in chosen:
            days = {day for day in stale_days(connection, contract) if day <= run.opened_through}
            rows = {day: rows_of(fingerprint) for day, fingerprint in wanted[contract.dataset].items()}
            found = input_changes(connection, contract, days, rows)
            changes += [change for change in found if change.newest <= run.through_day]
    taken = _taken(connection, run, changes, holds)
    plans: dict[str, StagePlan] = {}
    for contract in source_contracts():
        name = contract.dataset
        days = {day for change in taken if change.dataset == name for day in change.days}
        if run.asked and run.rebuild and name in chosen:
            left_out = differing_days(connection, contract).keys() - days
            kept = holds[name].keys() | outdated_days(connection, contract).keys() | left_out
            due = {day for day in wanted[name] if contract.is_reference or day in run.asked}
            days |= due - kept
        ordered = tuple(sorted(days))
        plans[name] = StagePlan(
            days=ordered,
            attempts=tuple(live_attempts(connection, name, [d for d in ordered if d not in holds[name]])),
            fingerprints={d: wanted[name][d] for d in ordered if d in wanted[name]},
            restored={d: holds[name][d].publication_id for d in ordered if d in holds[name]},
            waiting=sum(len(change.days) for change in changes if change.dataset == name and change not in taken),
            rejected=len(rejected_days(connection, contract)) if name in chosen else 0,
        )
    return plans


def _taken(
    connection: Connection, run: Run, changes: Sequence[InputChange], holds: Mapping[str, Mapping[date, Hold]]
) -> list[InputChange]:
    """The input changes that a run takes, by its kind; all others wait, and stay stale.

    What reads a reference table reads all of it, whatever the day: it is due whenever days are asked for.
    """
    due = {REFERENCE_DAY, *(run.asked or ())}
    if run.kind == ROLLBACK:
        held = [replace(change, days=change.days & holds[change.dataset].keys()) for change in changes]
        return [change for change in held if change.days]
    if run.kind == TRIAL:
        return [change for change in changes if change.days <= named_days(run, "tried", change.dataset)]
    if run.kind == BACKFILL:
        return [change for change in changes if not change.days.isdisjoint(due)]
    budget_minutes = get_settings().night_budget_minutes
    if run.kind == NIGHT and budget_minutes:
        rows = rows_within(learn_costs(connection), budget_minutes * 60)
        contracts = {contract.dataset: contract for contract in get_contracts()}
        return affordable(sorted(changes, key=lambda change: turn(change, contracts)), due, rows)
    return list(changes)


def plan_build(connection: Connection, run: Run) -> dict[str, BuildPlan]:
    """For every table that dbt builds: all of it, or the days that are due."""
    published = published_tables(connection)
    plans: dict[str, BuildPlan] = {}
    for contract in model_contracts():
        last = published.get(contract.table)
        if last is None or last["code_hash"] != run.read_set[contract.table]["code"]:
            plans[contract.table] = BuildPlan(whole=True)
        elif last["through_day"] < run.through_day:
            plans[contract.table] = BuildPlan(False, last["through_day"] + ONE_DAY, run.through_day)
        else:
            plans[contract.table] = BuildPlan(whole=False)
    return plans
