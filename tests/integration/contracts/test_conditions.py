"""Conditions of contracts reach Postgres as they were written, through all that may read signs of its own in them."""

from pathlib import Path

import pytest

from data_platform.contracts.compile.ddl import create_table
from data_platform.contracts.compile.gx import suite
from data_platform.gates.rules import Relation, Subject
from data_platform.warehouse.connection import execute, transaction
from tests.conftest import Platform
from tests.unit.contracts.examples import ORDERS, changed, contract_of

pytestmark = pytest.mark.integration

# Braces mean something to str.format, colons to SQLAlchemy, percent signs to psycopg2.
TRICKY = changed(
    ORDERS,
    "channel = 'web' and note <> ''",
    "note ~ '^[{]2} :x% [a-z]{2}$' or note like ':y%' or amount_usd::text = '7.00'",
)
INSERT = """
insert into raw.orders (row_id, order_no, ordered_on, channel, known_at, note, amount_usd)
values (gen_random_uuid(), '0001', '1998-01-01', 'shop', now(), %s, %s)
"""


@pytest.mark.parametrize(
    ("note", "amount_usd", "broken"),
    [("{2} :x% ab", 1, True), (":yes", 1, True), ("", 7, True), ("{2} :x% a", 1, False), ("yes", 1, False)],
)
def test_signs_in_a_condition_mean_themselves(
    note: str, amount_usd: int, broken: bool, platform: Platform, tmp_path: Path
) -> None:
    from data_platform.gates.context import open_context
    from data_platform.gates.evaluate import Evaluator

    contract = contract_of(tmp_path / "contracts", TRICKY)
    with transaction() as connection:
        execute(connection, create_table(contract))
        execute(connection, INSERT, (note, amount_usd))
    evaluator = Evaluator(open_context())
    try:
        relation = Relation("orders", "select * from raw.orders")
        evaluation = evaluator.evaluate(Subject(relation, tuple(suite(contract)), rows=1))
    finally:
        evaluator.close()
    assert [rule.rule_id for rule in evaluation.failed] == ["web_orders_have_no_note"] * broken
    assert len(evaluation.rules) == len(suite(contract))
