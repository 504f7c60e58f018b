"""Publication: all or nothing, only what differs, undone by what was kept, refused when ungated or moved."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

import psycopg2
import pytest

from data_platform import publish, read_set
from data_platform.contracts.load import get_contracts
from data_platform.failures import GateFailure
from data_platform.intervals import Interval
from data_platform.publish import Moved
from data_platform.read_set import present_read_set
from data_platform.runs import Run, StepLog, get_run, open_run, update_plan
from data_platform.warehouse.connection import execute, open_connection, query, transaction
from data_platform.warehouse.tables import ensure_tables
from tests.conftest import Platform
from tests.state import write_counts

pytestmark = pytest.mark.integration
DAY, NEXT = date(1998, 1, 5), date(1998, 1, 6)
Row = tuple[int, str, date, int, str]


def purchase(number: int, customer: str = "00001", day: date = DAY, cds: int = 1, amount: str = "9.99") -> Row:
    return number, customer, day, cds, amount


def build(rows: list[Row], days: list[date], *, verdict: str | None = "passed", through: date = NEXT) -> Run:
    """Opens a run and stages these purchases for these days, as the step does."""
    contract = get_contracts()["purchases"]
    with transaction() as connection:
        ensure_tables(connection, [contract])
        run = open_run(
            connection, kind="run", asked=Interval.of_day(days[0]), through_day=through, datasets=(), reason="test"
        )
        execute(connection, "select ops.create_scope(%s, 'purchases', 'date')", (run.schema,))
        execute(connection, f"create table {run.schema}.purchases__new (like raw.purchases)")
        for day in days:
            execute(connection, f"insert into {run.schema}.purchases__scope (unit) values (%s)", (day,))
        for number, *values in rows:
            execute(
                connection,
                f"insert into {run.schema}.purchases__new values (%s, %s, %s, %s, %s, %s)",
                (str(UUID(int=number)), *values, f"{values[1]} 23:59+00"),
            )
        execute(connection, "select ops.create_overlay(%s, 'raw', 'purchases', 'purchased_on')", (run.schema,))
        execute(
            connection,
            "select ops.create_delta(%s, 'raw', 'purchases', 'purchased_on', array['row_id'])",
            (run.schema,),
        )
        run = update_plan(
            connection,
            run,
            stage={
                "purchases": {
                    "days": [str(d) for d in days],
                    "attempts": [],
                    "fingerprints": {str(d): f"v:{len(rows)}:0" for d in days if any(r[2] == d for r in rows)},
                }
            },
        )
        if verdict:
            execute(
                connection,
                """insert into ops.run_steps (run_id, step, subject, state, verdict)
                   values (%s, 'gate:stage', 'purchases', 'done', %s)""",
                (run.run_id, verdict),
            )
    return run


def publish_run(run: Run) -> StepLog:
    log = StepLog(run, "publish")
    publish.run_step(run, log)
    return log


def published() -> list[dict[str, Any]]:
    with transaction() as connection:
        return query(connection, "select row_id, amount_usd from raw.purchases order by row_id")


def writes() -> tuple[int, int, int]:
    """Rows ever inserted, updated and deleted in raw.purchases, by the server's own count."""
    return write_counts()["raw.purchases"]


def test_only_rows_that_differ_are_written(platform: Platform) -> None:
    publish_run(build([purchase(1), purchase(2), purchase(3, day=NEXT)], [DAY, NEXT]))
    before = writes()
    log = publish_run(build([purchase(1), purchase(4)], [DAY]))
    assert log.lines[0]["message"] == "+1 ~0 -1"
    after = writes()
    assert [b - a for a, b in zip(before, after, strict=True)] == [1, 0, 1]
    assert [r["row_id"] for r in published()] == [str(UUID(int=n)) for n in (1, 3, 4)]


def test_the_same_days_again_write_nothing(platform: Platform) -> None:
    rows = [purchase(1), purchase(2)]
    publish_run(build(rows, [DAY]))
    before = writes()
    log = publish_run(build(rows, [DAY], verdict=None))
    assert log.lines[0]["rows_changed"] == 0
    assert writes() == before


