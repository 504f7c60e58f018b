"""Each rule of a contract, broken once: the error names the place."""

import re
from pathlib import Path

import pytest
import yaml

from data_platform.contracts.load import Contracts, get_contracts, load_contract, load_contracts
from data_platform.failures import InputError
from tests.unit.contracts.examples import (
    CALLS,
    CURRENCIES,
    FEATURES,
    ORDERS,
    PATHS,
    VISITS,
    changed,
    contract_of,
    write_contract,
)

BROKEN = {case["wrong"]: case for case in yaml.safe_load(Path(__file__).with_name("broken.yaml").read_text("utf-8"))}
EXAMPLES = {"orders": ORDERS, "ftr_buyer": FEATURES, "visits": VISITS, "calls": CALLS, "currencies": CURRENCIES}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_rule_is_named_with_its_place(name: str, tmp_path: Path) -> None:
    case = BROKEN[name]
    text = changed(EXAMPLES[case["in"]], case["replace"], case["by"])
    for old, new in case.get("and", {}).items():
        text = changed(text, old, new)
    root = tmp_path / "contracts"
    file = write_contract(root, text, PATHS[case["in"]])

    with pytest.raises(InputError) as caught:
        load_contract(file, root)

    assert case["says"] in caught.value.message
    assert caught.value.hint
    found = re.match(r"contracts/[a-z_/]+\.odcs\.yaml:(\d+):(\d+): ", caught.value.message)
    assert found, caught.value.message
    place = text.splitlines()[int(found[1]) - 1][int(found[2]) - 1 :]
    assert place.startswith(case["at"]), f"{found[0]} is {place!r}"


@pytest.mark.parametrize("text", EXAMPLES.values(), ids=EXAMPLES)
def test_what_the_broken_ones_are_made_of_is_right(text: str, tmp_path: Path) -> None:
    contract = contract_of(tmp_path / "contracts", text)
    assert contract.owner in {"till@shop.example", "owner@shop.example", "web@shop.example", "crm@shop.example"}


def test_all_problems_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    text = changed(changed(ORDERS, "status: active", "status: maybe"), "maxLength: 10", "maxLength: ten")
    with pytest.raises(InputError) as caught:
        contract_of(tmp_path, text)
    assert len(caught.value.message.splitlines()) == 2


def test_two_datasets_of_one_name_are_refused(tmp_path: Path) -> None:
    root = tmp_path / "contracts"
    write_contract(root, ORDERS)
    write_contract(root, ORDERS, "sources/archive/orders.odcs.yaml")
    with pytest.raises(
        InputError, match=r"contracts/sources/shop/orders.odcs.yaml:1:1: dataset 'orders' is already"
    ) as caught:
        load_contracts(root)
    assert "contracts/sources/archive/orders.odcs.yaml" in caught.value.message


DESK = Path(__file__).parents[2] / "integration" / "spark_jobs" / "help_desk" / "contracts" / "sources" / "desk"


@pytest.mark.parametrize(
    ("of", "replace", "by", "at", "says"),
    [
        (
            "letters",
            "logicalType: string\n        physicalType: text\n        description: The member who",
            "logicalType: integer\n        physicalType: bigint\n        description: The member who",
            "physicalType: text",
            "subject 'customer_id' is text, in letters it is bigint",
        ),
        (
            "letters",
            "property: subject, value: customer_id",
            "property: subject, value: letter_id",
            "{property: subject",
            "no dataset of this subject has a column with `vault`",
        ),
    ],
)
def test_contracts_agree_on_their_subjects(of: str, replace: str, by: str, at: str, says: str, tmp_path: Path) -> None:
    root = tmp_path / "contracts"
    texts = {name: (DESK / f"{name}.odcs.yaml").read_text("utf-8") for name in ("letters", "members")}
    for name, text in texts.items():
        write_contract(root, text, f"sources/desk/{name}.odcs.yaml")
    assert len(load_contracts(root)) == 2
    write_contract(root, changed(texts[of], replace, by), f"sources/desk/{of}.odcs.yaml")
    with pytest.raises(InputError, match=says) as caught:
        load_contracts(root)
    found = re.match(r"contracts/sources/desk/(\w+)\.odcs\.yaml:(\d+):(\d+): ", caught.value.message)
    assert found
    lines = (root / f"sources/desk/{found[1]}.odcs.yaml").read_text("utf-8").splitlines()
    assert lines[int(found[2]) - 1][int(found[3]) - 1 :].startswith(at)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("sources/shop/sales.odcs.yaml", "asks for orders.odcs.yaml"),
        ("sources/orders.odcs.yaml", "contracts stand in"),
        ("ponds/shop/orders.odcs.yaml", "contracts stand in"),
    ],
)
def test_a_contract_stands_where_its_name_says(path: str, message: str, tmp_path: Path) -> None:
    file = write_contract(tmp_path, ORDERS, path)
    with pytest.raises(InputError, match=message):
        load_contract(file, tmp_path)


def test_a_contract_that_its_name_would_hide_is_refused(tmp_path: Path) -> None:
    write_contract(tmp_path, ORDERS)
    write_contract(tmp_path, FEATURES, "features/ftr_buyer.yaml")
    with pytest.raises(InputError, match="does not end in"):
        load_contracts(tmp_path)


def test_no_contract_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no contract"):
        load_contracts(tmp_path)


def test_a_file_that_is_not_text_is_an_error(tmp_path: Path) -> None:
    file = write_contract(tmp_path, ORDERS)
    file.write_bytes(b"name: \xff\xfe")
    with pytest.raises(InputError, match="UTF-8"):
        load_contract(file, tmp_path)


def test_an_unknown_dataset_lists_the_known_ones(tmp_path: Path) -> None:
    contracts = Contracts([contract_of(tmp_path)])
    with pytest.raises(InputError) as caught:
        contracts["order"]
    assert "orders" in caught.value.hint


def test_a_policy_changes_what_is_published(tmp_path: Path) -> None:
    published = {column.name: column for column in contract_of(tmp_path).published_columns}
    assert list(published) == [
        "order_no",
        "ordered_on",
        "amount_usd",
        "note",
        "channel",
        "email_hash",
        "age_band",
        "gender",
    ]
    assert published["email_hash"].physical_type == published["age_band"].physical_type == "text"
    assert published["gender"].classification == "personal"


def test_the_project_has_contracts() -> None:
    assert {c.layer for c in get_contracts()} == {"sources", "marts", "features"}


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Orders", "lower_snake_case of at most 50"),
        ("o" * 51, "lower_snake_case of at most 50"),
        ("order_history", "ends in _history"),
    ],
)
def test_a_dataset_name_fits_what_is_made_of_it(name: str, says: str, tmp_path: Path) -> None:
    text = changed(changed(ORDERS, "- name: orders", f"- name: {name}"), "element: orders.", f"element: {name}.")
    with pytest.raises(InputError, match=rf":20:5: .*dataset name .* {says}"):
        contract_of(tmp_path, text)


def test_values_that_a_row_must_have_one_of(tmp_path: Path) -> None:
    columns = {column.name: column for column in contract_of(tmp_path).columns}
    assert columns["channel"].allowed_values == ("shop", "web")
    assert columns["note"].allowed_values is None
