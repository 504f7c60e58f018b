"""The online store after publications: always the newest row of each entity, and nothing of entities without one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from data_platform.contracts.load import get_contracts
from data_platform.failures import TransientFailure
from data_platform.local.postgres import EmbeddedPostgres
from data_platform.warehouse.connection import Connection, execute, query, transaction
from data_platform.warehouse.tables import ensure_tables
from feature_repo import export, online
from feature_repo.read import read_online
from tests.conftest import Platform, make_platform
from tests.integration.feature_repo.published import (
    PROFILE,
    PURCHASES,
    profile_row,
    publish_rows,
    purchases_row,
    run_export,
)
from tests.state import write_counts

pytestmark = pytest.mark.integration
DAY = date(1998, 1, 5)
AS_OF = datetime(1998, 1, 31, tzinfo=UTC)


def orders_online(*customers: str) -> list[int | None]:
    """Lifetime orders of each customer, as the online store tells them; None where it has no row."""
    rows = read_online([{"customer_id": c} for c in customers], "churn_v1", AS_OF)
    return [row.features["order_count_lifetime"] if row.event_at[PURCHASES] else None for row in rows]


def rows_written() -> dict[str, int]:
    """Rows ever written to each online table, by the server's own count."""
    return {
        table.removeprefix("online."): sum(counts)
        for table, counts in write_counts().items()
        if table.startswith("online.")
    }


def test_the_first_export_fills_every_view(features: Platform) -> None:
    publish_rows(PURCHASES, ["00001", "00002"], [purchases_row("00001", DAY), purchases_row("00002", DAY, orders=2)])
    publish_rows(PROFILE, [DAY], [profile_row("00001", DAY, country="CA")])
    said = run_export()
    assert said[PURCHASES].startswith("2 entities written, 0 deleted")
    assert said[PROFILE].startswith("1 entities written, 0 deleted")
    one, two = read_online([{"customer_id": "00001"}, {"customer_id": "00002"}], "churn_v1", AS_OF)
    assert one.features["order_count_lifetime"] == 1
    assert one.features["amount_usd_7d"] == 10.25
    assert one.features["country"] == "CA"
    assert one.features["signed_up_on"] == datetime(1996, 12, 24, tzinfo=UTC)
    assert one.event_at == {v: datetime(1998, 1, 6, tzinfo=UTC) for v in (PURCHASES, PROFILE)}
    assert two.features["order_count_lifetime"] == 2
    assert two.features["country"] is None
    assert two.event_at[PROFILE] is None


def test_without_a_publication_nothing_is_written(features: Platform) -> None:
    publish_rows(PURCHASES, ["00001"], [purchases_row("00001", DAY)])
    run_export()
    before = rows_written()
    assert run_export() == {"feast": "nothing waits"}
    assert rows_written() == before


def test_what_waits_for_a_view_that_was_removed_is_closed_with_a_reason(features: Platform) -> None:
    publish_rows(PURCHASES, ["00001"], [purchases_row("00001", DAY)])
    with transaction() as connection:
        execute(
            connection, "insert into ops.exports select publication_id, 'feast:ftr_customer__gone' from ops.exports"
        )
    said = run_export()
    assert "no contract" in said["ftr_customer__gone"]
    assert said[PURCHASES].startswith("1 entities written")
    with transaction() as connection:
        found = query(connection, "select target, state, reason is not null as is_told from ops.exports order by 1")
    assert [tuple(row.values()) for row in found] == [
        ("feast:ftr_customer__gone", "dropped", True),
        (f"feast:{PURCHASES}", "done", False),
    ]
    assert run_export() == {"feast": "nothing waits"}


def test_only_views_and_entities_that_a_publication_changed_are_written(features: Platform) -> None:
    publish_rows(PURCHASES, ["00001", "00002"], [purchases_row("00001", DAY), purchases_row("00002", DAY)])
    publish_rows(PROFILE, [DAY], [profile_row("00001", DAY)])
    run_export()
    publish_rows(PURCHASES, ["00002"], [purchases_row("00002", DAY, orders=7)])
    said = run_export()
    assert list(said) == [PURCHASES]
    assert said[PURCHASES].startswith("1 entities written, 0 deleted; publication ")
    assert orders_online("00001", "00002") == [1, 7]


def test_a_late_row_does_not_take_the_store_back(features: Platform) -> None:
    publish_rows(PURCHASES, ["00001"], [purchases_row("00001", DAY, orders=5)])
    run_export()
    early = purchases_row("00001", DAY - timedelta(days=3), orders=2)
    publish_rows(PURCHASES, ["00001"], [early, purchases_row("00001", DAY, orders=5)])
    run_export()
    assert orders_online("00001") == [5]


def test_a_deleted_newest_row_gives_way_to_the_one_before(features: Platform) -> None:
    early, late = purchases_row("00001", DAY, orders=2), purchases_row("00001", DAY + timedelta(days=3), orders=5)
    publish_rows(PURCHASES, ["00001"], [early, late])
    run_export()
    publish_rows(PURCHASES, ["00001"], [early])
    run_export()
    assert orders_online("00001") == [2]


def test_an_entity_without_rows_leaves_the_store(features: Platform) -> None:
    publish_rows(PURCHASES, ["00001", "00002"], [purchases_row("00001", DAY), purchases_row("00002", DAY)])
    run_export()
    publish_rows(PURCHASES, ["00001"], [])
    assert run_export()[PURCHASES].startswith("0 entities written, 1 deleted")
    assert orders_online("00001", "00002") == [None, 1]


