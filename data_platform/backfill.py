"""Backfills: days brought up to date, or done again, chunk by chunk, so that memory and transactions stay bounded.

Each chunk is a run of its own through all gates. A backfill that was stopped goes on with the first chunk not done.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from data_platform.failures import BudgetFailure, GateFailure
from data_platform.intervals import Interval
from data_platform.orchestrate import run_all
from data_platform.staleness import BACKFILL, rejected_in_words
from data_platform.warehouse.connection import Connection, execute, query, transaction


@dataclass(frozen=True)
class Chunk:
    """A part of a backfill, and the run that published it, if one has."""

    days: Interval
    run_id: str | None


@dataclass(frozen=True)
class Backfill:
    """A range of days.

    Args:
        rebuild: they are done again whatever their state; else what is stale of them is.
        resumed: whether it had been begun before.
    """

    backfill_id: int
    days: Interval
    datasets: tuple[str, ...]
    reason: str
    rebuild: bool
    chunks: tuple[Chunk, ...]
    resumed: bool

    @property
    def left(self) -> list[Chunk]:
        return [chunk for chunk in self.chunks if chunk.run_id is None]


def open_backfill(
    connection: Connection,
    days: Interval,
    *,
    chunk_days: int,
    datasets: Sequence[str],
    reason: str,
    rebuild: bool = False,
) -> Backfill:
    """The backfill of these days and datasets that has not ended yet, or else a new one.

    One that goes on keeps the chunks that it was begun with.
    """
    names = sorted(set(datasets))
    rows = query(
        connection,
        """select backfill_id, chunk_days from ops.backfills
           where ended_at is null and (start_day, end_day, rebuild) = (%s, %s, %s) and datasets = %s::text[]
           order by backfill_id desc limit 1""",
        (days.start, days.end, rebuild, names),
    )
    resumed = bool(rows)
    if not resumed:
        rows = query(
            connection,
            """insert into ops.backfills (start_day, end_day, chunk_days, datasets, reason, rebuild)
               values (%s, %s, %s, %s, %s, %s) returning backfill_id, chunk_days""",
            (days.start, days.end, chunk_days, names, reason, rebuild),
        )
    backfill_id, chunk_days = rows[0].values()
    done = query(connection, "select start_day, run_id from ops.backfill_chunks where backfill_id = %s", (backfill_id,))
    run_of = {r["start_day"]: r["run_id"] for r in done}
    chunks = tuple(Chunk(part, run_of.get(part.start)) for part in days.chunks(chunk_days))
    return Backfill(backfill_id, days, tuple(names), reason, rebuild, chunks, resumed)


def run_backfill(
    backfill: Backfill,
    *,
    budget_minutes: float | None = None,
    on_step: Callable[[Chunk, str], None] = lambda _chunk, _step: None,
) -> list[str]:
    """Does the chunks that are left, the earliest first; returns the ids of their runs.

    Raises:
        BudgetFailure: when the time is used up before a chunk; what is done stays done.
        GateFailure: when days were held back; all else is published, and their chunks are left.
        PlatformError: the failure of a chunk's step; the chunks before it are published.
    """
    began = time.monotonic()
    runs: list[str] = []
    done = 0
    held: list[str] = []
    for chunk in backfill.left:
        if budget_minutes is not None and time.monotonic() - began > budget_minutes * 60:
            raise BudgetFailure(
                f"{budget_minutes:g} minutes are used up: {len(backfill.left) - done} of {len(backfill.chunks)}"
                f" chunks are left, the next from {chunk.days.start}",
                hint="give the same command again: it goes on with that chunk",
            )
        runs.append(_run_chunk(backfill, chunk, on_step))
        with transaction() as connection:
            if rejected := rejected_in_words(connection, backfill.datasets, within=chunk.days):
                held += rejected
            else:
                _mark_done(connection, backfill, chunk, runs[-1])
                done += 1
    if held:
        raise GateFailure(
            "all is published but these days, and their chunks are left:\n  " + "\n  ".join(held),
            hint="docs/runbooks/failed-gate.md says what to do; then give the same command again",
        )
    with transaction() as connection:
        execute(
            connection,
            "update ops.backfills set ended_at = clock_timestamp() where backfill_id = %s",
            (backfill.backfill_id,),
        )
    return runs


def _run_chunk(backfill: Backfill, chunk: Chunk, on_step: Callable[[Chunk, str], None]) -> str:
    opened = run_all(
        chunk.days,
        datasets=backfill.datasets,
        kind=BACKFILL,
        reason=backfill.reason,
        rebuild=backfill.rebuild,
        on_step=lambda step: on_step(chunk, step),
    )
    assert opened.run is not None, "days that were asked for are looked at whatever their state"
    return opened.run.run_id


def _mark_done(connection: Connection, backfill: Backfill, chunk: Chunk, run_id: str) -> None:
    """Writes that a chunk is done. A kill before that costs a chunk that finds no difference."""
    execute(
        connection,
        """insert into ops.backfill_chunks (backfill_id, start_day, run_id) values (%s, %s, %s)
           on conflict (backfill_id, start_day) do update set run_id = excluded.run_id""",
        (backfill.backfill_id, chunk.days.start, run_id),
    )
