"""Input changes: stale days that must be published together, because one delivery touches all of them.

Chunks of a backfill and time budgets cut between input changes, never through one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from data_platform.contracts.model import Contract
from data_platform.contracts.relations import chain_length, reached
from data_platform.warehouse.connection import Connection, query


@dataclass(frozen=True)
class InputChange:
    """Days of one dataset that deliveries which came, changed or went hold together.

    Args:
        rows: that the days have now.
    """

    dataset: str
    days: frozenset[date]
    rows: int

    @property
    def newest(self) -> date:
        return max(self.days)


def input_changes(
    connection: Connection, contract: Contract, stale: Collection[date], rows: Mapping[date, int]
) -> list[InputChange]:
    """The changes that make these days of a dataset stale, the newest first.

    Args:
        rows: of each day, as it is now; days that are not named have none.
    """
    found = connected(stale, _changed_deliveries(connection, contract, stale))
    changes = [InputChange(contract.dataset, days, sum(rows.get(day, 0) for day in days)) for days in found]
    return sorted(changes, key=lambda change: change.newest, reverse=True)


def turn(change: InputChange, contracts: Mapping[str, Contract]) -> tuple[int, int]:
    """Sorts changes: what foreign keys point to before that which points to it, then the newest first.

    The oldest first where rows of a dataset lead to others of their own.
    """
    contract, newest = contracts[change.dataset], change.newest.toordinal()
    leads_back = contract.dataset in reached(contract, contracts)
    return chain_length(contract, contracts), newest if leads_back else -newest


def affordable(changes: Iterable[InputChange], due: Collection[date], rows: float) -> list[InputChange]:
    """The changes that a night takes: those of the due days first, then others in turn, while rows are within bounds.

    One that is too large for any night is taken all the same when it is its turn, or it would never be.

    Args:
        changes: in turn.
        rows: that a night has time for.
    """
    ordered = sorted(changes, key=lambda change: change.days.isdisjoint(due))
    taken: list[InputChange] = []
    for change in ordered:
        is_due = not change.days.isdisjoint(due)
        is_first = all(not earlier.days.isdisjoint(due) for earlier in taken)
        if not (is_due or is_first) and sum(c.rows for c in taken) + change.rows > rows:
            break
        taken.append(change)
    return taken


def connected(days: Iterable[date], deliveries: Iterable[tuple[int, date]]) -> list[frozenset[date]]:
    """The days in groups: two of them are in one group when a chain of deliveries leads from one to the other.

    Args:
        deliveries: (delivery, day that it holds) pairs; days that are not asked for lead nowhere.
    """
    group_of: dict[date, set[date]] = {day: {day} for day in days}
    first_of: dict[int, date] = {}
    for delivery, day in deliveries:
        if day not in group_of:
            continue
        one, other = group_of[first_of.setdefault(delivery, day)], group_of[day]
        if one is not other:
            one |= other
            group_of |= dict.fromkeys(other, one)
    return list(_distinct(group_of.values()))


def _distinct(groups: Iterable[set[date]]) -> Iterator[frozenset[date]]:
    seen: set[int] = set()
    for group in groups:
        if id(group) not in seen:
            seen.add(id(group))
            yield frozenset(group)


def _changed_deliveries(connection: Connection, contract: Contract, days: Collection[date]) -> list[tuple[int, date]]:
    """Deliveries that count now in another form than when their day was published, or only now, or only then.

    What a rollback restores belongs together by its publication, which stands here as a negative number.
    """
    rows: list[dict[str, Any]] = query(
        connection,
        """with asked as (select unnest(%(days)s::date[]) as day),
           now as (
               select day, file_id, ingest_id
               from asked join ops.file_days using (day) join ops.deliveries using (file_id)
               where dataset = %(dataset)s and state = 'live'
           ),
           published as (
               select day, (attempt ->> 0)::bigint as file_id, (attempt ->> 1)::bigint as ingest_id
               from asked
               join ops.published_days as p using (day)
               join ops.publications using (publication_id)
               cross join jsonb_array_elements(input_files -> %(dataset)s) as attempt
               where table_name = %(table)s
                   and exists (
                       select from ops.file_days as held
                       where held.day = asked.day and held.file_id = (attempt ->> 0)::bigint)
           )
           select file_id, day from (table now except table published) as came
           union select file_id, day from (table published except table now) as went
           union select -publication_id, day
           from asked join ops.holds using (day) join ops.rollbacks using (publication_id)
           where table_name = %(table)s and released_at is null
           order by file_id, day""",
        {"days": list(days), "dataset": contract.dataset, "table": contract.table},
    )
    return [(r["file_id"], r["day"]) for r in rows]
