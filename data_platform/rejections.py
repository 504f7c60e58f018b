"""Input changes that a gate has rejected: held back alone, with the reason, until what was judged is no more the same.

A rejection is bound to what its days were made from; what was judged together stands and falls together. It lapses when
the contract changes, or when what its foreign keys point to is published anew; after ``build``, where the verdict
depended on everything, also when any code changes, or when another run has published rows since.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Any

from psycopg2.extras import Json, execute_values

from data_platform.contracts.load import get_contracts
from data_platform.contracts.model import Contract
from data_platform.gates.rules import Gate
from data_platform.ledger import fingerprints
from data_platform.read_set import ReadSet, present_read_set
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


def reject(connection: Connection, run: Run, judged_on: ReadSet, rejected: Rejected) -> None:
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
        """select r.*, publication_id as published_as
           from ops.rejections as r left join ops.publications using (run_id)
           where evidence in (select evidence from ops.rejections where dataset = %s) order by evidence""",
        (contract.dataset,),
    )
    if not rows:
        return {}
    now = present_read_set(connection)
    named = {row["dataset"] for row in rows}
    known = {each.dataset: each for each in get_contracts() if each.dataset in named}
    live = {dataset: fingerprints(connection, each) for dataset, each in known.items()}
    standing: dict[date, Rejection] = {}
    for _, group in groupby(rows, key=lambda row: row["evidence"]):
        together = list(group)
        if all(
            row["dataset"] in known
            and row["fingerprint"] == live[row["dataset"]].get(row["day"])
            and not _has_lapsed(row, known[row["dataset"]], now)
            for row in together
        ):
            standing |= {
                row["day"]: Rejection(row["fingerprint"], row["gate"], row["evidence"], row["reason"])
                for row in together
                if row["dataset"] == contract.dataset
            }
    return standing


def _has_lapsed(row: Mapping[str, Any], contract: Contract, now: ReadSet) -> bool:
    before: ReadSet = row["judged_on"]
    if row["gate"] == "stage":
        if _said(before, contract.table, "contract") != _said(now, contract.table, "contract"):
            return True
        # Also by its own run: the trial that rejected it may have been without what it points to.
        targets = [get_contracts()[dataset].table for dataset in contract.refers_to]
        return any(_said(before, each, "publication_id") != _said(now, each, "publication_id") for each in targets)
    for each in before.keys() | now.keys():
        if any(_said(before, each, version) != _said(now, each, version) for version in ("code", "contract")):
            return True
        if _said(now, each, "publication_id") not in {_said(before, each, "publication_id"), row["published_as"]}:
            return True
    return False


def _said(read_set: ReadSet, table: str, what: str) -> object:
    read: Mapping[str, object] = read_set.get(table, {})
    return read.get(what)
