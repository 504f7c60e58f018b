"""A foreign key is asked of what the run would publish: of the target's new rows, and of those that stay."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from data_platform.contracts.load import get_contracts
from data_platform.failures import GateFailure
from data_platform.gates.verdicts import verdicts
from data_platform.runs import Run, update_plan
from data_platform.steps import perform
from data_platform.warehouse.connection import execute, query, transaction
from tests.conftest import Platform
from tests.integration.gates.conftest import DAY, GOOD, deliver, make, new_run, stage

pytestmark = pytest.mark.integration

BEFORE = DAY - timedelta(30)


def refund(number: int, *, order: int | None = None, member: str | None = None, corrects: int | None = None) -> Any:
    return (number, DAY, order, member, corrects)


def refunded(*rows: Any, beside: Run | None = None) -> Run:
    """A run that has staged these refunds, beside what it has."""
    deliver("refunds", len(rows))
    return make(beside or new_run(), "refunds", rows)


def publish(dataset: str, **values: Any) -> None:
    """A published row, put there by hand."""
    names = ", ".join(values)
    with transaction() as connection:
        execute(
            connection,
            f"insert into {get_contracts()[dataset].table} (row_id, known_at, {names})"
            f" values (gen_random_uuid(), now(), {', '.join(['%s'] * len(values))})",
            tuple(values.values()),
        )


def publish_order(number: int, day: date) -> None:
    publish("orders", order_id=number, ordered_on=day, customer_id="00001")


def broken(run: Run) -> dict[str, Any]:
    """Rule → what was observed of the foreign keys that do not hold, with the verdict on the refunds."""
    with transaction() as connection:
        rows = query(
            connection,
            "select rule_id, observed from ops.gate_results where run_id = %s and not passed and relation = 'refunds'",
            (run.run_id,),
        )
        return {r["rule_id"]: r["observed"] for r in rows} | {"": dict(verdicts(connection, run.run_id)).get("refunds")}


def test_values_stand_in_what_is_published_and_in_what_the_run_has_staged(project: Platform) -> None:
    publish_order(90, BEFORE)
    publish("members", extract_day=BEFORE, member_id="once")
    run = refunded(
        refund(1, order=90, member="once"),
        refund(2, order=GOOD[0][0], corrects=1),
        refund(3),
        beside=stage("orders", GOOD),
    )
    perform(run.run_id, "gate:stage")
    assert broken(run) == {"": "passed"}


def test_a_value_that_stands_nowhere_stops_the_run(project: Platform) -> None:
    publish_order(90, BEFORE)
    run = refunded(refund(1, order=90), refund(2, order=91), refund(3, order=92))
    with pytest.raises(GateFailure) as failure:
        perform(run.run_id, "gate:stage")
    for part in (
        "refunds, rule order_id.stands_in_orders: observed 2 of 3 rows (66.7%)",
        "expected: order_id stands in orders.order_id",
        "reason:   2026-11 nothing is refunded that was not ordered.",
        "refund_id=2",
        "order_id=91",
    ):
        assert part in failure.value.message
    assert broken(run).keys() == {"", "order_id.stands_in_orders"}


def test_a_row_that_this_run_takes_away_is_no_target(project: Platform) -> None:
    publish_order(90, DAY)
    perform(refunded(refund(1, order=90)).run_id, "gate:stage")
    run = refunded(refund(2, order=90), beside=stage("orders", GOOD))
    with pytest.raises(GateFailure, match=r"order_id.stands_in_orders: observed 1 of 1 rows"):
        perform(run.run_id, "gate:stage")


def test_a_row_points_to_one_of_its_own_dataset(project: Platform) -> None:
    run = refunded(refund(1), refund(2, corrects=1), refund(3, corrects=7))
    with pytest.raises(GateFailure, match=r"refunds_id.stands_in_refunds: observed 1 of 3 rows"):
        perform(run.run_id, "gate:stage")


def test_rows_that_a_rollback_restores_may_point_to_what_has_gone_since(project: Platform) -> None:
    restored = (1, BEFORE, 91, None, 7)

    def beside(*rows: Any) -> Run:
        deliver("refunds", len(rows))
        run = make(new_run(), "refunds", [restored, *rows], scope=(BEFORE, DAY))
        kept = {"restored": {str(BEFORE): 5}, "fingerprints": {str(BEFORE): "1:1:0"}}
        with transaction() as connection:
            return update_plan(connection, run, stage={"refunds": run.plan["stage"]["refunds"] | kept})

    publish_order(90, BEFORE)
    run = beside(refund(2, order=90))
    perform(run.run_id, "gate:stage")
    assert broken(run) == {
        "": "warned",
        "order_id.stands_in_orders_restored": "1 of 2 rows (50%)",
        "refunds_id.stands_in_refunds_restored": "1 of 2 rows (50%)",
    }
    with pytest.raises(GateFailure, match=r"order_id.stands_in_orders: observed 1 of 3 rows"):
        perform(beside(refund(2, order=92), refund(3)).run_id, "gate:stage")


def test_a_warning_is_recorded_and_does_not_stop(project: Platform) -> None:
    run = refunded(refund(1, member="nobody"), refund(2))
    perform(run.run_id, "gate:stage")
    assert broken(run) == {"": "warned", "member_id.stands_in_members": "1 of 2 rows (50%)"}