def test_totals_are_kept_without_reading_history(platform: Platform) -> None:
    publish_run(build([purchase(1, amount="1.10"), purchase(2, amount="2.20")], [DAY]))
    publish_run(build([purchase(2, amount="2.20"), purchase(3, amount="5.00", cds=4)], [DAY]))
    with transaction() as connection:
        kept = query(connection, "select rows, sums from ops.published_tables")[0]
        real = query(
            connection, "select count(*) as n, sum(amount_usd) as usd, sum(cd_count) as cds from raw.purchases"
        )
    assert (kept["rows"], kept["sums"]) == (2, {"amount_usd": "7.20", "cd_count": "5"})
    assert (real[0]["n"], str(real[0]["usd"]), real[0]["cds"]) == (2, "7.20", 5)


def test_what_was_there_before_is_kept(platform: Platform) -> None:
    publish_run(build([purchase(1)], [DAY]))
    publish_run(build([purchase(2), purchase(3, day=NEXT)], [DAY, NEXT]))
    with transaction() as connection:
        images = query(
            connection,
            "select op, row_key ->> 'row_id' as id, before ->> 'amount_usd' as usd from ops.before_images"
            " where table_name = 'raw.purchases'"
            " and publication_id = (select max(publication_id) from ops.publications) order by op",
        )
        units = query(connection, "select publication_id, unit from ops.publication_units order by 1, 2")
    assert [(i["op"], i["id"], i["usd"]) for i in images] == [
        ("D", str(UUID(int=1)), "9.99"),
        ("I", str(UUID(int=2)), None),
    ]
    assert [u["unit"] for u in units] == [str(DAY), str(NEXT)]


@pytest.mark.parametrize("verdict", [None, "failed"])
def test_a_relation_without_a_passed_gate_is_refused(platform: Platform, verdict: str | None) -> None:
    run = build([purchase(1)], [DAY], verdict=verdict)
    with pytest.raises(GateFailure, match=r"no passed gate for raw\.purchases"):
        publish_run(run)
    assert published() == []


def take(run: Run, *taken: str, state: str = "done") -> None:
    """Records steps as taken, one after the other, whose gates have passed."""
    with transaction() as connection:
        for step in taken:
            execute(connection, "delete from ops.run_steps where run_id = %s and step = %s", (run.run_id, step))
            execute(
                connection,
                "insert into ops.run_steps (run_id, step, subject, state, verdict) values (%s, %s, %s, %s, 'passed')",
                (run.run_id, step, "purchases", state),
            )


@pytest.mark.parametrize(
    ("again", "step"),
    [
        (["stage"], "gate:stage"),
        (["stage", "gate:stage"], "build"),
        (["stage", "gate:stage", "gate:build"], "build"),
        (["build"], "gate:build"),
    ],
)
def test_what_stands_on_a_step_that_was_taken_again_is_refused(platform: Platform, again: list[str], step: str) -> None:
    run = build([purchase(1)], [DAY])
    take(run, "stage", "gate:stage", "build", "gate:build", *again)
    with pytest.raises(GateFailure, match=f"{step} is out of date: {again[0]} was taken again since"):
        publish_run(run)
    assert published() == []
    take(run, "gate:stage", "build", "gate:build")
    publish_run(run)
    assert len(published()) == 1


def test_what_stands_on_a_failed_build_is_refused(platform: Platform) -> None:
    run = build([purchase(1)], [DAY])
    take(run, "stage", "gate:stage")
    take(run, "build", state="failed")
    take(run, "gate:build")
    with pytest.raises(GateFailure, match="gate:build is out of date: build failed"):
        publish_run(run)


def test_a_run_built_on_a_state_that_has_moved_is_refused(platform: Platform) -> None:
    first = build([purchase(1)], [DAY])
    second = build([purchase(2)], [DAY])
    publish_run(first)
    with pytest.raises(Moved, match=r"raw\.purchases"):
        publish_run(second)
    assert [r["row_id"] for r in published()] == [str(UUID(int=1))]


