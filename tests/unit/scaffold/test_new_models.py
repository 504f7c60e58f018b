"""`dp new model|feature|dag`: what they write keeps the rules as it is."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from data_platform.contracts.compile.files import compile_all
from data_platform.contracts.lint import lint
from data_platform.contracts.load import load_contracts
from data_platform.settings import PROJECT_ROOT
from tests.conftest import forget_settings
from tests.unit.scaffold.conftest import Dp

SQLFLUFF = Path(sys.executable).with_name("sqlfluff")


@pytest.fixture
def copy(project: Path) -> Path:
    """A project with our contracts and runbooks."""
    shutil.copytree(PROJECT_ROOT / "contracts", project / "contracts")
    shutil.copytree(PROJECT_ROOT / "docs" / "runbooks", project / "docs" / "runbooks")
    (project / "docs" / "catalog.md").touch()
    forget_settings()
    return project


def test_models_and_features_keep_all_rules(dp: Dp, copy: Path) -> None:
    before = len(load_contracts(copy / "contracts"))
    for words in (
        ("model", "fct_refunds", "--layer", "marts", "--from", "stg_shop__purchases"),
        ("model", "fct_profiles", "--layer", "marts", "--from", "stg_shop__customers"),
        ("model", "fct_days", "--layer", "marts", "--from", "fct_customer_days"),
        ("model", "int_purchases__cleaned", "--layer", "intermediate", "--from", "stg_shop__purchases"),
        ("feature", "ftr_customer__days", "--entity", "customer", "--from", "fct_customer_days"),
    ):
        done = dp(*words)
        assert done.exit_code == 0, done.output
        assert "dp contracts compile" in done.output
    assert lint(copy / "contracts") == []
    contracts = load_contracts(copy / "contracts")
    assert len(contracts) == before + 4
    assert any(path.name == "ftr_customer__days.yml" for path in compile_all(contracts, copy))
    models = sorted((copy / "dbt_project").rglob("*.sql"))
    assert len(models) == 5
    config = ["--config", str(PROJECT_ROOT / ".sqlfluff")]
    checked = subprocess.run([SQLFLUFF, "lint", *config, *models], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
    for contract in contracts:
        if contract.dataset in {"fct_refunds", "fct_days", "ftr_customer__days"}:
            assert {c.name for c in contract.columns} == selected(copy, contract.dataset)


def selected(project: Path, model: str) -> set[str]:
    """Names of the columns that a model's last select gives, without known_at."""
    (file,) = (project / "dbt_project").rglob(f"{model}.sql")
    body = file.read_text(encoding="utf-8").rpartition("select\n")[2].partition("\nfrom")[0]
    return {line.strip().rstrip(",").split(" ")[-1] for line in body.splitlines()} - {"known_at"}


def test_a_dag_is_python_that_names_itself(dp: Dp, copy: Path) -> None:
    done = dp("dag", "replay_returns", "--runbook", "quarantine")
    assert done.exit_code == 0, done.output
    text = (copy / "dags" / "replay_returns.py").read_text(encoding="utf-8")
    assert 'dag_id="replay_returns"' in text
    assert len(str(ast.get_docstring(ast.parse(text))).split()) > 40


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("model", "refunds", "--layer", "marts", "--from", "stg_shop__purchases"), "call it fct_… or dim_…"),
        (("model", "fct_refunds", "--layer", "marts", "--from", "stg_shop__refunds"), "no contract describes a model"),
        (
            ("feature", "ftr_shop__x", "--entity", "customer", "--from", "fct_purchases"),
            "call it ftr_customer__<group>",
        ),
        (("feature", "ftr_store__x", "--entity", "store", "--from", "fct_purchases"), "has no column store_id"),
        (("dag", "Nightly"), "is not lower_snake_case"),
        (("dag", "nightly"), "a verb phrase"),
        (("dag", "replay_returns", "--runbook", "nowhere"), "there is no runbook"),
        (("model", "fct_purchases", "--layer", "marts", "--from", "stg_shop__purchases"), "is there already"),
    ],
)
def test_what_cannot_be_is_said_in_one_message(words: tuple[str, ...], says: str, dp: Dp, copy: Path) -> None:
    before = sorted(copy.rglob("*"))
    done = dp(*words)
    assert done.exit_code == 2, done.output
    assert says in " ".join(done.output.split())
    assert sorted(copy.rglob("*")) == before


def test_a_dry_run_prints_and_writes_nothing(dp: Dp, copy: Path) -> None:
    done = dp("dag", "replay_returns", "--dry-run")
    assert done.exit_code == 0
    assert "steps(discover=[])" in done.output
    assert not (copy / "dags").exists()


def test_a_program_reads_what_is_drafted_and_what_is_written(dp: Dp, copy: Path) -> None:
    drafted = json.loads(dp("dag", "replay_returns", "--dry-run", "--json").stdout)["drafted"]
    assert not (copy / "dags").exists()
    written = json.loads(dp("dag", "replay_returns", "--json").stdout)["written"]
    assert {str(copy / path): text for path, text in drafted.items()} == {
        p: Path(p).read_text("utf-8") for p in written
    }
