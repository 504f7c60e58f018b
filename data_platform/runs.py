"""Runs and their steps, as rows of ``ops``: what was asked, what each step did, how it ended."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from secrets import token_hex
from typing import Any, Literal

from psycopg2 import sql
from psycopg2.extras import Json

from data_platform import logs
from data_platform.failures import InputError, PlatformError
from data_platform.intervals import Interval
from data_platform.read_set import ReadSet, present_read_set, with_present_versions
from data_platform.warehouse.connection import Connection, execute, query, transaction

logger = logging.getLogger(__name__)

Verdict = Literal["passed", "warned", "failed"]
STEPS = (
    "discover",
    "ingest",
    "gate:ingest",
    "stage",
    "gate:stage",
    "build",
    "gate:build",
    "publish",
    "export",
)
KEEP_FAILED_SCHEMAS = 3


@dataclass(frozen=True)
class Run:
    """A run as it was opened. Its plan names, once known, the work of each step.

    Args:
        rebuild: do the days asked for whatever their state; else only what is stale of them.
    """

    run_id: str
    kind: str
    asked: Interval | None
    through_day: date
    datasets: tuple[str, ...]
    state: str
    plan: dict[str, Any]
    read_set: ReadSet
    rebuild: bool = False

    @property
    def schema(self) -> str:
        """The schema that the run builds in, and nobody else reads."""
        return f"run_{self.run_id}"

    @property
    def opened_through(self) -> date:
        """The last day that the run was to speak of, before it was known what of it has come."""
        return date.fromisoformat(self.plan["opened_through"]) if "opened_through" in self.plan else self.through_day


@dataclass
class StepLog:
    """What a step reports; one line a subject (a dataset, a model, a file)."""

    run: Run
    step: str
    lines: list[dict[str, Any]] = field(default_factory=list)

    def add(
        self,
        subject: str,
        *,
        rows_read: int | None = None,
        rows_live: int | None = None,
        rows_quarantined: int | None = None,
        rows_changed: int | None = None,
        verdict: Verdict | None = None,
        message: str = "",
        seconds: float | None = None,
    ) -> None:
        """Adds a line to the step's report."""
        self.lines.append(
            {
                "subject": subject,
                "rows_read": rows_read,
                "rows_live": rows_live,
                "rows_quarantined": rows_quarantined,
                "rows_changed": rows_changed,
                "verdict": verdict,
                "message": message,
                "seconds": seconds,
            }
        )


def new_run_id() -> str:
    """Sorts by time, fits a Postgres name, and is unique without asking anyone."""
    return f"{datetime.now(UTC):%Y%m%dt%H%M%S}_{token_hex(3)}"


def open_run(
    connection: Connection,
    *,
    kind: str,
    asked: Interval | None,
    through_day: date,
    datasets: tuple[str, ...],
    reason: str = "",
    rebuild: bool = False,
) -> Run:
    """Writes the run and makes its empty schema; schemas of older failed runs beyond a few are dropped."""
    run = Run(new_run_id(), kind, asked, through_day, datasets, "open", {}, present_read_set(connection), rebuild)
    execute(
        connection,
        """insert into ops.runs (run_id, kind, reason, asked_start, asked_end, datasets, through_day, read_set, rebuild)
           values (%s, %s, %s, %s, %s, %s, %s, %s, %s)""",
        (
            run.run_id,
            kind,
            reason,
            asked.start if asked else None,
            asked.end if asked else None,
            list(datasets),
            through_day,
            Json(run.read_set),
            rebuild,
        ),
    )
    _drop_old_schemas(connection)
    execute(connection, sql.SQL("create schema {}").format(sql.Identifier(run.schema)))
    days = str(asked) if asked else None
    logs.event(logger, "run opened", run_id=run.run_id, kind=kind, asked=days, through_day=through_day)
    return run


def _drop_old_schemas(connection: Connection) -> None:
    rows = query(
        connection,
        """select 'run_' || run_id as schema_name from ops.runs
           where state in ('failed', 'published', 'unchanged', 'tried')
             and to_regnamespace(quote_ident('run_' || run_id)) is not null
           order by started_at desc offset %s""",
        (KEEP_FAILED_SCHEMAS,),
    )
    for row in rows:
        drop_schema(connection, row["schema_name"])


def drop_schema(connection: Connection, schema: str) -> None:
    """Drops a run's schema with what stands in it."""
    execute(connection, sql.SQL("drop schema if exists {} cascade").format(sql.Identifier(schema)))


def get_run(connection: Connection, run_id: str) -> Run:
    """The run of that id.

    Raises:
        InputError: when there is none.
    """
    rows = query(connection, "select * from ops.runs where run_id = %s", (run_id,))
    if not rows:
        raise InputError(f"there is no run {run_id!r}", hint="`dp runs` lists them")
    row = rows[0]
    asked = Interval(row["asked_start"], row["asked_end"]) if row["asked_start"] else None
    return Run(
        run_id=row["run_id"],
        kind=row["kind"],
        asked=asked,
        through_day=row["through_day"],
        datasets=tuple(row["datasets"] or ()),
        state=row["state"],
        plan=row["plan"],
        read_set=row["read_set"],
        rebuild=row["rebuild"],
    )


def update_plan(connection: Connection, run: Run, **parts: Any) -> Run:
    """Adds parts to the run's plan, and returns the run with them."""
    execute(connection, "update ops.runs set plan = plan || %s where run_id = %s", (Json(parts), run.run_id))
    return get_run(connection, run.run_id)


