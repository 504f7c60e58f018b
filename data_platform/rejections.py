"""Input changes that a gate has rejected: held back alone, with the reason, until what was judged is no more the same.

A rejection is bound to what its days were made from; what was judged together stands and falls together. It lapses when
the contract changes; where a foreign key was broken, also when anything comes for what it leads to, or when that is
published anew; after ``build``, where the verdict depended on everything, when any code changes, or when another run
has published rows since.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from itertools import groupby
from typing import Any

from psycopg2.extras import Json, execute_values

from data_platform.contracts.load import get_contracts
from data_platform.contracts.model import Contract
from data_platform.contracts.relations import reached
from data_platform.gates.rules import Gate
from data_platform.ledger import fingerprints
from data_platform.read_set import present_read_set
from data_platform.runs import Run
from data_platform.warehouse.connection import Connection, execute, query


@dataclass(frozen=True)
class Rejection:
    """Why a day is held back.

    Args:
        fingerprint: of what the day was to be made from; None when it was to lose its rows.
        evidence: id of the trial whose gate results show more; its days were judged together.
    """

    fingerprint: str | None
    gate: Gate
    evidence: str
    reason: str

    def __str__(self) -> str:
        return f"rejected by the gate after {self.gate} of run {self.evidence}: {self.reason}"


Rejected = dict[str, dict[date, Rejection]]  # by dataset and day
Basis = dict[str, dict[str, object]]  # by table


def present_basis(connection: Connection, datasets: Iterable[str] | None = None) -> Basis:
    """What a verdict given now stands on: what a run stands on, and ``live``, what has come for sources.

    Args:
        datasets: of which it is asked what has come; all of them by default.
    """
    basis: Basis = {table: {**read} for table, read in present_read_set(connection).items()}
    for contract in get_contracts().of_layer("sources"):
        if datasets is None or contract.dataset in datasets:
            live = sorted(fingerprints(connection, contract).items())
            basis[contract.table]["live"] = sha256(repr([(str(day), made) for day, made in live]).encode()).hexdigest()
    return basis


def reject(connection: Connection, run: Run, judged_on: Basis, rejected: Rejected) -> None:
    """Writes what a run leaves out; what was known of these days before is replaced.

    Args:
        judged_on: what was there before the first of the trials began.
    """
    rows = [
        (dataset, day, r.fingerprint, r.gate, run.run_id, r.evidence, r.reason, Json(judged_on))
        for dataset, days in rejected.items()
        for day, r in days.items()
    ]
    with connection.cursor() as cursor:
        execute_values(
            cursor,
            """insert into ops.rejections (dataset, day, fingerprint, gate, run_id, evidence, reason, judged_on)
               values %s
               on conflict (dataset, day) do update set
                   fingerprint = excluded.fingerprint, gate = excluded.gate, run_id = excluded.run_id,
                   evidence = excluded.evidence, reason = excluded.reason, judged_on = excluded.judged_on,
                   rejected_at = excluded.rejected_at""",
            rows,
        )


def forget(connection: Connection, dataset: str, days: Iterable[str] | None = None) -> int:
    """Ends the rejections of these days, or of all: they are published, or somebody wants them tried again."""
    return execute(
        connection,
        """delete from ops.rejections
           where dataset = %(dataset)s and (%(days)s::date[] is null or day = any(%(days)s::date[]))""",
        {"dataset": dataset, "days": None if days is None else list(days)},
    )


def standing_rejections(connection: Connection, contract: Contract) -> dict[date, Rejection]:
    """Day of a dataset to its rejection, where all that was judged together is still the same."""
    rows = query(
        connection,
        """select r.*, publication_id as published_as,
                  array(select distinct relation from ops.gate_results as g
                        where g.run_id = r.evidence and g.gate = r.gate and not passed and severity = 'error'
                            and strpos(rule_id, '.stands_in_') > 0) as pointing
           from ops.rejections as r left join ops.publications using (run_id)
           where evidence in (select evidence from ops.rejections where dataset = %s) order by evidence""",
        (contract.dataset,),
    )
    if not rows:
        return {}
    contracts = {each.dataset: each for each in get_contracts()}
    named = {row["dataset"] for row in rows} & contracts.keys()
    live = {dataset: fingerprints(connection, contracts[dataset]) for dataset in named}
    now = present_basis(connection, {end for row in rows for end in _ends(row["pointing"], set(), contracts)})
    standing: dict[date, Rejection] = {}
    for _, group in groupby(rows, key=lambda row: row["evidence"]):
        together = list(group)
        ends = _ends(together[0]["pointing"], {row["dataset"] for row in together}, contracts)
        if all(
            row["dataset"] in named
            and row["fingerprint"] == live[row["dataset"]].get(row["day"])
            and not _has_lapsed(row, contracts[row["dataset"]].table, [contracts[end].table for end in ends], now)
            for row in together
        ):
            standing |= {
                row["day"]: Rejection(row["fingerprint"], row["gate"], row["evidence"], row["reason"])
                for row in together
                if row["dataset"] == contract.dataset
            }
    return standing


def _ends(pointing: Iterable[str], judged: Set[str], contracts: Mapping[str, Contract]) -> set[str]:
    """Datasets on which it depends, beside what was judged, whether broken foreign keys of these relations hold."""
    found: set[str] = set()
    for relation in contracts.keys() & pointing:
        found |= reached(contracts[relation], contracts) | ({relation} - judged)
    return found


def _has_lapsed(row: Mapping[str, Any], table: str, ends: Iterable[str], now: Basis) -> bool:
    before: Basis = row["judged_on"]

    def has_changed(each: str, *facts: str) -> bool:
        return any(before.get(each, {}).get(fact) != now.get(each, {}).get(fact) for fact in facts)

    if row["gate"] == "stage":
        # Also by its own run: the trial that rejected it may have been without what it points to.
        return has_changed(table, "contract") or any(has_changed(end, "publication_id", "live") for end in ends)
    for each in before.keys() | now.keys():
        if has_changed(each, "code", "contract"):
            return True
        published = now.get(each, {}).get("publication_id")
        if published not in {before.get(each, {}).get("publication_id"), row["published_as"]}:
            return True
    return False
