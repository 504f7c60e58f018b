"""Rolling a publication back: its own deliveries are held at what was before it, and what read them is done again.

A rollback restores no table by itself. It writes holds, inputs like deliveries; a run then takes the held days
from the before-images, builds what reads them, and publishes all of it at once, through the same gates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

from data_platform import models
from data_platform.contracts.load import get_contracts
from data_platform.failures import InputError
from data_platform.holds import RECORDED_DAYS, active_holds
from data_platform.intervals import REFERENCE_DAY
from data_platform.orchestrate import take_steps
from data_platform.publish import LOCK
from data_platform.runs import Run, open_run
from data_platform.staleness import ROLLBACK, model_contracts, published_through
from data_platform.warehouse.connection import Connection, execute, query, transaction
from data_platform.warehouse.tables import ensure_tables

STEPS = ("stage", "gate:stage", "build", "gate:build", "publish", "export")


@dataclass(frozen=True)
class HeldDay:
    """A day that a rollback takes back.

    Args:
        fingerprint: of what it was published from before; None when it had no row.
        later: publications after the one rolled back that wrote the day too: they are undone with it.
    """

    table: str
    day: date
    fingerprint: str | None
    later: tuple[int, ...]


@dataclass(frozen=True)
class Rollback:
    """What rolling a publication back does: the days that it holds, and the tables that are built again."""

    publication_id: int
    days: tuple[HeldDay, ...]
    reprocessed: tuple[str, ...]

    @property
    def tables(self) -> set[str]:
        return {held.table for held in self.days}


def plan_rollback(connection: Connection, publication_id: int) -> Rollback:
    """What a rollback would do; nothing is written.

    Raises:
        InputError: when there is no such publication, it is rolled back already, it brought no delivery, or what it
            brought was taken back and let in again.
    """
    undone_by = _earlier_rollback(connection, publication_id)
    rows = query(
        connection,
        """select row_key ->> 'table_name' as table_name, (row_key ->> 'day')::date as day,
                  before ->> 'fingerprint' as fingerprint,
                  array(select l.publication_id from ops.before_images as l
                        where l.table_name = i.table_name and l.row_key = i.row_key
                            and l.publication_id > i.publication_id order by 1) as later
           from ops.before_images as i where publication_id = %s and table_name = %s order by 1, 2""",
        (publication_id, RECORDED_DAYS),
    )
    held = {table: active_holds(connection, table) for table in {r["table_name"] for r in rows}}
    days = tuple(
        HeldDay(r["table_name"], r["day"], r["fingerprint"], tuple(r["later"]))
        for r in rows
        # A day that an earlier rollback holds stays with it: nothing of this publication is there to be taken back.
        if r["day"] not in held[r["table_name"]] or held[r["table_name"]][r["day"]].publication_id > publication_id
    )
    again = max((later for held_day in days for later in held_day.later), default=0)
    if undone_by and again > undone_by:
        raise InputError(
            f"publication {publication_id} was rolled back and released; publication {again} brought its days anew",
            hint=f"`dp rollback {again}` takes that back",
        )
    if not days:
        raise InputError(
            f"publication {publication_id} brought no delivery that could be taken back",
            hint="it came from a change of code or of time: revert the commit, and the next run publishes what follows",
        )
    return Rollback(publication_id, days, tuple(_readers_of({d.table for d in days})))


def _earlier_rollback(connection: Connection, publication_id: int) -> int | None:
    """The publication that carried out an earlier rollback of this one, which is released."""
    rows = query(
        connection,
        """select r.publication_id is not null as is_rolled_back, r.released_at, r.undone_by
           from ops.publications left join ops.rollbacks as r using (publication_id) where publication_id = %s""",
        (publication_id,),
    )
    if not rows:
        raise InputError(f"there is no publication {publication_id}", hint="`dp publications` lists them")
    if rows[0]["is_rolled_back"] and rows[0]["released_at"] is None:
        raise InputError(
            f"publication {publication_id} is rolled back already",
            hint=f"`dp holds` lists what it holds; `dp release {publication_id}` takes its deliveries in again",
        )
    undone_by: int | None = rows[0]["undone_by"]
    return undone_by


def _readers_of(tables: set[str]) -> list[str]:
    """Published tables that read these, through any number of others."""
    found: set[str] = set()
    while more := {
        c.table
        for c in model_contracts()
        if c.table not in found and models.upstream_tables(c.table) & (tables | found)
    }:
        found |= more
    return sorted(found)


def hold(connection: Connection, rollback: Rollback, reason: str) -> Run:
    """Writes the decision and opens the run that carries it out; whatever happens to that run, the decision stands."""
    execute(connection, "select pg_advisory_xact_lock(%s)", (LOCK,))
    execute(
        connection,
        """insert into ops.rollbacks (publication_id, reason) values (%s, %s)
           on conflict (publication_id) do update
               set reason = excluded.reason, decided_at = clock_timestamp(), released_at = null""",
        (rollback.publication_id, reason),
    )
    execute(connection, "delete from ops.holds where publication_id = %s", (rollback.publication_id,))
    for day in rollback.days:
        execute(
            connection,
            "insert into ops.holds (publication_id, table_name, day, fingerprint) values (%s, %s, %s, %s)",
            (rollback.publication_id, day.table, day.day, day.fingerprint),
        )
    ensure_tables(connection, get_contracts())
    return open_rollback_run(connection, reason)


def open_rollback_run(connection: Connection, reason: str) -> Run:
    """Opens a run that takes what rollbacks hold, and nothing else that may be stale."""
    through_day = published_through(connection)
    assert through_day is not None, "what is rolled back was published"
    return open_run(connection, kind=ROLLBACK, asked=None, through_day=through_day, datasets=(), reason=reason)


def roll_back(publication_id: int, reason: str, on_step: Callable[[str], None] = lambda _: None) -> Run:
    """Rolls a publication back: holds its deliveries, and takes all steps that follow from that.

    Raises:
        InputError: as ``plan_rollback``.
        PlatformError: the failure of the step that failed; what was published then stands, and so does the hold, so
            that the next run tries again.
    """
    with transaction() as connection:
        run = hold(connection, plan_rollback(connection, publication_id), reason)
    take_steps(run.run_id, STEPS, on_step)
    return run


def release(connection: Connection, publication_id: int) -> int:
    """Lets the deliveries of a rolled-back publication in again with the next run; returns how many days that are.

    Raises:
        InputError: when the publication is not rolled back.
    """
    execute(connection, "select pg_advisory_xact_lock(%s)", (LOCK,))
    released = execute(
        connection,
        "update ops.rollbacks set released_at = clock_timestamp() where publication_id = %s and released_at is null",
        (publication_id,),
    )
    if not released:
        raise InputError(f"publication {publication_id} is not rolled back", hint="`dp holds` lists what is")
    rows = query(connection, "select count(*) as n from ops.holds where publication_id = %s", (publication_id,))
    return int(rows[0]["n"])


def list_holds(connection: Connection) -> list[dict[str, Any]]:
    """Days that are held, a line for each publication and table; a reference table has no first and last."""
    return query(
        connection,
        """select publication_id, table_name, count(*) as days, nullif(min(day), %(none)s) as first,
                  nullif(max(day), %(none)s) as last, reason, date_trunc('second', decided_at) as decided_at
           from ops.holds join ops.rollbacks using (publication_id) where released_at is null
           group by publication_id, table_name, reason, decided_at order by publication_id, table_name""",
        {"none": REFERENCE_DAY},
    )
