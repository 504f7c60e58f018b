"""Every DAG keeps every policy, and every policy catches the DAG that was written to break it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from policies import POLICIES, DagFile, load

from data_platform.settings import get_settings

DAGS = Path(__file__).parents[3] / "dags"
BAD_DAGS = Path(__file__).parent / "bad_dags"
FILES = sorted(DAGS.glob("*.py"))

load_once = cache(load)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_dag_keeps_policy(path: Path, policy: str) -> None:
    assert list(POLICIES[policy](load_once(path))) == []


def test_the_dags_are_there() -> None:
    assert {"run_nightly", "backfill_range", "land_sample_day"} <= {path.stem for path in FILES}
    assert all(load_once(path).tasks for path in FILES)


@pytest.mark.parametrize("policy", POLICIES)
def test_policy_catches_the_dag_that_breaks_it(policy: str) -> None:
    assert list(POLICIES[policy](load(BAD_DAGS / f"{policy}.py")))


@pytest.mark.parametrize("policy", sorted(POLICIES.keys() - {"imports_without_error"}))
def test_a_bad_dag_breaks_what_it_says(policy: str) -> None:
    """A bad DAG that does not load would be caught for the wrong reason."""
    assert load(BAD_DAGS / f"{policy}.py").error is None


@pytest.fixture
def a_real_company(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SAMPLE_COMPANY", "false")
    get_settings.cache_clear()
    yield
    monkeypatch.undo()
    get_settings.cache_clear()


@pytest.mark.usefixtures("a_real_company")
def test_a_real_company_has_no_sample_days() -> None:
    file: DagFile = load(DAGS / "land_sample_day.py")
    assert file.error is None
    assert file.dags == ()