def renew_versions(connection: Connection, run: Run, layers: Collection[str]) -> Run:
    """Fixes the code of these layers anew in the run's read-set, for a step that is about to read it."""
    renewed = replace(run, read_set=with_present_versions(run.read_set, layers))
    execute(connection, "update ops.runs set read_set = %s where run_id = %s", (Json(renewed.read_set), run.run_id))
    return renewed


def renew_read_set(connection: Connection, run: Run) -> None:
    """Lets a run stand on what is there now; what it has made until then stands on something else."""
    execute(
        connection,
        """update ops.runs
           set read_set = %s,
               through_day = greatest(through_day, (select max(through_day) from ops.published_tables))
           where run_id = %s""",
        (Json(present_read_set(connection)), run.run_id),
    )


def close_run(connection: Connection, run: Run, state: str, failure: str | None = None) -> None:
    """Writes how the run ended."""
    execute(
        connection,
        "update ops.runs set state = %s, failure = %s, ended_at = clock_timestamp() where run_id = %s",
        (state, failure, run.run_id),
    )


def reopen(connection: Connection, run: Run) -> Run:
    """The run, open again when it had failed.

    Raises:
        InputError: when it found nothing to do, or what it built has been dropped.
    """
    if run.state not in {"failed", "unchanged"}:
        return run
    (schema,) = query(connection, "select to_regnamespace(quote_ident(%s)) is not null as is_there", (run.schema,))
    if run.state == "unchanged" or not schema["is_there"]:
        raise InputError(f"run {run.run_id} is {run.state}", hint="start a new one with `dp run`")
    execute(
        connection,
        "update ops.runs set state = 'open', failure = null, ended_at = null where run_id = %s",
        (run.run_id,),
    )
    return replace(run, state="open")


@contextmanager
def recorded_step(run: Run, step: str) -> Iterator[StepLog]:
    """Records a step: its lines when it is done, its failure when it fails.

    The record is written in transactions of its own, so it tells of a failure whose work was rolled back.
    """
    log = StepLog(run, step)
    with transaction() as connection:
        execute(connection, "delete from ops.run_steps where run_id = %s and step = %s", (run.run_id, step))
        _write_line(connection, log, {"subject": ""}, "running", None)
    started = time.monotonic()
    logs.event(logger, "step started")
    try:
        yield log
    except BaseException as error:
        message = error.message if isinstance(error, PlatformError) else f"{type(error).__name__}: {error}"
        _finish(log, "failed", time.monotonic() - started, message)
        raise
    _finish(log, "done", time.monotonic() - started, "")


def _finish(log: StepLog, state: str, seconds: float, message: str) -> None:
    for line in log.lines:
        logs.event(logger, "step line", **line)
    logs.event(logger, f"step {state}", seconds=round(seconds, 3))
    with transaction() as connection:
        execute(
            connection,
            "delete from ops.run_steps where run_id = %s and step = %s",
            (log.run.run_id, log.step),
        )
        _write_line(connection, log, {"subject": "", "message": message}, state, seconds)
        for line in log.lines:
            _write_line(connection, log, line, state, line["seconds"])


def _write_line(connection: Connection, log: StepLog, line: dict[str, Any], state: str, seconds: float | None) -> None:
    execute(
        connection,
        """insert into ops.run_steps (run_id, step, subject, state, rows_read, rows_live, rows_quarantined,
                                      rows_changed, verdict, message, seconds)
           values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)""",
        (
            log.run.run_id,
            log.step,
            line["subject"],
            state,
            line.get("rows_read"),
            line.get("rows_live"),
            line.get("rows_quarantined"),
            line.get("rows_changed"),
            line.get("verdict"),
            line.get("message", ""),
            seconds,
        ),
    )


def list_runs(connection: Connection, limit: int) -> list[dict[str, Any]]:
    """Runs but trials, the newest first. ``doing`` is the step that an open one is at, and whom it waits for."""
    return query(
        connection,
        """select
               r.run_id, kind, r.state, doing, asked_start, asked_end, through_day, reason, failure,
               date_trunc('second', r.started_at) as started_at,
               round(extract(epoch from ended_at - r.started_at), 1) as seconds
           from ops.runs as r
           left join ops.run_steps as s on s.run_id = r.run_id and r.state = 'open' and s.state = 'running'
           left join lateral (
               select format(
                   '%%s for %%s s%%s', s.step, extract(epoch from now() - s.started_at)::int,
                   ', waits for ' || string_agg(distinct format(
                       '%%s (pid %%s)', coalesce(nullif(blocking.application_name, ''), blocking.usename), blocking.pid
                   ), ', ')
               ) as doing
               from pg_stat_activity as waiting
               join pg_stat_activity as blocking on blocking.pid = any(pg_blocking_pids(waiting.pid))
               where waiting.application_name like '%%' || r.run_id or waiting.query like '%%run_' || r.run_id || '%%'
           ) as at_work on s.step is not null
           where kind <> 'trial'
           order by r.started_at desc limit %s""",
        (limit,),
    )


def step_rows(connection: Connection, run_id: str) -> list[dict[str, Any]]:
    """The steps of a run with their lines, in the order in which they were taken."""
    return query(
        connection,
        """select step, subject, state, rows_read, rows_live, rows_quarantined, rows_changed, verdict,
                  seconds, message
           from ops.run_steps where run_id = %s
           order by array_position(%s, step), subject""",
        (run_id, list(STEPS)),
    )
