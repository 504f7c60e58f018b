"""How far a change reaches: each way in which a model says it, by an example."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from data_platform.contracts.load import get_contracts
from data_platform.intervals import Interval
from data_platform.warehouse.connection import query, transaction
from tests.conftest import Platform
from tests.integration.dbt.workshop import (
    build_and_publish,
    customer,
    differences_from_clean_build,
    open_built_run,
    purchase,
)

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("warehouse"), pytest.mark.no_cover]
DAY = date(1998, 1, 5)


def day(number: int) -> date:
    """The day so many days after the first."""
    return DAY + timedelta(days=number)


def features(customer_id: str) -> dict[date, tuple[int, int, int, int]]:
    """Day → order counts of 7, 30, 90 days and ever."""
    with transaction() as connection:
        found = query(
            connection,
            """select computed_on, order_count_7d as a, order_count_30d as b, order_count_90d as c,
                      order_count_lifetime as d from features.ftr_customer__purchases where customer_id = %s""",
            (customer_id,),
        )
    return {r["computed_on"]: (r["a"], r["b"], r["c"], r["d"]) for r in found}


def scope(schema: str, model: str) -> set[Any]:
    with transaction() as connection:
        return {r["unit"] for r in query(connection, f"select unit from {schema}.{model}__scope")}


def test_a_purchase_leaves_windows_on_days_on_which_nothing_happens() -> None:
    build_and_publish({"purchases": {DAY: [purchase(1, "00001", DAY, 1, "9.99")]}}, through=DAY)
    assert features("00001") == {DAY: (1, 1, 1, 1)}
    assert "features.ftr_customer__purchases" not in build_and_publish({}, through=day(6))
    assert build_and_publish({}, through=day(7)) == {"features.ftr_customer__purchases": "+1 ~0 -0"}
    # The platform was down for months: all days in between are due.
    build_and_publish({}, through=day(120))
    assert features("00001") == {
        DAY: (1, 1, 1, 1),
        day(7): (0, 1, 1, 1),
        day(30): (0, 0, 1, 1),
        day(90): (0, 0, 0, 1),
    }


def test_a_day_that_looks_back_is_due_though_nothing_happened_on_it() -> None:
    build_and_publish({"purchases": {DAY: [purchase(1, "00001", DAY, 1, "9.99")]}}, through=DAY)
    changed = build_and_publish({}, through=day(1))
    assert changed == {"marts.fct_busy_days": "+1 ~0 -0"}
    assert build_and_publish({}, through=day(5)) == {"marts.fct_busy_days": "+1 ~0 -0"}


def test_a_change_touches_the_days_that_look_back_to_it_and_no_others() -> None:
    days = {day(n): [purchase(1, "00001", day(n), 1, "9.99")] for n in range(6)}
    build_and_publish({"purchases": days}, through=day(5))
    run, _ = open_built_run({"purchases": {day(1): []}}, through=day(5))
    assert scope(run.schema, "fct_customer_days") == {day(1)}
    assert scope(run.schema, "fct_busy_days") == {day(1), day(2), day(3)}
    run, _ = open_built_run({"purchases": {day(4): []}}, through=day(5))
    assert scope(run.schema, "fct_busy_days") == {day(4), day(5)}


def test_only_keys_of_changed_rows_are_rewritten() -> None:
    first = [purchase(1, name, DAY, 1, "9.99") for name in ("00001", "00002", "00003")]
    build_and_publish({"purchases": {DAY: first}}, through=day(10))
    run, log = open_built_run({"purchases": {DAY: first[:2]}}, through=day(10))
    assert scope(run.schema, "ftr_customer__purchases") == {"00003"}
    line = next(line for line in log.lines if line["subject"] == "ftr_customer__purchases")
    assert line["rows_changed"] == 2
    assert line["message"] == "2 changed of 0 rows in 1 keys"


def test_a_key_without_rows_is_deleted() -> None:
    rows = [purchase(1, "00001", DAY, 1, "9.99"), purchase(1, "00002", DAY, 2, "0.00")]
    build_and_publish({"purchases": {DAY: rows}}, through=DAY)
    build_and_publish({"purchases": {DAY: rows[1:]}}, through=DAY)
    assert features("00001") == {}
    assert features("00002") == {DAY: (1, 1, 1, 1)}


def test_a_keyed_model_that_cannot_tell_its_keys_is_rebuilt_whole_when_anything_differs() -> None:
    monday, tuesday = [purchase(1, "00001", DAY, 1, "9.99")], [purchase(1, "00001", day(1), 1, "9.99")]
    build_and_publish({"purchases": {DAY: monday, day(1): tuesday}}, through=day(1))
    run, _ = open_built_run({"purchases": {DAY: []}}, through=day(1))
    assert scope(run.schema, "fct_weekdays") == {"Mon", "Tue"}
    run, _ = open_built_run({"purchases": {DAY: monday}}, through=day(1))
    assert scope(run.schema, "fct_weekdays") == set()


def test_an_extract_is_compared_anew_when_the_one_before_it_changes() -> None:
    extracts = {day(n): [customer(day(n), "00001", "US"), customer(day(n), "00002", "US")] for n in (0, 7, 14)}
    build_and_publish({"customers": extracts}, through=day(20))
    late = [customer(day(3), "00001", "CA")]
    run, _ = open_built_run({"customers": {day(3): late}}, through=day(20))
    assert scope(run.schema, "dim_customers") == {day(3), day(7)}
    changed = build_and_publish({"customers": {day(3): late}}, through=day(20))
    # On the 3rd one changes and one vanishes, on the 7th both are as they were.
    assert changed["marts.dim_customers"] == "+4 ~0 -0"
    changed = build_and_publish({"customers": {day(3): []}}, through=day(20))
    assert changed["marts.dim_customers"] == "+0 ~0 -4"
    assert differences_from_clean_build(day(20)) == {}


def log_of(customer_id: str) -> list[tuple[date, str | None]]:
    """The changes of a customer: day and country, None once the account is gone."""
    with transaction() as connection:
        found = query(
            connection,
            "select valid_from, country from marts.dim_customers where customer_id = %s order by 1",
            (customer_id,),
        )
    return [(r["valid_from"], r["country"]) for r in found]


def test_who_is_in_quarantine_stays_as_before_until_the_row_is_mended() -> None:
    def extract(number: int, **countries: str) -> dict[str, dict[date, list[tuple[Any, ...]]]]:
        return {"customers": {day(number): [customer(day(number), n, c) for n, c in countries.items()]}}

    build_and_publish(extract(0, a="US", b="US"), through=day(20))
    build_and_publish(extract(7, a="US"), through=day(20), unknown={day(7): ["b"]})
    assert log_of("b") == [(day(0), "US")]
    build_and_publish(extract(14, a="US", b="CA"), through=day(20))
    assert log_of("b") == [(day(0), "US"), (day(14), "CA")]

    # The row is mended: the customer had moved before.
    build_and_publish(extract(7, a="US", b="CA"), through=day(20))
    assert log_of("b") == [(day(0), "US"), (day(7), "CA")]
    # It is taken out: no row of the extract that is live differs, and yet the customer was gone.
    build_and_publish(extract(7, a="US"), through=day(20), unknown={day(7): ["b"]})
    assert log_of("b") == [(day(0), "US"), (day(14), "CA")]
    changed = build_and_publish(extract(7, a="US"), through=day(20))
    assert "raw.customers" not in changed
    assert log_of("b") == [(day(0), "US"), (day(7), None), (day(14), "CA")]
    assert differences_from_clean_build(day(20)) == {}


def test_a_change_reaches_beyond_extracts_in_which_somebody_is_unknown() -> None:
    extracts = {day(n): [customer(day(n), "a", "US")] for n in (0, 7, 14, 21, 28)}
    build_and_publish({"customers": extracts}, through=day(30), unknown={day(7): ["b"], day(14): ["b"]})
    late = [customer(day(3), "b", "CA"), customer(day(3), "a", "US")]
    run, _ = open_built_run({"customers": {day(3): late}}, through=day(30))
    assert scope(run.schema, "dim_customers") == {day(3), day(7), day(14), day(21)}


def test_asked_days_are_rebuilt_whatever_their_state() -> None:
    days = {day(n): [purchase(1, f"0000{n}", day(n), 1, "9.99")] for n in range(4)}
    build_and_publish({"purchases": days}, through=day(3))
    run, log = open_built_run({}, through=day(3), asked=Interval(day(1), day(3)))
    assert scope(run.schema, "fct_purchases") == {day(1), day(2)}
    assert scope(run.schema, "ftr_customer__purchases") == {"00001", "00002"}
    assert all(line["rows_changed"] == 0 for line in log.lines)


def test_a_change_of_code_rebuilds_a_model_whole_and_what_reads_it_only_where_values_changed(
    warehouse: Platform,
) -> None:
    build_and_publish({"purchases": {DAY: [purchase(1, "00001", DAY, 1, "9.99")]}}, through=DAY)
    file = warehouse.home / "dbt_project" / "models" / "marts" / "fct_purchases.sql"
    before = file.read_text()
    try:
        file.write_text(before + "\n-- as before\n")
        run, _ = open_built_run({}, through=DAY)
        assert scope(run.schema, "fct_purchases") == {DAY}
        assert scope(run.schema, "fct_customer_days") == set()
    finally:
        file.write_text(before)


def test_rows_beyond_the_last_day_are_dropped() -> None:
    build_and_publish({"purchases": {DAY: [purchase(1, "00001", DAY, 1, "9.99")]}}, through=day(1))
    with transaction() as connection:
        found = query(connection, "select max(counted_on) as last from marts.fct_busy_days")
    assert found[0]["last"] == day(1)
    assert {c.dataset for c in get_contracts().of_layer("marts")} >= {"fct_busy_days", "fct_weekdays"}