def test_a_publication_that_changed_nothing_of_a_table_moves_nobody(platform: Platform) -> None:
    publish_run(build([purchase(1)], [DAY]))
    waiting = build([purchase(1), purchase(2)], [DAY])
    publish_run(build([purchase(1)], [DAY]))
    publish_run(waiting)
    assert len(published()) == 2


def test_a_run_whose_last_day_was_overtaken_is_refused_though_no_row_changed(platform: Platform) -> None:
    rows = [purchase(1)]
    publish_run(build(rows, [DAY], through=DAY))
    stopped = build([*rows, purchase(2)], [DAY], through=DAY)
    publish_run(build(rows, [DAY], through=NEXT))
    with pytest.raises(Moved, match=r"raw\.purchases is carried on to another day"):
        publish_run(stopped)
    late = build([*rows, purchase(2)], [DAY], through=DAY)
    with pytest.raises(Moved, match=r"raw\.purchases is ahead of 1998-01-05"):
        publish_run(late)
    assert len(published()) == 1


@pytest.mark.parametrize(
    ("hashed", "what"), [("input_version", "given other code"), ("contract_hash", "given another contract")]
)
def test_what_old_code_has_built_is_not_published_as_of_new_code(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, hashed: str, what: str
) -> None:
    run = build([purchase(1)], [DAY])
    monkeypatch.setattr(read_set, hashed, lambda _contract: "of a newer version")
    with pytest.raises(Moved, match=rf"raw\.purchases is {what}"):
        publish_run(run)
    assert published() == []
    publish_run(build([purchase(1)], [DAY]))


def test_a_failure_in_the_middle_publishes_nothing(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_run(build([purchase(1)], [DAY]))
    run = build([purchase(2)], [DAY])

    def killed(*_: object) -> None:
        raise psycopg2.OperationalError("server closed the connection unexpectedly")

    with monkeypatch.context() as patch:
        patch.setattr(publish, "record_state", killed)
        with pytest.raises(psycopg2.OperationalError):
            publish_run(run)
    assert [r["row_id"] for r in published()] == [str(UUID(int=1))]
    with transaction() as connection:
        assert get_run(connection, run.run_id).state == "open"
        assert query(connection, "select count(*) as n from ops.publications")[0]["n"] == 1
    publish_run(run)
    assert [r["row_id"] for r in published()] == [str(UUID(int=2))]


def test_a_row_lost_on_the_way_is_noticed_and_nothing_published(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = build([purchase(1), purchase(2)], [DAY])
    with transaction() as connection:
        execute(connection, f"drop view {run.schema}.purchases__delta")
        execute(
            connection,
            f"create table {run.schema}.purchases__delta as select 'I'::char(1) as op, 'new' as side, n.*"
            f" from {run.schema}.purchases__new as n limit 1",
        )
    with pytest.raises(Exception, match=r"\(2,.*passed the gate, but \(1,.*would be published"):
        publish_run(run)
    assert published() == []


def test_a_reader_in_one_transaction_sees_one_state_and_does_not_wait(platform: Platform) -> None:
    publish_run(build([purchase(1)], [DAY]))
    run = build([purchase(2)], [DAY])
    reader = open_connection("analyst")
    reader.set_session(isolation_level="REPEATABLE READ", readonly=True)
    execute(reader, "set lock_timeout = '1ms'")
    before = query(reader, "select row_id from raw.purchases")
    publish_run(run)
    assert query(reader, "select row_id from raw.purchases") == before
    reader.rollback()
    assert query(reader, "select row_id from raw.purchases") != before
    reader.close()


def test_publishing_twice_is_publishing_once(platform: Platform) -> None:
    run = build([purchase(1)], [DAY])
    publish_run(run)
    with transaction() as connection:
        again = get_run(connection, run.run_id)
        state = present_read_set(connection)
    publish_run(again)
    with transaction() as connection:
        assert present_read_set(connection) == state
        assert query(connection, "select count(*) as n from ops.publications")[0]["n"] == 1
