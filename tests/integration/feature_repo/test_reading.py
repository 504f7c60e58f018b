"""Reading: as of any time offline, the newest online, and both alike."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pandas as pd
import psycopg
import pytest
import typer
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st
from typer.testing import CliRunner

from data_platform.contracts.load import get_contracts
from data_platform.failures import InputError, PermanentFailure
from data_platform.local.postgres import EmbeddedPostgres
from data_platform.warehouse.connection import query, transaction
from data_platform.warehouse.tables import ensure_tables
from feature_repo import cli
from feature_repo.read import read_online
from feature_repo.store import open_store
from tests.conftest import Platform, make_platform
from tests.integration.feature_repo.published import (
    PROFILE,
    PURCHASES,
    profile_row,
    publish_rows,
    purchases_row,
    run_export,
    start_of,
)

pytestmark = pytest.mark.integration
DAY = date(1998, 1, 5)


@pytest.fixture(scope="module")
def shared(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform with exported rows of two customers, for tests that only read."""
    with pytest.MonkeyPatch.context() as patch:
        for platform in make_platform(postgres, tmp_path_factory.mktemp("shared"), patch, today=date(1998, 2, 1)):
            with transaction() as connection:
                ensure_tables(connection, get_contracts().of_layer("features"))
            earlier = purchases_row("00001", DAY - timedelta(days=30))
            rows = [earlier, purchases_row("00001", DAY, orders=4), purchases_row("00002", DAY)]
            publish_rows(PURCHASES, ["00001", "00002"], rows)
            publish_rows(PROFILE, [DAY], [profile_row("00001", DAY), profile_row("00002", DAY, country=None)])
            run_export()
            yield platform


def read_history(spine: pd.DataFrame | str, role: str = "training") -> pd.DataFrame:
    store = open_store(role)
    return store.get_historical_features(spine, features=store.get_feature_service("churn_v1")).to_df()


def spine_of(*points: tuple[str, datetime]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "customer_id": [customer for customer, _ in points],
            "event_timestamp": [moment for _, moment in points],
            "as_of": [moment for _, moment in points],
        }
    )


CUSTOMERS = ("10001", "10002", "10003")
HISTORIES = st.fixed_dictionaries(
    {c: st.dictionaries(st.integers(0, 9), st.integers(1, 99), max_size=5) for c in CUSTOMERS}
)
# Hours from DAY: rows speak from midnights on, so midnights and their neighbours matter most.
POINTS = st.lists(
    st.tuples(st.sampled_from((*CUSTOMERS, "10009")), st.integers(0, 10).map(lambda d: 24 * d) | st.integers(-5, 260)),
    min_size=1,
    max_size=12,
)


def known_then(history: dict[int, int], moment: datetime) -> int | None:
    """The oracle: orders of the last day whose end is not after ``moment``."""
    days = [day for day in history if start_of(DAY + timedelta(days=day + 1)) <= moment]
    return history[max(days)] if days else None


@limits(max_examples=8)
@given(histories=HISTORIES, points=POINTS)
def test_history_is_as_of_each_point(
    shared: Platform, histories: dict[str, dict[int, int]], points: list[tuple[str, int]]
) -> None:
    rows = [
        purchases_row(customer, DAY + timedelta(days=day), orders=orders)
        for customer, history in histories.items()
        for day, orders in history.items()
    ]
    publish_rows(PURCHASES, CUSTOMERS, rows)
    asked = [(customer, start_of(DAY) + timedelta(hours=hours)) for customer, hours in points]
    found = read_history(spine_of(*asked))
    told = {
        (row.customer_id, row.event_timestamp.tz_localize(UTC)): row.order_count_lifetime for row in found.itertuples()
    }
    told = {point: None if pd.isna(orders) else int(orders) for point, orders in told.items()}
    assert told == {(c, moment): known_then(histories.get(c, {}), moment) for c, moment in asked}


def test_a_spine_may_be_sql_and_leaves_nothing_behind(shared: Platform) -> None:
    found = read_history(
        """select '00001' as customer_id, moment as event_timestamp, moment as as_of
           from (values (timestamptz '1998-01-07')) as spine (moment)"""
    )
    assert found["order_count_lifetime"].tolist() == [4]
    with transaction() as connection:
        left = query(connection, "select relname from pg_class where relname like 'feast_entity_df%'")
    assert left == []


