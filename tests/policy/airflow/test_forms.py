"""What the trigger forms accept: Airflow checks params before it creates a run, in the UI and through REST."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import ParamValidationError
from policies import load

DAGS = Path(__file__).parents[3] / "dags"
DATASETS = ["customers", "products", "purchases", "tickets", "web_events"]
GOOD = {"start": "1998-06-01", "end": "1998-07-01", "reason": "a repair by hand"}


def fill_in(dag_id: str, form: dict[str, Any]) -> dict[str, Any]:
    (dag,) = load(DAGS / f"{dag_id}.py").dags
    params = dag.params
    params.update(form)
    return params.validate()


def test_a_backfill_takes_all_datasets_unless_told_otherwise() -> None:
    filled = fill_in("backfill_range", GOOD)
    assert filled == {
        **GOOD,
        "chunk_days": 366,
        "datasets": DATASETS,
        "rebuild": False,
        "dry_run": False,
    }
    assert fill_in("backfill_range", {**GOOD, "datasets": ["purchases"]})["datasets"] == ["purchases"]


@pytest.mark.parametrize("missing", GOOD)
def test_a_backfill_needs_days_and_a_reason(missing: str) -> None:
    with pytest.raises(ParamValidationError):
        fill_in("backfill_range", {k: v for k, v in GOOD.items() if k != missing})


@pytest.mark.parametrize(
    "wrong",
    [
        {"start": "1998-06-31"},
        {"start": "1998-06-01T12:00"},
        {"end": "19980701"},
        {"reason": ""},
        {"datasets": []},
        {"datasets": ["purchase"]},
        {"datasets": "purchases"},
        {"dry_run": "no"},
        {"chunk_days": 0},
    ],
    ids=str,
)
def test_a_backfill_refuses_what_makes_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(ParamValidationError):
        fill_in("backfill_range", {**GOOD, **wrong})


def test_a_night_needs_nothing() -> None:
    assert fill_in("run_nightly", {}) == {
        "datasets": DATASETS,
        "reason": "the nightly run",
        "dry_run": False,
    }


def test_a_replay_of_the_quarantine_takes_all_datasets_and_needs_a_reason() -> None:
    form = {"reason": "asked by the owner"}
    filled_in = {**form, "datasets": DATASETS, "dry_run": False}
    assert fill_in("replay_quarantine", form) == filled_in
    with pytest.raises(ParamValidationError):
        fill_in("replay_quarantine", {})
