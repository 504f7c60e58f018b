"""What models read, and when their code's version moves, on a small project of files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from data_platform import models
from data_platform.contracts.load import get_contracts
from data_platform.failures import InputError
from data_platform.models import Reach, code_hash, reads, upstream_tables
from data_platform.settings import PROJECT_ROOT, get_settings
from tests.contracts import change_contract

FILES = {
    "models/staging/stg_shop__purchases.sql": "{{ stage_from_contract() }}",
    "models/marts/fct_purchases.sql": "select * from {{ ref('int_purchases__cleaned') }}",
    "models/intermediate/int_purchases__cleaned.sql": "select * from {{ ref('stg_shop__purchases') }}",
    "models/marts/fct_customer_days.sql": (
        "{{ config(meta={'reads': {'fct_purchases': {'look_back_days': 6}}}) }}"
        " select * from {{ ref('fct_purchases') }} join {{ source('shop', 'customers') }} using (customer_id)"
    ),
    "macros/scope.sql": "{% macro in_scope(column) %}true{% endmacro %}",
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project root with the real contracts and these few models."""
    (tmp_path / "contracts").symlink_to(PROJECT_ROOT / "contracts")
    for name, text in FILES.items():
        file = tmp_path / "dbt_project" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    monkeypatch.setenv("PROJECT_ROOT", str(tmp_path))
    get_settings.cache_clear()
    get_contracts.cache_clear()
    yield tmp_path / "dbt_project"
    monkeypatch.undo()
    get_settings.cache_clear()
    get_contracts.cache_clear()


def hashes() -> dict[str, str]:
    return {name: code_hash(get_contracts()[name]) for name in ("fct_purchases", "fct_customer_days")}


def moved(before: dict[str, str]) -> set[str]:
    after = hashes()
    return {name for name in before if before[name] != after[name]}


def edit(file: Path) -> None:
    file.write_text(file.read_text() + "\n-- a word more\n")


def test_reads_reach_through_unpublished_models_to_what_is_published(project: Path) -> None:
    assert upstream_tables("marts.fct_purchases") == {"raw.purchases"}
    assert upstream_tables("marts.fct_customer_days") == {"marts.fct_purchases", "raw.customers"}


def test_reach_is_what_the_model_says_beside_its_sql(project: Path) -> None:
    assert reads("marts.fct_customer_days") == {
        "marts.fct_purchases": Reach(look_back_days=6),
        "raw.customers": Reach(),
    }


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("'fct_purchases': {", "'fct_purchase': {", "fct_purchase', which the model does not read"),
        ("'look_back_days': 6", "'look_back': 6", "Extra inputs are not permitted"),
        ("'look_back_days': 6", "'look_back_days': 'six'", "valid integer"),
    ],
)
def test_a_wrong_reach_is_one_message_that_names_the_file(project: Path, before: str, after: str, message: str) -> None:
    file = project / "models/marts/fct_customer_days.sql"
    file.write_text(file.read_text().replace(before, after))
    with pytest.raises(InputError, match=message) as caught:
        reads("marts.fct_customer_days")
    assert "fct_customer_days.sql" in str(caught.value)


def test_a_reference_table_has_no_reach(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change_contract(monkeypatch, "customers", kind="reference")
    assert reads("marts.fct_customer_days")["raw.customers"] == Reach()
    file = project / "models/marts/fct_customer_days.sql"
    file.write_text(file.read_text().replace("'fct_purchases': {", "'customers': {"))
    with pytest.raises(InputError, match=r"fct_customer_days\.sql: meta\.reads names 'customers', a reference table"):
        reads("marts.fct_customer_days")


def test_code_of_a_model_is_its_own_and_that_of_the_unpublished_models_it_reads(project: Path) -> None:
    before = hashes()
    assert moved(before) == set()
    edit(project / "models/intermediate/int_purchases__cleaned.sql")
    assert moved(before) == {"fct_purchases"}
    edit(project / "models/marts/fct_customer_days.sql")
    assert moved(before) == {"fct_purchases", "fct_customer_days"}


def test_a_macro_is_code_of_every_model(project: Path) -> None:
    before = hashes()
    edit(project / "macros/scope.sql")
    assert moved(before) == set(before)


def test_versions_of_the_engine_are_part_of_the_code(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = hashes()
    monkeypatch.setattr(models, "version", lambda name: f"{name} of tomorrow")
    assert moved(before) == set(before)


def test_a_contract_is_code_of_its_own_model(project: Path) -> None:
    before = hashes()
    link = project.parent / "contracts"
    link.unlink()
    for source in (PROJECT_ROOT / "contracts").rglob("*.odcs.yaml"):
        copy = link / source.relative_to(PROJECT_ROOT / "contracts")
        copy.parent.mkdir(parents=True, exist_ok=True)
        text = source.read_text()
        copy.write_text(text.replace("version: 1.", "version: 2.") if source.stem.startswith("fct_purchases") else text)
    get_contracts.cache_clear()
    assert moved(before) == {"fct_purchases"}


def test_a_contract_without_a_model_says_what_is_missing(project: Path) -> None:
    with pytest.raises(InputError, match=r"there is no dim_customers\.sql"):
        code_hash(get_contracts()["dim_customers"])


def test_the_projects_own_models_all_tell_what_they_read() -> None:
    for contract in [c for c in get_contracts() if c.layer != "sources"]:
        assert reads(contract.table).keys() == upstream_tables(contract.table) != set()
