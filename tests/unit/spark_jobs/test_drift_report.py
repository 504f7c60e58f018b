"""What a reading tells, and keeps, of columns that the contract does not name."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from data_platform.contracts.model import Contract
from data_platform.drift import MOST_NAMES, DriftedColumn
from data_platform.ledger import Delivery
from spark_jobs.accounts import Account
from spark_jobs.ingest import _drift_in_words, drifted_columns
from tests.unit.contracts.examples import VISITS, changed, contract_of

DELIVERY = Delivery(5, "visits", "landing/web/visits/a.jsonl", "", 0, None, datetime(1998, 1, 6, tzinfo=UTC))
PERSONAL = """\
        classification: personal
        customProperties:
          - {property: privacy, value: {keep: support of customers}}
"""


def account(**unknown: DriftedColumn) -> Account:
    return Account(DELIVERY, records=9, unknown=unknown, missing=("url",))


def personal(tmp_path: Path) -> Contract:
    holder = "          - {property: holds, value: unknown_fields}\n"
    return contract_of(tmp_path, changed(VISITS, f"        customProperties:\n{holder}", PERSONAL + holder))


def test_new_and_missing_columns_are_told_and_kept(tmp_path: Path) -> None:
    seen = {"a": DriftedColumn(2, "numeric(3,0)"), "b.c": DriftedColumn(5), "Ann @ home": DriftedColumn(1, "text")}
    found = account(**seen)
    contract = contract_of(tmp_path, VISITS)
    assert _drift_in_words(contract, [found, found]) == [
        "3 unknown fields: b.c (empty, 10 rows), a (bigint, 4 rows), (not shown) (text, 2 rows)",
        "missing: url (2 files)",
    ]
    assert drifted_columns(found, contract) == [
        ("b.c", DriftedColumn(5)), ("a", DriftedColumn(2, "numeric(3,0)")), ("url", DriftedColumn(9, None, "missing"))
    ]  # fmt: skip


def test_beside_personal_data_new_names_are_neither_told_nor_kept(tmp_path: Path) -> None:
    found = account(Ann=DriftedColumn(2, "text"))
    contract = personal(tmp_path)
    assert _drift_in_words(contract, [found]) == ["1 unknown field", "missing: url (1 file)"]
    assert drifted_columns(found, contract) == [("url", DriftedColumn(9, None, "missing"))]


def test_of_very_many_names_the_most_frequent_are_kept(tmp_path: Path) -> None:
    found = account(**{f"k{n}": DriftedColumn(n, "text") for n in range(2 * MOST_NAMES)})
    kept = [name for name, _ in drifted_columns(found, contract_of(tmp_path, VISITS))]
    assert (len(kept), kept[0]) == (MOST_NAMES + 1, f"k{2 * MOST_NAMES - 1}")
