"""Since when a row could be known: never before what gave it its value, nor later because of what others brought."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from data_platform.warehouse.connection import execute, query, transaction
from tests.integration.dbt.workshop import build_and_publish, customer, end_of, purchase

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("warehouse"), pytest.mark.no_cover]
DAY = date(1998, 1, 5)
LAST = DAY + timedelta(days=20)
THEN, LATER = datetime(1998, 1, 24, 3, tzinfo=UTC), datetime(1998, 1, 25, 3, tzinfo=UTC)


def known(table: str, *key: str) -> dict[Any, datetime]:
    """Key of each row → since when it is known."""
    with transaction() as connection:
        rows = query(connection, f"select {', '.join(key)}, known_at from {table}")
    return {tuple(r[k] for k in key) if len(key) > 1 else r[key[0]]: r["known_at"] for r in rows}


def tombstones(feature: str) -> set[tuple[str, date, datetime]]:
    with transaction() as connection:
        rows = query(
            connection, f"select customer_id, computed_on, known_at from features.{feature}_history where op = 'D'"
        )
    return {(r["customer_id"], r["computed_on"], r["known_at"]) for r in rows}


def arrived(row: tuple[Any, ...], at: datetime) -> tuple[Any, ...]:
    """The row in a file that came at that time."""
    return (*row[:-1], at)


BOUGHT = [
    purchase(1, "00001", DAY, 1, "9.99"),
    purchase(2, "00001", DAY, 2, "5.00"),
    purchase(1, "00002", DAY, 1, "9.99"),
    purchase(1, "00003", DAY, 1, "9.99"),
]


def test_what_is_left_when_a_row_goes_is_known_since_it_went() -> None:
    build_and_publish({"purchases": {DAY: BOUGHT}}, through=DAY)
    build_and_publish({"purchases": {DAY: [BOUGHT[0], BOUGHT[2]]}}, through=DAY, since=THEN)
    days = known("marts.fct_customer_days", "customer_id")
    assert days == {"00001": THEN, "00002": end_of(DAY)}
    assert known("features.ftr_customer__purchases", "customer_id") == days
    assert tombstones("ftr_customer__purchases") == {("00003", DAY, THEN)}
    assert set(known("raw.purchases", "row_id").values()) == {end_of(DAY)}


def test_what_comes_is_known_since_it_came_whatever_comes_with_it() -> None:
    build_and_publish({"purchases": {DAY: BOUGHT[:2]}}, through=DAY)
    new = [arrived(BOUGHT[2], THEN), arrived(BOUGHT[3], LATER)]
    build_and_publish({"purchases": {DAY: [*BOUGHT[:2], *new]}}, through=DAY, since=LATER)
    days = known("marts.fct_customer_days", "customer_id")
    assert days == {"00001": end_of(DAY), "00002": THEN, "00003": LATER}
    assert known("features.ftr_customer__purchases", "customer_id") == days


def test_a_row_that_comes_again_keeps_since_when_it_is_known() -> None:
    other = DAY + timedelta(days=1)
    build_and_publish({"purchases": {DAY: BOUGHT[:3]}}, through=other)
    again = [arrived(row, LATER) for row in BOUGHT]
    late = arrived(purchase(1, "00002", other, 1, "1.00"), THEN)
    build_and_publish({"purchases": {DAY: again, other: [late]}}, through=other, since=LATER)
    features = known("features.ftr_customer__purchases", "customer_id", "computed_on")
    assert features == {
        ("00001", DAY): end_of(DAY),
        ("00002", DAY): end_of(DAY),
        ("00002", other): THEN,
        ("00003", DAY): LATER,
    }


def test_a_change_of_code_does_not_forget_since_when_a_row_is_known() -> None:
    build_and_publish({"purchases": {DAY: BOUGHT}}, through=DAY)
    build_and_publish({"purchases": {DAY: [BOUGHT[0], BOUGHT[2]]}}, through=DAY, since=THEN)
    with transaction() as connection:
        execute(connection, "update ops.published_tables set code_hash = 'of an older version'")
        execute(connection, "update marts.fct_customer_days set cd_count = cd_count + 1 where customer_id = '00001'")
    assert build_and_publish({}, through=DAY) == {"marts.fct_customer_days": "+0 ~1 -0"}
    assert known("marts.fct_customer_days", "customer_id") == {"00001": THEN, "00002": end_of(DAY)}


def test_an_extract_that_comes_late_or_goes_dates_what_follows_it() -> None:
    first, middle, last = DAY, DAY + timedelta(days=7), DAY + timedelta(days=14)
    both = {on: [customer(on, "a", "US"), customer(on, "b", country)] for on, country in ((first, "US"), (last, "CA"))}
    build_and_publish({"customers": both}, through=LAST)
    extract = [arrived(customer(middle, name, "CA" if name == "b" else "US"), THEN) for name in "ab"]
    build_and_publish({"customers": {middle: extract}}, through=LAST, since=THEN)
    assert known("marts.dim_customers", "customer_id", "valid_from")["b", middle] == THEN
    assert tombstones("ftr_customer__profile") == {("b", last, THEN)}
    build_and_publish({"customers": {middle: []}}, through=LAST, since=LATER)
    dimension = known("marts.dim_customers", "customer_id", "valid_from")
    assert dimension == {("a", first): end_of(first), ("b", first): end_of(first), ("b", last): LATER}
    assert known("marts.dim_customers_current", "customer_id") == {"a": end_of(first), "b": LATER}
    assert tombstones("ftr_customer__profile") == {("b", last, THEN), ("b", middle, LATER)}


def test_who_is_gone_once_no_row_is_broken_is_known_to_be_gone_since_then() -> None:
    first, second = DAY, DAY + timedelta(days=7)
    extracts = {on: [customer(on, "a", "US")] for on in (first, second)}
    extracts[first].append(customer(first, "b", "US"))
    build_and_publish({"customers": extracts}, through=LAST, unknown={second: ["b"]})
    build_and_publish({"customers": {second: extracts[second]}}, through=LAST, since=THEN)
    assert known("marts.dim_customers", "customer_id", "valid_from")["b", second] == THEN


def test_a_key_that_a_reader_cannot_tell_dates_all_that_changes() -> None:
    build_and_publish({"purchases": {DAY: BOUGHT}}, through=DAY)
    build_and_publish({"purchases": {DAY: BOUGHT[:1]}}, through=DAY, since=THEN)
    assert known("marts.fct_weekdays", "weekday") == {"Mon": THEN}
