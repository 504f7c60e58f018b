"""What runs cost, learned from those that were published: a fixed part, and a part that grows with the rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

from data_platform.contracts.load import get_contracts
from data_platform.runs import STEPS
from data_platform.warehouse.connection import Connection, query

REMEMBERED_RUNS = 30


@dataclass(frozen=True)
class Cost:
    """Seconds of a step: ``fixed_s``, whatever it does, and ``row_s`` for each row that it reads."""

    fixed_s: float
    row_s: float

    def seconds(self, rows: int) -> float:
        return self.fixed_s + self.row_s * rows


def learn_costs(connection: Connection) -> dict[str, Cost]:
    """Step → its cost in recent published runs; empty before the first.

    The steps after ``stage`` are measured by the rows that were staged: what they build follows from these.
    Runs in which rows of a reference table differed count only where there are no others: for a few such rows models
    are rebuilt whole.
    """
    references = [contract.dataset for contract in get_contracts() if contract.is_reference]
    rows = query(
        connection,
        """with recent as (
               select run_id, exists (
                   select from ops.run_steps as s
                   where s.run_id = runs.run_id and step = 'stage' and subject = any(%s) and rows_changed > 0
               ) as replaces
               from ops.runs where state = 'published' order by replaces, started_at desc limit %s
           ),
           step as (
               select run_id, step, max(seconds) filter (where subject = '') as seconds,
                      coalesce(sum(rows_read) filter (where step in ('ingest', 'stage')), 0) as rows
               from ops.run_steps
               where run_id in (
                   select run_id from recent where not replaces or (select bool_and(replaces) from recent))
               group by run_id, step
           )
           select step.step, step.seconds,
                  case when step.step in ('ingest', 'gate:ingest') then coalesce(ingest.rows, 0)
                       else coalesce(stage.rows, 0) end as rows
           from step
           left join step as ingest on ingest.run_id = step.run_id and ingest.step = 'ingest'
           left join step as stage on stage.run_id = step.run_id and stage.step = 'stage'
           where step.seconds is not null""",
        (references, REMEMBERED_RUNS),
    )
    measured: dict[str, list[tuple[int, float]]] = {}
    for row in rows:
        measured.setdefault(row["step"], []).append((int(row["rows"]), float(row["seconds"])))
    return {step: fit(measured[step]) for step in STEPS if step in measured}


def fit(measured: list[tuple[int, float]]) -> Cost:
    """The cost behind (rows, seconds) pairs: the quickest tells the fixed part, all others what rows add to it."""
    fixed = min(seconds for _, seconds in measured)
    rows = sum(rows for rows, _ in measured)
    return Cost(fixed, sum(seconds - fixed for _, seconds in measured) / rows if rows else 0.0)


def rows_within(costs: Mapping[str, Cost], seconds: float) -> float:
    """How many rows can be staged, built and published in so many seconds; without experience, any number."""
    after_ingest = [cost for step, cost in costs.items() if "ingest" not in step]
    row_s = sum(cost.row_s for cost in after_ingest)
    left = seconds - sum(cost.fixed_s for cost in after_ingest)
    return max(0.0, left / row_s) if row_s else inf
