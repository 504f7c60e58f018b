"""Replacing a day: 50,000 rows in a table of 5 million, our publication beside ``INSERT … ON CONFLICT``.

Each turn the day comes again as a corrected delivery: 1% of its rows have another amount, 1% are gone, 1% are new. Both
contenders find it staged. Ours is what a run does from there: it compares (``ops.create_delta``) and publishes what
differs, with before-images, totals, reconciliation and the publication's record. The peer upserts the staged rows and
deletes those of the day that are not among them. The table has the key and the index that the contract gives it.

WAL is what the server wrote meanwhile, after a checkpoint. The locks are those that a third connection saw on the
published table, looking every few milliseconds. Then the same day comes once more, unchanged.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import date
from typing import Any

from psycopg2 import sql

from benchmarks.harness import OURS, Bench, Numbers
from data_platform import publish
from data_platform.contracts.load import get_contracts
from data_platform.intervals import Interval
from data_platform.runs import Run, StepLog, drop_schema, open_run, update_plan
from data_platform.warehouse.connection import Connection, execute, query, transaction
from data_platform.warehouse.tables import ensure_tables

ROWS_A_DAY = 50_000
DAYS = 100
DAY = date(1997, 2, 20)
PUBLISHED = "marts.fct_purchases"
BLOCKING = {"AccessExclusiveLock", "ExclusiveLock"}
LOOK_EVERY_S = 0.005
STATISTICS_S = 0.3  # a server process counts what it wrote when it ends

FILL = """
    insert into marts.fct_purchases
    select
        md5(g::text)::uuid, lpad((g % 23570)::text, 5, '0'), date '1997-01-01' + (g % {days})::int, 1 + g % 9,
        (1 + g % 5000 / 100.0)::numeric(12, 2), false, timestamptz '1997-06-01'
    from generate_series(1, {rows}) as g
"""
CORRECTED_DAY = """
    insert into {new}
    select
        purchase_id, customer_id, purchased_on, cd_count,
        case when draw = 1 then amount_usd + 1 else amount_usd end, is_gift, known_at
    from marts.fct_purchases, abs(mod(hashtextextended(purchase_id::text, {turn}), 100)) as draw
    where purchased_on = %(day)s and draw <> 2
    union all
    select
        md5('{turn} ' || g)::uuid, lpad(mod(g, 23570)::text, 5, '0'), %(day)s, 1, 9.99, false, timestamptz '1997-06-01'
    from generate_series(1, {new_rows}) as g
"""
SAME_DAY = "insert into {new} select * from marts.fct_purchases where purchased_on = %(day)s"
UPSERT = """
    insert into marts.fct_purchases as p select * from {new}
    on conflict (purchase_id) do update set
        customer_id = excluded.customer_id, purchased_on = excluded.purchased_on, cd_count = excluded.cd_count,
        amount_usd = excluded.amount_usd, is_gift = excluded.is_gift, known_at = excluded.known_at
"""
DELETE_MISSING = """
    delete from marts.fct_purchases as p
    where p.purchased_on = %(day)s and not exists (select from {new} as n where n.purchase_id = p.purchase_id)
