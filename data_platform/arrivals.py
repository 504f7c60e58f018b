"""Since when a change of what a day is made of could be known: arrivals of what came, and of what took its place."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from data_platform.contracts.model import Contract
from data_platform.settings import get_settings
from data_platform.warehouse.connection import Connection, query


@dataclass(frozen=True)
class ChangeOfDay:
    """The change that makes a day differ from what is published of it.

    Args:
        changed_at: arrival of the newest delivery or decision in it; rows that go could be known to go since then.
        decided_at: of the newest decision in it: no row, whenever it arrived, counts again before that.
    """

    day: date
    changed_at: datetime | None
    decided_at: datetime | None


def changes_of_days(
    connection: Connection,
    contract: Contract,
    days: Collection[date],
    attempts: Iterable[tuple[int, int]],
    restored: Mapping[date, int],
) -> list[ChangeOfDay]:
    """The change of each day from what it was published from to these attempts, or to what a rollback restores.

    A day of which nothing is published has no change: its rows tell all that there is to know.
    """
    rows = query(
        connection,
        """with wanted as (
               select w.day, p.publication_id, r.publication_id as restores
               from unnest(%(days)s::date[]) as w (day)
               left join ops.published_days as p on p.table_name = %(table)s and p.day = w.day
               left join unnest(%(restored_days)s::date[], %(restored)s::bigint[]) as r (day, publication_id)
                   on r.day = w.day
           ),
           attempt_before as (
               select w.day, (attempt ->> 0)::bigint as file_id, (attempt ->> 1)::bigint as ingest_id
               from wanted as w
               join ops.publications as p using (publication_id)
               cross join jsonb_array_elements(p.input_files -> %(dataset)s) as attempt
               where w.restores is null
           ),
           before as (
               select b.day, b.file_id from attempt_before as b join ops.file_days using (day, file_id)
           ),
           came as (
               -- A version that counts again, as a later one of its path was withdrawn, does so by that decision.
               -- One that the contract does not accept by itself, by its answer.
               select w.day, f.arrived_at, greatest(a.arrived_at, (
                       select max(d.arrived_at)
                       from ops.files as later
                       join ops.standing_withdrawals as d using (file_id)
                       where (later.dataset, later.path) = (f.dataset, f.path) and later.file_id > f.file_id
                   )) as decided_at
               from wanted as w
               join ops.file_days as held using (day)
               join ops.files as f using (file_id)
               left join ops.last_answers as a on a.file_id = f.file_id and a.about = 'delivery' and a.is_accepted
               where (w.publication_id is not null or a.file_id is not null)
                   and w.restores is null and f.file_id = any(%(live)s)
                   and not exists (select from before as b where (b.day, b.file_id) = (w.day, f.file_id))
           ),
           gave_way as (
               select b.day, greatest(later.arrived_at, a.arrived_at) as arrived_at
               from before as b
               join ops.files as f using (file_id)
               join ops.judged_deliveries as later
                   on (later.dataset, later.path) = (f.dataset, f.path) and later.file_id > f.file_id
               left join ops.last_answers as a on a.file_id = later.file_id and a.about = 'delivery'
               where b.file_id <> all(%(live)s) and later.ingest_id is not null and not later.is_held
               union all
               select b.day, d.arrived_at
               from before as b
               join ops.standing_withdrawals as d using (file_id)
           ),
           overridden_before as (
               select r.day, r.override_id
               from attempt_before as b
               join quarantine.override_results as r using (file_id, ingest_id, day)
           ),
           overridden as (
               select w.day, r.override_id
               from wanted as w
               join quarantine.override_results as r using (day)
               join unnest(%(live)s::bigint[], %(live_ingests)s::bigint[]) as a (file_id, ingest_id)
                   using (file_id, ingest_id)
               where w.publication_id is not null and w.restores is null
           ),
           corrected as (
               -- A row comes by its override, and goes by what took that back or took its place.
               select n.day, o.arrived_at
               from (table overridden except table overridden_before) as n
               join quarantine.row_overrides as o using (override_id)
               union all
               select b.day, least(r.arrived_at, min(later.arrived_at))
               from (table overridden_before except table overridden) as b
               join quarantine.row_overrides as o using (override_id)
               left join quarantine.revocations as r using (override_id)
               left join quarantine.row_overrides as later
                   on (later.dataset, later.raw_digest, later.occurrence) = (o.dataset, o.raw_digest, o.occurrence)
                   and later.extract_day is not distinct from o.extract_day and later.override_id > o.override_id
               group by b.day, b.override_id, r.arrived_at
           ),
           -- A text reads otherwise by what came to the vault, or left it, since it was read last.
           revealed as (
               select b.day, came.arrived_at
               from attempt_before as b
               join unnest(%(live)s::bigint[], %(live_ingests)s::bigint[]) as a (file_id, ingest_id) using (file_id)
               join vault.held_records as h on h.ingest_id > b.ingest_id and h.ingest_id < a.ingest_id and h.identifies
               join ops.files as came on came.file_id = h.file_id
               where exists (select from ops.file_subjects as s where s.file_id = b.file_id)
               union all
               select b.day, gone.arrived_at
               from attempt_before as b
               join wanted as w using (day)
               join ops.publications as p using (publication_id)
               join unnest(%(live)s::bigint[], %(live_ingests)s::bigint[]) as a (file_id, ingest_id) using (file_id)
               join ops.standing_withdrawals as gone on gone.decided_at > p.published_at
               join vault.held_records as h on h.file_id = gone.file_id and h.identifies
               where b.ingest_id < a.ingest_id
                   and exists (select from ops.file_subjects as s where s.file_id = b.file_id)
           ),
           decided as (
               select h.day, case when w.restores = h.publication_id then r.decided_at else r.released_at end
                       - make_interval(days => %(offset)s) as decided_at
               from wanted as w
               join ops.holds as h on h.table_name = %(table)s and h.day = w.day
               join ops.rollbacks as r on r.publication_id = h.publication_id
               left join ops.publications as p on p.publication_id = w.publication_id
               where w.restores = h.publication_id
                   or w.restores is null and r.released_at > coalesce(p.published_at, '-infinity')
           )
           select
               w.day,
               max(c.changed_at) as changed_at,
               case when w.restores is null then max(c.decided_at) end as decided_at
           from wanted as w
           left join (
               select day, greatest(arrived_at, decided_at) as changed_at, decided_at from came
               union all
               select day, arrived_at, null from gave_way
               union all
               select day, arrived_at, null from corrected
               union all
               select day, arrived_at, arrived_at from revealed
               union all
               select day, decided_at, decided_at from decided
           ) as c using (day)
           group by w.day, w.restores order by w.day""",
        _parameters(contract, days, attempts, restored),
    )
    return [ChangeOfDay(**r) for r in rows]


def _parameters(
    contract: Contract, days: Collection[date], attempts: Iterable[tuple[int, int]], restored: Mapping[date, int]
) -> dict[str, Any]:
    live = list(attempts)
    return {
        "dataset": contract.dataset,
        "table": contract.table,
        "days": list(days),
        "live": [file_id for file_id, _ in live],
        "live_ingests": [ingest_id for _, ingest_id in live],
        "restored_days": list(restored),
        "restored": list(restored.values()),
        # Decisions are taken by the clock on the wall; deliveries arrive by that of the business.
        "offset": get_settings().business_date_offset_days,
    }