def test_publications_that_wait_are_taken_together(features: Platform) -> None:
    publish_rows(PURCHASES, ["00001"], [purchases_row("00001", DAY)])
    run_export()
    publish_rows(PURCHASES, ["00002"], [purchases_row("00002", DAY, orders=3)])
    publish_rows(PURCHASES, ["00001"], [purchases_row("00001", DAY, orders=4)])
    assert "2 entities written, 0 deleted; publications 2 to 3" in run_export()[PURCHASES]
    with transaction() as connection:
        states = {r["state"] for r in query(connection, "select state from ops.exports where finished_at is not null")}
    assert states == {"done"}
    assert orders_online("00001", "00002") == [4, 3]


def test_an_export_that_dies_is_done_again(features: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_rows(PURCHASES, ["00001"], [purchases_row("00001", DAY)])
    run_export()
    publish_rows(PURCHASES, ["00001"], [purchases_row("00001", DAY, orders=6)])

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(export, "_mark_done", die)
        with pytest.raises(KeyboardInterrupt):
            run_export()
    assert orders_online("00001") == [6]
    assert run_export()[PURCHASES].startswith("1 entities written")
    assert run_export() == {"feast": "nothing waits"}


def test_a_view_with_other_features_is_filled_anew(features: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_rows(PURCHASES, ["00001", "00002"], [purchases_row("00001", DAY), purchases_row("00002", DAY)])
    run_export()
    monkeypatch.setattr(online.Target, "fingerprint", "0123456789abcdef")
    assert run_export()[PURCHASES] == "2 entities written, 0 deleted"
    assert run_export() == {"feast": "nothing waits"}


def test_materialize_repairs_a_store_that_went_astray(features: Platform) -> None:
    publish_rows(PURCHASES, ["00001", "00002"], [purchases_row("00001", DAY), purchases_row("00002", DAY, orders=2)])
    run_export()
    with transaction() as connection:
        execute(connection, "delete from features.ftr_customer__purchases where customer_id = '00001'")
        execute(connection, "update features.ftr_customer__purchases set order_count_lifetime = 9")
    by_view = {w.view: (w.written, w.deleted) for w in export.materialize_all()}
    assert by_view.pop(PURCHASES) == (1, 1)
    assert set(by_view.values()) == {(0, 0)}
    assert orders_online("00001", "00002") == [None, 9]


def test_materialize_since_a_day_takes_the_entities_with_rows_since_then(features: Platform) -> None:
    rows = [purchases_row("00001", DAY), purchases_row("00002", DAY + timedelta(days=5))]
    publish_rows(PURCHASES, ["00001", "00002"], rows)
    by_view = {w.view: w.written for w in export.materialize_all(DAY + timedelta(days=3))}
    assert by_view[PURCHASES] == 1
    assert orders_online("00001", "00002") == [None, 1]


def test_a_row_without_any_value_is_as_none(features: Platform) -> None:
    with transaction() as connection:
        for table in (PROFILE, f"{PROFILE}_history"):
            execute(connection, f"alter table features.{table} alter column is_deleted drop not null")
    publish_rows(PROFILE, [DAY], [profile_row("00001", DAY)])
    run_export()
    later = DAY + timedelta(days=7)
    empty = profile_row("00001", later, country=None) | {"is_deleted": None}
    publish_rows(PROFILE, [later], [empty])
    assert run_export()[PROFILE].startswith("0 entities written, 1 deleted")


def test_an_export_waits_for_the_one_before_it(features: Platform) -> None:
    publish_rows(PURCHASES, ["00001"], [purchases_row("00001", DAY)])
    with export.exclusive_snapshot(), transaction() as other:
        free = query(other, "select pg_try_advisory_lock(%s) as free", (export.LOCK,))[0]["free"]
    assert not free


def test_a_server_that_is_away_is_a_transient_failure(features: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_rows(PURCHASES, ["00001"], [purchases_row("00001", DAY)])

    def break_off(connection: Connection) -> list[Any]:
        return query(connection, "select pg_terminate_backend(pg_backend_pid())")

    monkeypatch.setattr(export, "find_work", break_off)
    with pytest.raises(TransientFailure, match="does not answer"):
        run_export()


CUSTOMERS = ("00001", "00002", "00003")
# Each publication gives some customers a new history: day to number of orders.
HISTORIES = st.dictionaries(st.integers(0, 6), st.integers(1, 99), max_size=3)
PUBLICATIONS = st.lists(st.dictionaries(st.sampled_from(CUSTOMERS), HISTORIES, min_size=1), min_size=1, max_size=4)


@pytest.fixture(scope="module")
def shared(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform for all examples of a property."""
    with pytest.MonkeyPatch.context() as patch:
        for platform in make_platform(postgres, tmp_path_factory.mktemp("shared"), patch, today=date(1998, 2, 1)):
            with transaction() as connection:
                ensure_tables(connection, get_contracts().of_layer("features"))
            yield platform


@limits(max_examples=8)
@given(changes=PUBLICATIONS, exported=st.sets(st.integers(0, 3)))
def test_whatever_is_published_the_newest_row_is_online(
    shared: Platform, changes: list[dict[str, dict[int, int]]], exported: set[int]
) -> None:
    nothing: dict[str, dict[int, int]] = {customer: {} for customer in CUSTOMERS}
    held = dict(nothing)
    for number, change in enumerate([nothing, *changes]):
        held |= change
        rows = [
            purchases_row(customer, DAY + timedelta(days=day), orders=orders)
            for customer, history in change.items()
            for day, orders in history.items()
        ]
        publish_rows(PURCHASES, list(change), rows)
        if number in exported:
            run_export()
    run_export()
    newest = [history[max(history)] if history else None for history in held.values()]
    assert orders_online(*held) == newest