"""


class LockWatch:
    """Modes of the locks that others hold on the published table while the block runs."""

    def __init__(self, bench: Bench) -> None:
        self.modes: set[str] = set()
        self._connection = bench.warehouse.connect_as_superuser()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        statement = (
            "select distinct mode from pg_locks where locktype = 'relation' and relation = %s::regclass and granted"
        )
        while not self._over.wait(LOOK_EVERY_S):
            self.modes |= {row["mode"] for row in query(self._connection, statement, (PUBLISHED,))}

    def __enter__(self) -> LockWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._connection.close()


class Day:
    """The day as a delivery brings it, staged anew for every turn in a run of its own."""

    def __init__(self, bench: Bench) -> None:
        self.run: Run | None = None
        self.turn = 0
        self.staged: dict[str, Any] = {}
        self._bench = bench

    def correct(self) -> None:
        """Stages the day with 3% of its rows changed, gone or new."""
        self.turn += 1
        self._stage(CORRECTED_DAY)

    def repeat(self) -> None:
        """Stages the day as it is published."""
        self._stage(SAME_DAY)

    def _stage(self, statement: str) -> None:
        with transaction() as connection:
            if self.run:
                drop_schema(connection, self.run.schema)
            run = open_run(
                connection, kind="run", asked=Interval.of_day(DAY), through_day=DAY, datasets=(), reason="bench"
            )
            execute(connection, "select ops.create_scope(%s, 'fct_purchases', 'date')", (run.schema,))
            scope = sql.Identifier(run.schema, "fct_purchases__scope")
            execute(connection, sql.SQL("insert into {} (unit) values (%s)").format(scope), (DAY,))
            execute(connection, f"create table {run.schema}.fct_purchases__new (like {PUBLISHED})")
            new = f"{run.schema}.fct_purchases__new"
            values = {"new": new, "turn": self.turn, "new_rows": ROWS_A_DAY // 100}
            execute(connection, statement.format(**values), {"day": DAY})
            self.staged = _fingerprint(connection, new)
            self.run = update_plan(connection, run, stage={})
            execute(connection, f"analyze {new}")
            execute(
                connection,
                """insert into ops.run_steps (run_id, step, subject, state, verdict)
                   values (%s, 'gate:build', 'fct_purchases', 'done', 'passed')""",
                (run.run_id,),
            )
        server = self._bench.warehouse.connect_as_superuser()
        execute(server, "checkpoint")
        server.close()

    def publish(self) -> None:
        """Compares and publishes, as a run does once its gates have passed."""
        assert self.run is not None
        with transaction() as connection:
            execute(
                connection,
                "select ops.create_delta(%s, 'marts', 'fct_purchases', 'purchased_on', array['purchase_id'])",
                (self.run.schema,),
            )
        publish.run_step(self.run, StepLog(self.run, "publish"))

    def upsert(self) -> None:
        """What one would write by hand."""
        assert self.run is not None
        new = f"{self.run.schema}.fct_purchases__new"
        with transaction() as connection:
            execute(connection, UPSERT.format(new=new))
            execute(connection, DELETE_MISSING.format(new=new), {"day": DAY})


def run(bench: Bench) -> None:
    _fill(bench)
    day = Day(bench)
    contenders = {OURS: day.publish, "upsert": day.upsert}
    seen: dict[str, set[str]] = {name: set() for name in contenders}
    measured = {name: _measured(bench, contender, seen[name]) for name, contender in contenders.items()}
    corrected = bench.interleave(
        measured, repetitions=5, prepare=day.correct, warm_up=True, check=lambda _: _require_published(day)
    )
    bench.compare("seconds", "s", corrected, targets={"upsert": 1.4})
    bench.compare("wal", "bytes", corrected, of="wal", targets={"upsert": None})
    bench.compare("rows_written", "rows", corrected, of="rows", targets={"upsert": None})
    unchanged = bench.interleave(measured, prepare=day.repeat)
    bench.compare("seconds_unchanged", "s", unchanged, targets={"upsert": None})
    written = max(numbers["rows"] for numbers in unchanged[OURS])
    bench.limit("rows_written_unchanged", "rows", written, at_most=0)
    bench.say(f"locks on {PUBLISHED}: {'; '.join(f'{name}: {sorted(modes)}' for name, modes in seen.items())}")
    if "RowExclusiveLock" not in seen[OURS]:
        raise AssertionError("the watch has not seen our writes: it would not see a lock that blocks either")
    bench.limit("locks_that_block_readers", "modes", len(seen[OURS] & BLOCKING), at_most=0)


def _fill(bench: Bench) -> None:
    bench.say(f"filling {PUBLISHED} with {ROWS_A_DAY * DAYS:,} rows")
    contract = get_contracts()["fct_purchases"]
    connection = bench.warehouse.connect()
    with connection:
        ensure_tables(connection, [contract])
        indexes = query(
            connection,
            "select indexrelid::regclass::text as name, pg_get_indexdef(indexrelid) as made from pg_index"
            " where indrelid = %s::regclass and not indisprimary",
            (PUBLISHED,),
        )
        key = query(
            connection,
            "select conname from pg_constraint where conrelid = %s::regclass and contype = 'p'",
            (PUBLISHED,),
        )
        execute(connection, f"alter table {PUBLISHED} drop constraint {key[0]['conname']}")
        for index in indexes:
            execute(connection, f"drop index {index['name']}")
        execute(connection, FILL.format(days=DAYS, rows=ROWS_A_DAY * DAYS))
        execute(connection, f"alter table {PUBLISHED} add primary key (purchase_id)")
        for index in indexes:
            execute(connection, index["made"])
    connection.close()
    server = bench.warehouse.connect_as_superuser()
    execute(server, f"alter table {PUBLISHED} set (autovacuum_enabled = off)")  # it would hit one turn and not another
    execute(server, f"vacuum analyze {PUBLISHED}")
    server.close()


def _measured(bench: Bench, contender: Callable[[], None], seen: set[str]) -> Callable[[], Numbers]:
    """The contender with what the server wrote for it; adds the locks that it held to ``seen``."""

    def measure() -> Numbers:
        server = bench.warehouse.connect_as_superuser()
        before = _written(server)
        with LockWatch(bench) as watch:
            started = time.perf_counter()
            contender()
            seconds = time.perf_counter() - started
        time.sleep(STATISTICS_S)
        after = _written(server)
        server.close()
        seen.update(watch.modes)
        return {"seconds": seconds, **{name: after[name] - before[name] for name in after}}

    return measure


def _written(server: Connection) -> dict[str, float]:
    """Bytes of WAL, and rows of the published table, that the server has written so far."""
    row = query(
        server,
        """select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0') as wal, n_tup_ins + n_tup_upd + n_tup_del as rows
           from pg_stat_user_tables where relid = %s::regclass""",
        (PUBLISHED,),
    )[0]
    return {name: float(value) for name, value in row.items()}


def _fingerprint(connection: Connection, relation: str) -> dict[str, Any]:
    return query(
        connection,
        f"""select count(*) as rows, sum(hashtextextended(r::text, 0)) as content
            from {relation} as r where purchased_on = %s""",  # noqa: S608 - names of our own
        (DAY,),
    )[0]


def _require_published(day: Day) -> None:
    """Both must leave the day as it was staged.

    Raises:
        AssertionError: when a contender did not.
    """
    with transaction() as connection:
        assert _fingerprint(connection, PUBLISHED) == day.staged
