"""What is told to Feast: everything of the contracts, nothing of it twice, no input that no model may have."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from feast import FeatureService

from data_platform.contracts.load import get_contracts
from data_platform.failures import InputError
from feature_repo import on_demand, services, store
from feature_repo.definitions import ENTITIES, VIEWS
from feature_repo.registry import repo_contents

DEFINING = {"definitions.py", "on_demand.py", "services.py"}


def test_each_contract_is_a_view_with_all_its_columns() -> None:
    contracts = {c.dataset: c for c in get_contracts().of_layer("features")}
    assert set(VIEWS) == set(contracts)
    for name, contract in contracts.items():
        view = VIEWS[name]
        columns = {c.name for c in contract.published_columns} - {contract.event_timestamp, contract.day_column}
        assert {field.name for field in view.schema} == columns
        assert view.entities == [ENTITIES[str(contract.entity)].name]
        assert view.source.timestamp_field == contract.event_timestamp
        assert view.source.created_timestamp_column == "known_at"
        assert view.source.get_table_query_string() == contract.table
        described = {field.name: field.description for field in view.features}
        assert described == {c.name: c.description for c in contract.published_columns if c.name in described}


def test_no_service_reads_what_is_for_fairness_tests_only() -> None:
    found = [item for item in vars(services).values() if isinstance(item, FeatureService)]
    assert services.churn_v1 in found
    for service in found:
        names = {feature.name for view in service.feature_view_projections for feature in view.features}
        assert names
        assert not names & {"gender", "age_band"}, service.name


def test_a_new_service_or_view_is_registered_without_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    from feature_repo import on_demand, services  # those that are there now: other tests import them anew

    second = FeatureService(name="churn_v2", features=[on_demand.customer_recency])
    monkeypatch.setattr(services, "churn_v2", second, raising=False)
    contents = repo_contents("data_platform")
    assert {service.name for service in contents.feature_services} == {"churn_v1", "churn_v2"}
    assert [view.name for view in contents.on_demand_feature_views] == ["customer_recency"]
    assert {source.name for source in contents.data_sources} == {"moment", *(f"features.{name}" for name in VIEWS)}


def test_feast_imports_what_defines_and_nothing_else() -> None:
    ignored = {
        line for line in (store.FOLDER / ".feastignore").read_text(encoding="utf-8").split("\n") if line.endswith(".py")
    }
    modules = {file.name for file in store.FOLDER.glob("*.py")} - {"__init__.py"}
    assert modules - ignored == DEFINING


def test_a_view_whose_entity_has_two_key_columns_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        store, "feature_definitions", lambda _: [{"name": "ftr_x", "entity": "customer", "join_keys": ["a", "b"]}]
    )
    with pytest.raises(InputError, match=r"ftr_x\.odcs\.yaml"):
        store.view_definitions()


@pytest.mark.parametrize("module", ["cli", "export", "online", "read", "registry", "store"])
def test_feast_is_loaded_only_when_used(module: str) -> None:
    code = f"import sys, feature_repo.{module}; sys.exit('feast' in sys.modules or 'pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(store.FOLDER).parent, check=False).returncode == 0


def recency(as_of: datetime | None, first: datetime | None, last: datetime | None) -> list[object]:
    inputs = pd.DataFrame({"as_of": [as_of], "first_purchased_at": [first], "last_purchased_at": [last]})
    row = on_demand.customer_recency.feature_transformation.udf(inputs).iloc[0]
    return [None if pd.isna(row[name]) else row[name] for name in ("recency_days", "tenure_days")]


def test_recency_and_tenure_are_whole_days_and_null_where_a_time_is_missing() -> None:
    first, last = datetime(1997, 1, 1, tzinfo=UTC), datetime(1997, 12, 31, tzinfo=UTC)
    assert recency(datetime(1998, 1, 1, tzinfo=UTC), first, last) == [1, 365]
    assert recency(datetime(1998, 1, 1, 23, 59, tzinfo=UTC), first, last) == [1, 365]
    assert recency(datetime(1997, 12, 31, tzinfo=UTC), first, last) == [0, 364]
    assert recency(datetime(1998, 1, 1, tzinfo=UTC), None, None) == [None, None]
    assert recency(datetime(1998, 1, 1, tzinfo=UTC), first, None) == [None, 365]
    assert recency(None, first, last) == [None, None]
