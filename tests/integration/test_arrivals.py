"""Since when the change of a day could be known: told from the ledger, the publications and the decisions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from psycopg2.extras import Json

from data_platform.arrivals import ChangeOfDay, changes_of_days
from data_platform.contracts.load import get_contracts
from data_platform.settings import get_settings
from data_platform.warehouse.connection import Connection, execute, query, transaction

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("platform")]
DAY, OTHER = date(1998, 1, 5), date(1998, 1, 6)
FIRST, SECOND, THIRD = (datetime(1998, 1, n, 3, tzinfo=UTC) for n in (7, 8, 9))


def deliver(path: str, at: datetime, *days: date) -> int:
    """A delivery that holds a row of each day, or cannot be read when it names none; returns its id."""
    with transaction() as connection:
        (file,) = query(
            connection,
            """insert into ops.files (dataset, path, sha256, size_bytes, modified_ns, arrived_at, ingest_id)
               values ('purchases', %s, %s, 0, 0, %s, %s) returning file_id""",
            (path, f"{path} {at}", at, 1 if days else None),
        )
        for day in days:
            execute(connection, "insert into ops.file_days values (%s, %s, 1, 1)", (file["file_id"], day))
    return int(file["file_id"])


def publish(*files: int) -> int:
    """A publication of all days of these deliveries; returns its id."""
    with transaction() as connection:
        execute(connection, "insert into ops.runs (run_id, kind) values ('r', 'run') on conflict do nothing")
        (publication,) = query(
            connection,
            """insert into ops.publications (run_id, through_day, read_set, input_files)
               values ('r', %s, '{}', %s) returning publication_id as id""",
            (OTHER, Json({"purchases": [[file, 1] for file in files]})),
        )
        execute(
            connection,
            """insert into ops.published_days
               select distinct 'raw.purchases', day, 'f', %s from ops.file_days where file_id = any(%s)
               on conflict (table_name, day) do update set publication_id = excluded.publication_id""",
            (publication["id"], list(files)),
        )
    return int(publication["id"])


def withdraw(file: int, at: datetime) -> None:
    with transaction() as connection:
        execute(
            connection, "insert into ops.withdrawals (file_id, reason, arrived_at) values (%s, 'test', %s)", (file, at)
        )


def accept(file: int, at: datetime) -> None:
    with transaction() as connection:
        execute(
            connection,
            """insert into ops.answers (file_id, about, is_accepted, reason, arrived_at)
               values (%s, 'delivery', true, 'test', %s)""",
            (file, at),
        )


def hold(publication: int, day: date) -> datetime:
    """Rolls a publication back; returns when, on the business clock."""
    with transaction() as connection:
        execute(connection, "insert into ops.rollbacks (publication_id, reason) values (%s, 'test')", (publication,))
        execute(connection, "insert into ops.holds values (%s, 'raw.purchases', %s, 'f')", (publication, day))
        return decided(connection, publication, "decided_at")


def release(publication: int) -> datetime:
    with transaction() as connection:
        execute(connection, "update ops.rollbacks set released_at = clock_timestamp()")
        return decided(connection, publication, "released_at")


def decided(connection: Connection, publication: int, what: str) -> datetime:
    (row,) = query(connection, f"select {what} as at from ops.rollbacks where publication_id = %s", (publication,))
    return row["at"] - timedelta(days=get_settings().business_date_offset_days)


def changes(*live: int, restored: Mapping[date, int] | None = None) -> dict[date, Any]:
    with transaction() as connection:
        contract = get_contracts()["purchases"]
        found = changes_of_days(connection, contract, [DAY, OTHER], [(file, 1) for file in live], restored or {})
    return {change.day: change for change in found}


def test_a_day_of_which_nothing_is_published_has_no_change() -> None:
    assert changes(deliver("a", FIRST, DAY))[DAY] == ChangeOfDay(DAY, None, None)


def test_what_an_answer_lets_in_is_known_since_then() -> None:
    late = deliver("a", FIRST, DAY)
    accept(late, THIRD)
    assert changes(late)[DAY] == ChangeOfDay(DAY, THIRD, THIRD), "also where nothing is published of the day"


def test_what_gives_way_to_an_accepted_correction_is_known_to_be_gone_since_the_answer() -> None:
    before = deliver("a", FIRST, DAY)
    publish(before)
    after = deliver("a", SECOND, OTHER)
    accept(after, THIRD)
    assert changes(after)[DAY] == ChangeOfDay(DAY, THIRD, None)


def test_what_came_anew_counts_and_what_was_there_does_not() -> None:
    old = deliver("a", FIRST, DAY, OTHER)
    publish(old)
    assert changes(old, deliver("b", SECOND, DAY)) == {
        DAY: ChangeOfDay(DAY, SECOND, None),
        OTHER: ChangeOfDay(OTHER, None, None),
    }


def test_what_no_longer_holds_a_day_counts_since_the_newest_version_of_its_path() -> None:
    old = deliver("a", FIRST, DAY, OTHER)
    publish(old)
    between = deliver("a", SECOND, DAY)
    newest = deliver("a", THIRD, DAY)
    assert old < between < newest
    assert changes(newest) == {DAY: ChangeOfDay(DAY, THIRD, None), OTHER: ChangeOfDay(OTHER, THIRD, None)}


def test_what_is_withdrawn_counts_since_then_and_what_counts_again_for_it_too() -> None:
    old, other = deliver("a", FIRST, DAY), deliver("b", FIRST, OTHER)
    newer = deliver("a", SECOND, DAY)
    publish(newer, other)
    withdraw(newer, THIRD)
    withdraw(other, THIRD)
    assert changes(old) == {DAY: ChangeOfDay(DAY, THIRD, THIRD), OTHER: ChangeOfDay(OTHER, THIRD, None)}


def test_a_newer_version_that_cannot_be_read_takes_nothing_away() -> None:
    old = deliver("a", FIRST, DAY)
    publish(old)
    deliver("a", SECOND)
    assert changes(old)[DAY] == ChangeOfDay(DAY, None, None)


def test_a_rollback_dates_what_goes_and_its_release_what_comes_again() -> None:
    old = deliver("a", FIRST, DAY)
    publish(old)
    bad = publish(old, deliver("b", SECOND, DAY))
    at = hold(bad, DAY)
    assert changes(old, restored={DAY: bad})[DAY] == ChangeOfDay(DAY, at, None)
    publish(old)
    with transaction() as connection:
        execute(
            connection,
            "update ops.published_days set publication_id = (select max(publication_id) from ops.publications)",
        )
    released = release(bad)
    assert changes(old)[DAY] == ChangeOfDay(DAY, released, released)
    publish(old)
    assert changes(old)[DAY] == ChangeOfDay(DAY, None, None)