def test_recency_is_the_same_online_and_offline(shared: Platform) -> None:
    moments = [datetime(1998, 1, 6, tzinfo=UTC), datetime(1998, 1, 20, 23, 59, 59, tzinfo=UTC)]
    for moment in moments:
        entities = [{"customer_id": c} for c in ("00001", "00002", "99999")]
        online = {r.entity["customer_id"]: r.features for r in read_online(entities, "churn_v1", moment)}
        offline = read_history(spine_of(*((c, moment) for c in online))).set_index("customer_id")
        for customer, features in online.items():
            for name in ("recency_days", "tenure_days"):
                value = offline.loc[customer, name]
                assert features[name] == (None if pd.isna(value) else value), (customer, name)
    assert online["00001"]["recency_days"] == 15
    assert online["00001"]["tenure_days"] == 384
    assert online["99999"]["recency_days"] is None


def test_every_feature_is_the_same_online_and_offline(shared: Platform) -> None:
    moment = datetime(1998, 1, 31, tzinfo=UTC)
    (online,) = read_online([{"customer_id": "00001"}], "churn_v1", moment)
    offline = read_history(spine_of(("00001", moment))).iloc[0]
    assert online.features
    for name, value in online.features.items():
        stored = offline[name]
        assert (stored.tz_localize(UTC) if isinstance(stored, pd.Timestamp) else stored) == value, name


def test_each_role_reads_what_is_for_it(shared: Platform) -> None:
    now = datetime.now(UTC)
    with pytest.raises(PermanentFailure, match="not ready"):
        read_online([{"customer_id": "00001"}], "churn_v1", now, role="training")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        read_history(spine_of(("00001", now)), role="serving")


def test_reading_before_anything_is_registered_says_what_to_do(features: Platform) -> None:
    with pytest.raises(PermanentFailure, match="not ready") as failure:
        read_online([{"customer_id": "00001"}], "churn_v1", datetime.now(UTC))
    assert "dp features apply" in failure.value.hint


def test_unknown_services_and_keys_are_refused(shared: Platform) -> None:
    with pytest.raises(InputError, match="no feature service 'churn_v0'") as failure:
        read_online([{"customer_id": "00001"}], "churn_v0", datetime.now(UTC))
    assert "churn_v1" in failure.value.hint
    with pytest.raises(InputError, match="named by customer_id"):
        read_online([{"client": "00001"}], "churn_v1", datetime.now(UTC))


@pytest.fixture
def dp() -> Any:
    app = typer.Typer(pretty_exceptions_enable=False)
    cli.register(app)
    return lambda *arguments: CliRunner().invoke(app, ["features", *arguments])


def test_get_prints_a_column_an_entity_and_names_who_is_unknown(shared: Platform, dp: Any) -> None:
    result = dp("get", "customer_id=00001", "customer_id=99999", "--as-of", "1998-01-20")
    assert result.exit_code == 0
    line = next(line for line in result.output.splitlines() if "recency_days" in line)
    assert "15" in line
    assert "customer_id=99999: unknown" in result.output


def test_get_gives_json(shared: Platform, dp: Any) -> None:
    result = dp("get", "customer_id=00001", "customer_id=99999", "--as-of", "1998-01-20T12:00:00", "--json")
    known, unknown = json.loads(result.stdout)
    assert known["customer_id"] == "00001"
    assert known["found"]
    assert known["features"]["order_count_lifetime"] == 4
    assert known["event_at"][PURCHASES] == "1998-01-06T00:00:00+00:00"
    assert not unknown["found"]
    assert set(unknown["features"].values()) == {None}


def test_apply_twice_tells_the_same(shared: Platform, dp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feature_repo.store.RENDERED", shared.home / "feature_store.yaml")
    first, second = dp("apply"), dp("apply")
    assert first.output == second.output == "registered 3 views and 1 services in project data_platform\n"
    assert (shared.home / "feature_store.yaml").stat().st_mode & 0o777 == 0o600
