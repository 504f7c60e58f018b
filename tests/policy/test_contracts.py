"""What is compiled from contracts is up to date, and what contracts may say is explained."""

import re
from pathlib import Path
from typing import get_args

import pytest
import yaml
from pydantic import BaseModel

from data_platform.contracts.compile.files import compile_all, find_drift
from data_platform.contracts.lint import lint
from data_platform.contracts.load import get_contracts, load_contract
from data_platform.contracts.model import LOGICAL_OF_PHYSICAL
from data_platform.contracts.odcs import Document
from data_platform.settings import PROJECT_ROOT

REFERENCE = PROJECT_ROOT / "docs" / "contracts.md"


def test_generated_files_are_up_to_date() -> None:
    drift = find_drift(compile_all(get_contracts(), PROJECT_ROOT), PROJECT_ROOT)
    assert not drift, f"run `dp contracts compile`: {[str(path) for path in (*drift.outdated, *drift.stale)]}"


def test_contracts_keep_the_standard_and_our_rules() -> None:
    assert lint(PROJECT_ROOT / "contracts") == []


def keys_and_values(model: type[BaseModel]) -> set[str]:
    """What may stand in a file: keys of the model and of those in it, and the words of closed lists."""
    found: set[str] = set()
    for name, field in model.model_fields.items():
        found.add(field.alias or name)
        for inner in arguments(field.annotation):
            if isinstance(inner, str):
                found.add(inner)
            elif isinstance(inner, type) and issubclass(inner, BaseModel):
                found |= keys_and_values(inner)
    return found


def arguments(annotation: object) -> set[object]:
    """The types and literals that an annotation is made of."""
    inner = get_args(annotation)
    return {annotation} if not inner else {part for each in inner for part in arguments(each)}


def test_the_reference_names_all_that_a_contract_may_say() -> None:
    found = keys_and_values(Document) | set(LOGICAL_OF_PHYSICAL) - {"numeric"}
    assert {"dataGranularityDescription", "nullValues", "duplicateValues", "age_band", "mustBeBetween"} <= found
    prose = re.sub(r"```.*?```", "", REFERENCE.read_text("utf-8"), flags=re.DOTALL)
    quoted = set(re.findall(r"`([^`]+)`", prose))
    words = {word for text in quoted for word in re.findall(r"[\w.]+", text)} | quoted
    assert sorted(found - words) == []


def test_the_reference_s_example_is_a_contract(tmp_path: Path) -> None:
    example = re.search(r"```yaml\n(.*?)```", REFERENCE.read_text("utf-8"), re.DOTALL)
    assert example
    file = tmp_path / "contracts" / "sources" / "shop" / "purchases.odcs.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(example[1], encoding="utf-8")
    assert load_contract(file, tmp_path / "contracts").dataset == "purchases"
    assert lint(tmp_path / "contracts") == []


def test_no_two_dbt_tests_have_one_name() -> None:
    names: list[str] = []
    for path, text in compile_all(get_contracts(), PROJECT_ROOT).items():
        if path.suffix == ".yml":
            names += re.findall(
                r"^ +name: (\w+__\w+)$", yaml.safe_dump(data_tests_of(yaml.safe_load(text))), re.MULTILINE
            )
    assert len(names) > 50
    assert sorted(names) == sorted(set(names))


def data_tests_of(node: object) -> list[object]:
    """All data_tests anywhere in a property file."""
    if isinstance(node, list):
        return [test for item in node for test in data_tests_of(item)]
    if isinstance(node, dict):
        inner = [test for key, value in node.items() if key != "data_tests" for test in data_tests_of(value)]
        return [*node.get("data_tests", []), *inner]
    return []


@pytest.mark.parametrize("stale", [True, False])
def test_drift_is_seen(stale: bool, tmp_path: Path) -> None:
    files = compile_all(get_contracts(), tmp_path)
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert not find_drift(files, tmp_path)
    if stale:
        left = tmp_path / "dbt_project" / "models" / "generated" / "gone.yml"
        left.write_text(next(text for path, text in files.items() if path.suffix == ".yml"), encoding="utf-8")
        assert find_drift(files, tmp_path).stale == (left,)
    else:
        page = tmp_path / "docs" / "catalog.md"
        page.write_text(page.read_text("utf-8") + "by hand\n", encoding="utf-8")
        assert find_drift(files, tmp_path).outdated == (page,)
