"""Foreign keys between contracts: what they may point to, and in which order they lead on."""

from pathlib import Path

import pytest

from data_platform.contracts.load import load_contracts
from data_platform.contracts.relations import chain_length, reached
from data_platform.failures import InputError
from tests.unit.contracts.examples import CURRENCIES, FEATURES, ORDERS, changed, write_contract

POINTING = "{maxLength: 10}\n        relationships: [{to: TARGET}]"


def pointing(target: str) -> str:
    return changed(ORDERS, "{maxLength: 10}", POINTING.replace("TARGET", target))


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("notes.note", "no contract describes 'notes'"),
        ("currencies.name", "'name' is not a column of currencies"),
        ("currencies.rate_usd", "currencies.rate_usd is neither (a part of) the primaryKey nor unique"),
        ("orders.email", "orders.email is personal"),
        ("ftr_buyer.buyer_id", "features.ftr_buyer is built after sources are judged"),
    ],
)
def test_a_foreign_key_points_to_what_its_gate_can_ask(target: str, says: str, tmp_path: Path) -> None:
    text = pointing(target)
    for each in (text, FEATURES, CURRENCIES):
        write_contract(tmp_path, each)
    with pytest.raises(InputError) as caught:
        load_contracts(tmp_path)
    line = next(number for number, line in enumerate(text.splitlines(), 1) if target in line)
    column = text.splitlines()[line - 1].index(f"to: {target}") + 1
    file = f"{tmp_path.name}/sources/shop/orders.odcs.yaml"
    assert caught.value.message.startswith(f"{file}:{line}:{column}: {says}")


def test_both_columns_are_of_one_type(tmp_path: Path) -> None:
    write_contract(tmp_path, changed(CURRENCIES, "physicalType: text, primaryKey", "physicalType: uuid, primaryKey"))
    write_contract(tmp_path, pointing("currencies.currency_code"))
    with pytest.raises(InputError, match=r"currencies.currency_code is uuid, and 'note' is text"):
        load_contracts(tmp_path)


def test_what_is_pointed_to_has_the_shorter_chain(tmp_path: Path) -> None:
    write_contract(tmp_path, pointing("currencies.currency_code"))
    write_contract(tmp_path, CURRENCIES)
    returns = changed(pointing("orders.order_no"), "- name: orders", "- name: returns")
    write_contract(tmp_path, changed(returns, "element: orders.", "element: returns."))
    contracts = {contract.dataset: contract for contract in load_contracts(tmp_path)}
    lengths = {dataset: chain_length(contract, contracts) for dataset, contract in contracts.items()}
    assert lengths == {"currencies": 0, "orders": 1, "returns": 2}
    assert reached(contracts["returns"], contracts) == {"orders", "currencies"}


def test_a_circle_ends(tmp_path: Path) -> None:
    write_contract(tmp_path, pointing("returns.order_no"))
    returns = changed(pointing("orders.order_no"), "- name: orders", "- name: returns")
    write_contract(tmp_path, changed(returns, "element: orders.", "element: returns."))
    contracts = {contract.dataset: contract for contract in load_contracts(tmp_path)}
    assert {chain_length(contract, contracts) for contract in contracts.values()} == {1}
    assert reached(contracts["orders"], contracts) == {"orders", "returns"}


def test_a_foreign_key_may_point_to_its_own_dataset(tmp_path: Path) -> None:
    write_contract(tmp_path, pointing("orders.order_no"))
    (contract,) = load_contracts(tmp_path)
    assert contract.refers_to == {"orders"}
    assert chain_length(contract, {"orders": contract}) == 0
    assert reached(contract, {"orders": contract}) == {"orders"}


def test_a_foreign_key_that_only_warns_leads_nowhere(tmp_path: Path) -> None:
    warning = "orders.order_no, customProperties: [{property: severity, value: warning}]"
    write_contract(tmp_path, pointing(warning))
    (contract,) = load_contracts(tmp_path)
    assert any(column.relationships for column in contract.columns)
    assert reached(contract, {"orders": contract}) == frozenset()
