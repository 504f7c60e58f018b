"""`dp contracts`: what it prints, and how it ends."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from data_platform.cli.contracts import register
from data_platform.contracts.lint import lint
from tests.conftest import forget_settings
from tests.unit.contracts.examples import FEATURES, ORDERS, PATHS, changed, write_contract


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of two contracts, to which this process's settings point."""
    for text in (ORDERS, FEATURES):
        write_contract(tmp_path / "contracts", text)
    monkeypatch.setenv("PROJECT_ROOT", str(tmp_path))
    monkeypatch.setenv("DP_ENV_FILE", str(tmp_path / "no.env"))
    forget_settings()
    return tmp_path


def dp(*arguments: str) -> Result:
    forget_settings()
    app = typer.Typer()
    register(app)
    result = CliRunner().invoke(app, ["contracts", *arguments])
    forget_settings()
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_lint_is_content_with_good_contracts(project: Path) -> None:
    result = dp("lint")
    assert result.exit_code == 0
    assert "2 contracts, no problem" in result.output
    assert json.loads(dp("lint", "--json").output) == []


def test_lint_names_every_problem_of_every_file(project: Path) -> None:
    write_contract(project / "contracts", changed(ORDERS, "status: active", "status: maybe"))
    write_contract(
        project / "contracts", changed(FEATURES, "domain: shop", "domain: shop\ncolour: red"), PATHS["ftr_buyer"]
    )
    result = dp("lint", "--json")
    assert result.exit_code == 1
    problems = json.loads(result.output)
    assert any(line.startswith("contracts/features/ftr_buyer.odcs.yaml:8:1: unknown key 'colour'") for line in problems)
    assert any(line.startswith("contracts/sources/shop/orders.odcs.yaml:6:1: status: ") for line in problems)
    assert any("(Open Data Contract Standard)" in line and "colour" in line for line in problems)
    assert dp("lint").output.count("\n") >= len(problems)


def test_lint_holds_contracts_to_the_standard_too(tmp_path: Path) -> None:
    # We do without the format of a local server; the standard asks for it.
    write_contract(tmp_path / "contracts", changed(ORDERS, "    format: csv\n", ""))
    (problem,) = lint(tmp_path / "contracts")
    assert "'format' is a required property (Open Data Contract Standard)" in problem


def test_lint_sees_two_datasets_of_one_name(tmp_path: Path) -> None:
    write_contract(tmp_path / "contracts", ORDERS)
    write_contract(tmp_path / "contracts", ORDERS, "sources/archive/orders.odcs.yaml")
    (problem,) = lint(tmp_path / "contracts")
    assert "already described by" in problem


def test_compile_writes_once_and_check_tells_drift(project: Path) -> None:
    assert dp("compile", "--check").exit_code == 1
    assert not (project / "docs").exists()
    written = json.loads(dp("compile", "--json").output)
    assert {row["state"] for row in written} == {"written"}
    assert "all up to date" in dp("compile").output
    assert dp("compile", "--check").exit_code == 0
    (project / "docs" / "catalog.md").write_text("by hand", encoding="utf-8")
    result = dp("compile", "--check", "--json")
    assert result.exit_code == 1
    assert json.loads(result.output) == [{"file": "docs/catalog.md", "state": "outdated"}]
    assert "docs/catalog.md" in dp("compile", "--check").output


def test_diff_against_a_folder_ends_by_what_breaks(project: Path, tmp_path: Path) -> None:
    old = tmp_path / "old" / "contracts"
    for text in (changed(ORDERS, "numeric(8,2)", "numeric(9,2)"), FEATURES):
        write_contract(old, text)
    result = dp("diff", "--against", str(old), "--json")
    assert result.exit_code == 1
    (change,) = json.loads(result.output)
    assert (change["kind"], change["breaking"], change["where"]) == ("type narrowed", True, "orders.amount_usd")
    assert dp("diff", "ftr_buyer", "--against", str(old)).exit_code == 0
    assert "orders.amount_usd" in dp("diff", "orders", "--against", str(old)).output


def test_diff_against_a_file_is_about_its_dataset(project: Path, tmp_path: Path) -> None:
    old = write_contract(tmp_path / "old", changed(ORDERS, "version: 1.0.0", "version: 0.9.0"))
    changes = json.loads(dp("diff", "--against", str(old), "--json").output)
    assert [(change["where"], change["kind"]) for change in changes] == [("orders", "version changed")]


@pytest.mark.parametrize("path", ["nowhere", "orders.odcs.yaml"])
def test_diff_against_what_is_no_contract_says_what_to_name(path: str, project: Path, tmp_path: Path) -> None:
    (tmp_path / "orders.odcs.yaml").write_text(ORDERS, encoding="utf-8")
    result = dp("diff", "--against", str(tmp_path / path))
    assert result.exit_code == 2
    assert "sources/, marts/ or features/" in result.output


def test_diff_of_an_unknown_dataset_is_a_mistake_of_the_user(project: Path) -> None:
    result = dp("diff", "order", "--against", str(project / "contracts"))
    assert result.exit_code == 2
    assert "there are: ftr_buyer, orders" in result.output


def test_diff_without_a_warehouse_says_how_to_get_one(project: Path) -> None:
    result = dp("diff")
    assert result.exit_code == 2
    assert "WAREHOUSE_URL" in result.output
