"""Every kind of rule catches what breaks it, shows it, and hides personal values."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from data_platform.contracts.compile.gx import suite
from data_platform.contracts.load import get_contracts
from data_platform.gates.rules import Evaluation, Relation, Subject, no_broken_rows
from tests.conftest import Platform
from tests.integration.gates.conftest import DAY, GOOD, Order, make, new_run, order

pytestmark = pytest.mark.integration


def evaluate(dataset: str, rows: list[Any], *more: dict[str, Any]) -> Evaluation:
    from data_platform.gates.context import open_context
    from data_platform.gates.evaluate import Evaluator

    run = make(new_run(), dataset, rows)
    contract = get_contracts()[dataset]
    relation = Relation(dataset, table=f"{dataset}__new", masked=contract.masked_columns)
    evaluator = Evaluator(open_context(run.schema))
    try:
        return evaluator.evaluate(Subject(relation, (*suite(contract), *more), rows=len(rows)))
    finally:
        evaluator.close()


def test_good_rows_keep_all_rules(project: Platform) -> None:
    evaluation = evaluate("orders", GOOD)
    assert evaluation.verdict == "passed"
    assert not evaluation.failed
    assert {rule.rule_id for rule in evaluation.rules} == {rule for rule, *_ in BROKEN} | HOLD_ANYWAY


FREE = {"amount_usd": "0", "note": "free"}
HOLD_ANYWAY = {"order_id.required", "customer_id.required", "ordered_on.required", "key"}
BROKEN: list[tuple[str, list[Order], str]] = [
    ("order_id.unique", [*GOOD, order(4)], "1 such groups of rows"),
    ("customer_id.pattern", [*GOOD, order(5, customer_id="0000x")], "1 of 5 rows (20%)"),
    ("customer_id.length", [*GOOD, order(5, customer_id="000005")], "1 of 5 rows (20%)"),
    ("amount_usd.range", [*GOOD, order(5, amount_usd="1000.01")], "1 of 5 rows (20%)"),
    ("amount_mostly_there", [*GOOD, *(order(n, amount_usd=None) for n in (5, 6))], "2 of 6 rows (33.3%)"),
    ("country_known", [*GOOD, order(5, country="MX")], "1 of 5 rows (20%)"),
    ("gender_known", [*GOOD, order(5, gender="secret")], "1 of 5 rows (20%)"),
    ("free_orders_are_few", [*GOOD, order(5, **FREE), order(6, **FREE)], "2 of 6 rows (33.3%)"),
    ("coupons_are_rare", [*GOOD, *(order(n, note="coupon") for n in (5, 6))], "2 of 6 rows (33.3%)"),
    ("enough_orders", GOOD[:2], "2"),
    ("one_order_a_customer_and_day", [*GOOD, order(5, customer_id="00004")], "1 such groups of rows"),
]
WARNINGS = {"coupons_are_rare", "one_order_a_customer_and_day"}


@pytest.mark.parametrize(("rule_id", "rows", "observed"), BROKEN, ids=[rule for rule, *_ in BROKEN])
def test_each_rule_catches_what_breaks_it(project: Platform, rule_id: str, rows: list[Order], observed: str) -> None:
    evaluation = evaluate("orders", rows)
    failed = {rule.rule_id: rule for rule in evaluation.failed}
    assert rule_id in failed
    assert failed[rule_id].observed == observed
    assert failed[rule_id].severity == ("warning" if rule_id in WARNINGS else "error")
    assert failed[rule_id].examples or rule_id == "enough_orders"
    # A value that is too long or a key that repeats breaks a second rule; nothing else may fail.
    also = {"customer_id.length": {"customer_id.pattern"}, "order_id.unique": {"one_order_a_customer_and_day"}}
    assert failed.keys() == {rule_id} | also.get(rule_id, set())


@pytest.mark.parametrize("column", ["order_id", "ordered_on", "customer_id"])
def test_a_missing_required_value_is_caught(project: Platform, column: str) -> None:
    failed = [rule.rule_id for rule in evaluate("orders", [*GOOD, order(5, **{column: None})]).failed]
    assert failed == [f"{column}.required"]


def test_rows_of_each_extract_are_counted(project: Platform) -> None:
    evaluation = evaluate("members", [(DAY, "a"), (DAY, "b"), (DAY, "c")])
    assert [(rule.rule_id, rule.examples) for rule in evaluation.failed] == [
        ("extract_size", ({"extract_day": str(DAY), "rows": 3},))
    ]


def test_a_key_repeats_only_within_its_extract(project: Platform) -> None:
    assert [rule.rule_id for rule in evaluate("members", [(DAY, "a"), (DAY, "a")]).failed] == ["key"]


def test_personal_values_are_masked_wherever_they_stand(project: Platform) -> None:
    secret = [order(5, gender="hush-hush", country="MX")]
    evaluation = evaluate("orders", [*GOOD, *secret])
    failed = {rule.rule_id: rule for rule in evaluation.failed}
    assert failed["gender_known"].examples[0]["gender"] == "•••"
    assert failed["country_known"].examples[0]["gender"] == "•••"
    assert failed["country_known"].examples[0]["country"] == "MX"
    assert "hush-hush" not in str(dataclasses.asdict(evaluation.rules[0])) + str(evaluation.rules)
    assert "hush-hush" not in str(evaluation.document.to_json_dict())
    assert "MX" in str(evaluation.document.to_json_dict())


def test_at_most_ten_examples_are_shown(project: Platform) -> None:
    evaluation = evaluate("orders", [*GOOD, *(order(n, country="MX", note="coupon") for n in range(10, 40))])
    assert {rule.rule_id: len(rule.examples) for rule in evaluation.failed} == {
        "country_known": 10,
        "coupons_are_rare": 10,
    }


def test_a_warning_alone_does_not_fail(project: Platform) -> None:
    assert evaluate("orders", [*GOOD, *(order(n, note="coupon") for n in (5, 6))]).verdict == "warned"


def test_a_rule_that_cannot_be_asked_fails_alone(project: Platform) -> None:
    wrong = no_broken_rows("wrong", "no_such_column > 0", expected="nothing", reason="a typo", severity="warning")
    evaluation = evaluate("orders", [*GOOD, order(5, country="MX")], wrong)
    failed = {rule.rule_id: rule for rule in evaluation.failed}
    assert failed.keys() == {"wrong", "country_known"}
    assert failed["wrong"].severity == "error"
    assert 'column "no_such_column" does not exist' in str(failed["wrong"].observed)
    assert failed["country_known"].observed == "1 of 5 rows (20%)"


def test_an_error_about_a_value_does_not_show_it(project: Platform) -> None:
    cast = no_broken_rows("cast", "gender::int > 0", expected="nothing", reason="a typo")
    (failed,) = (rule for rule in evaluate("orders", GOOD, cast).failed if rule.rule_id == "cast")
    assert failed.observed == "could not be evaluated (InvalidTextRepresentation)"


def test_a_suite_without_rules_fails(project: Platform) -> None:
    from data_platform.gates.context import open_context
    from data_platform.gates.evaluate import Evaluator

    evaluation = Evaluator(open_context("public")).evaluate(Subject(Relation("orders"), (), rows=4))
    assert (evaluation.verdict, evaluation.failed[0].rule_id) == ("failed", "has_rules")
