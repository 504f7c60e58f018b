"""Which change of a contract breaks, and which does not."""

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from data_platform.contracts.diff import Change, diff, diff_all
from data_platform.contracts.model import Contract
from data_platform.contracts.types import is_widening
from tests.unit.contracts.examples import FEATURES, ORDERS, changed, contract_of
from tests.unit.contracts.strategies import contracts, physical_types

NOTE = """\
      - name: note
        logicalType: string
        physicalType: text
        description: What the clerk wrote.
        logicalTypeOptions: {maxLength: 10}
"""
MEMO = NOTE.replace("note", "memo").replace("wrote", "added")
# kind, whether it breaks, what is replaced, by what
CHANGES = [
    ("column removed", True, NOTE, ""),
    ("column renamed", True, "name: note", "name: remark"),
    ("column renamed", True, NOTE, NOTE.replace("name: note", "name: remark").replace("What the clerk", "Who")),
    ("type narrowed", True, "numeric(8,2)", "numeric(7,2)"),
    ("type narrowed", True, "numeric(8,2)", "numeric(8,3)"),
    ("type widened", False, "numeric(8,2)", "numeric(9,2)"),
    ("newly required", True, "name: note\n", "name: note\n        required: true\n"),
    ("no longer required", False, "required: true\n        description: How it came.", "description: How it came."),
    ("key changed", True, "        primaryKey: true\n", ""),
    ("grain changed", True, "one row an order", "one row an order line"),
    ("privacy changed", True, "value: drop", "value: hash"),
    ("privacy changed", True, "{keep: fairness tests}", "{keep: marketing}"),
    ("privacy changed", True, "value: hash", "value: tokenise"),
    ("subject changed", False, "value: 2h}", "value: 2h}\n  - {property: subject, value: order_no}"),
    ("column added", False, NOTE, NOTE + MEMO),
    ("column added", True, NOTE, NOTE + MEMO.replace("name: memo", "name: memo\n        required: true")),
    ("rule added", False, "{maxLength: 10}", "{maxLength: 10, pattern: '^a'}"),
    ("rule changed", False, "{maxLength: 10}", "{maxLength: 11}"),
    ("rule changed", False, "40\n            severity: warning", "40\n            severity: error"),
    ("rule removed", False, "        logicalTypeOptions: {maxLength: 10}\n", ""),
    ("description changed", False, "What the clerk wrote", "What the clerk typed"),
    ("delivered name changed", False, "physicalName: number", "physicalName: order"),
    ("text changed", False, "purpose: What was ordered.", "purpose: All that was ordered."),
    ("version changed", False, "version: 1.0.0", "version: 1.0.1"),
    ("arrival delay changed", False, "value: 2h", "value: 3h"),
    ("format changed", False, "format: csv", "format: json"),
    ("location changed", False, "shop/orders/*.csv", "shop/orders/*.txt"),
    ("freshness changed", False, "property: freshness, value: 2", "property: freshness, value: 3"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "breaking", "old", "new"), CHANGES, ids=[f"{c[0]} {n}" for n, c in enumerate(CHANGES)]
)
def test_a_change_is_named_and_weighed(kind: str, breaking: bool, old: str, new: str, tmp_path: Path) -> None:
    before, after = contract_of(tmp_path / "old"), contract_of(tmp_path / "new", changed(ORDERS, old, new))
    changes = diff(before, after)
    assert (kind, breaking) in {(change.kind, change.breaking) for change in changes}
    assert any(change.breaking for change in changes) == breaking
    assert all(change.where.startswith("orders") and change.message for change in changes)


def test_a_rename_is_one_change_not_two(tmp_path: Path) -> None:
    after = contract_of(tmp_path / "new", changed(ORDERS, "name: note", "name: remark"))
    kinds = [change.kind for change in diff(contract_of(tmp_path / "old"), after)]
    assert "column removed" not in kinds
    assert "column added" not in kinds


def test_kind_and_unit_of_a_model_break(tmp_path: Path) -> None:
    text = changed(FEATURES, "value: keyed", "value: interval")
    text = changed(text, "  - {property: unitKey, value: buyer_id}\n", "")
    changes = diff(contract_of(tmp_path / "old", FEATURES), contract_of(tmp_path / "new", text))
    assert {change.kind for change in changes if change.breaking} == {"kind changed", "unit key changed"}


@settings(max_examples=40)
@given(contracts())
def test_equal_contracts_do_not_differ(contract: Contract) -> None:
    assert diff(contract, contract.model_copy(deep=True)) == []


@settings(max_examples=30)
@given(contracts(), contracts())
def test_contracts_that_differ_are_told_apart(one: Contract, other: Contract) -> None:
    assert bool(diff(one, other)) == (one != other)


def test_datasets_come_and_go(tmp_path: Path) -> None:
    orders, features = contract_of(tmp_path, ORDERS), contract_of(tmp_path, FEATURES)
    changes = diff_all({"orders": orders}, {"ftr_buyer": features})
    assert changes == [
        Change("dataset added", False, "ftr_buyer", "features.ftr_buyer is new"),
        Change("dataset removed", True, "orders", "no contract describes 'orders' any more"),
    ]
    assert diff_all({"orders": orders}, {"orders": orders}) == []


@given(physical_types, physical_types, physical_types)
def test_widening_is_an_order(one: str, two: str, three: str) -> None:
    assert is_widening(one, one)
    if is_widening(one, two) and is_widening(two, three):
        assert is_widening(one, three)
    if is_widening(one, two) and is_widening(two, one):
        assert one == two


@given(st.integers(1, 38), st.integers(0, 38), st.integers(1, 38), st.integers(0, 38))
def test_a_wider_numeric_holds_the_largest_and_the_finest_value(p: int, s: int, q: int, t: int) -> None:
    assume(s <= p and t <= q)
    holds_largest = Fraction(10**p - 1, 10**s) <= Fraction(10**q - 1, 10**t)
    holds_finest = s <= t
    assert is_widening(f"numeric({p},{s})", f"numeric({q},{t})") == (holds_largest and holds_finest)


@pytest.mark.parametrize(
    ("old", "new", "wider"),
    [
        ("smallint", "bigint", True),
        ("bigint", "integer", False),
        ("integer", "double precision", True),
        ("bigint", "double precision", False),
        ("integer", "numeric(10,0)", True),
        ("integer", "numeric(10,1)", False),
        ("numeric(8,2)", "double precision", False),
        ("date", "timestamptz", False),
        ("integer", "text", False),
    ],
)
def test_types_of_different_families(old: str, new: str, wider: bool) -> None:
    assert is_widening(old, new) == wider
