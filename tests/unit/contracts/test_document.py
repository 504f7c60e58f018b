"""A contract survives JSON, and its hashes move exactly when what they stand for does."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from data_platform.contracts.document import contract_document, contract_hash, ingest_hash
from data_platform.contracts.load import get_contracts
from data_platform.contracts.model import Contract
from tests.unit.contracts.examples import CALLS, CURRENCIES, FEATURES, ORDERS, VISITS, changed, contract_of
from tests.unit.contracts.strategies import contracts


def through_json(contract: Contract) -> Any:
    return json.loads(json.dumps(contract_document(contract)))


@settings(max_examples=50)
@given(contracts())
def test_json_keeps_the_whole_contract(contract: Contract) -> None:
    again = Contract.model_validate(through_json(contract))
    assert again == contract
    assert contract_hash(again) == contract_hash(contract)
    assert ingest_hash(again) == ingest_hash(contract)


@pytest.mark.parametrize("text", [ORDERS, FEATURES, VISITS, CALLS, CURRENCIES])
def test_json_keeps_every_kind_of_contract(text: str, tmp_path: Path) -> None:
    contract = contract_of(tmp_path, text)
    assert Contract.model_validate(through_json(contract)) == contract


def test_json_keeps_every_contract_of_the_project() -> None:
    for contract in get_contracts():
        assert Contract.model_validate(through_json(contract)) == contract


@pytest.mark.parametrize(
    ("old", "new", "parses_anew"),
    [
        ("name: Orders", "name: All orders", False),
        ("description: What the clerk wrote.", "description: What the clerk typed.", False),
        ("mustBeLessOrEqualTo: 40", "mustBeLessOrEqualTo: 41", False),
        ("value: 2h", "value: 3h", False),
        ("{keep: fairness tests}", "{keep: fairness tests only}", False),
        ("name: note\n", "name: note\n        required: true\n", True),
        ("{maxLength: 10}", "{maxLength: 11}", True),
        ("numeric(8,2)", "numeric(9,2)", True),
        ("physicalName: number", "physicalName: order", True),
        ("[shop, web]", "[shop, web, app]", True),
        ("value: drop", "value: hash", True),
        ("format: csv", "format: json", True),
        ("value: 2h}", "value: 2h}\n  - {property: schemaDrift, value: quarantine}", True),
        ("value: 2h}", "value: 2h}\n  - {property: schemaDrift, value: freeze}", False),
        ("value: 2h}", "value: 2h}\n  - {property: dialect, value: {separator: ;}}", True),
        ("value: 2h}", "value: 2h}\n  - {property: dialect, value: {skipLines: 1}}", True),
    ],
)
def test_files_are_read_again_only_for_what_the_parser_sees(
    old: str, new: str, parses_anew: bool, tmp_path: Path
) -> None:
    before, after = contract_of(tmp_path / "a"), contract_of(tmp_path / "b", changed(ORDERS, old, new))
    assert contract_hash(before) != contract_hash(after)
    assert (ingest_hash(before) != ingest_hash(after)) == parses_anew


def test_hashes_do_not_depend_on_the_order_of_keys(tmp_path: Path) -> None:
    text = changed(ORDERS, "id: orders\nname: Orders\n", "name: Orders\nid: orders\n")
    assert contract_hash(contract_of(tmp_path, text)) == contract_hash(contract_of(tmp_path, ORDERS))


def test_contracts_differ_in_their_hashes(tmp_path: Path) -> None:
    assert contract_hash(contract_of(tmp_path, ORDERS)) != contract_hash(contract_of(tmp_path, FEATURES))


@pytest.mark.parametrize("text", [ORDERS, VISITS, CALLS])
def test_what_the_platform_learns_about_drift_reads_no_file_again(text: str, tmp_path: Path) -> None:
    contract = contract_of(tmp_path, text)
    said = contract.model_copy(update={"schema_drift": contract.drift})
    assert ingest_hash(said) == ingest_hash(contract)
    other = "quarantine" if contract.drift == "freeze" else "freeze"
    assert ingest_hash(contract.model_copy(update={"schema_drift": other})) != ingest_hash(contract)
