"""A search, and what a run makes again, go on wherever they broke off."""

from __future__ import annotations

from itertools import count
from types import ModuleType

import pytest

from data_platform import culprits, orchestrate
from data_platform.failures import TransientFailure
from data_platform.runs import STEPS, StepLog
from data_platform.steps import perform
from data_platform.warehouse.connection import query, transaction
from tests.conftest import Platform
from tests.integration.rejections.conftest import (
    BAD,
    GOOD,
    amounts,
    correct,
    held,
    remembered,
    schemas,
)
from tests.state import stale

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("spark_server")]


def breaking_off(module: ModuleType, calls: int, patch: pytest.MonkeyPatch) -> None:
    """Lets a module's ``calls``-th step from now on be the last thing that its process does, before it is taken."""
    taken = count(1)

    def perform_or_die(run_id: str, step: str) -> StepLog:
        if next(taken) == calls:
            raise KeyboardInterrupt
        return perform(run_id, step)

    patch.setattr(module, "perform", perform_or_die)
    if module is culprits:
        patch.setattr(culprits, "_end", lambda *_: None)  # nothing is tidied up after a SIGKILL


def test_a_search_and_what_follows_from_it_go_on_wherever_they_broke_off(
    shop: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    correct(shop, usd_666=BAD, usd_1_25=GOOD)
    opened = orchestrate.open_work(None)
    assert opened.run
    orchestrate.take_steps(opened.run.run_id, ["ingest", "gate:ingest", "stage"])
    gate, stage_again, gate_again = 1, 2, 3
    # In the second trial; then, as the search is done anew, before each step that follows from it.
    for module, call in ((culprits, 4), (orchestrate, stage_again), (orchestrate, gate)):
        with monkeypatch.context() as patch:
            breaking_off(module, call, patch)
            with pytest.raises(KeyboardInterrupt):
                orchestrate.take_step(opened.run.run_id, "gate:stage")
        assert len(remembered()) == (module is orchestrate)
    with transaction() as connection:
        assert orchestrate.get_run(connection, opened.run.run_id).plan["again_from"] == "stage"
    with monkeypatch.context() as patch:
        breaking_off(orchestrate, gate_again - gate, patch)
        with pytest.raises(KeyboardInterrupt):
            orchestrate.take_step(opened.run.run_id, "gate:stage")
    with transaction() as connection:
        assert orchestrate.get_run(connection, opened.run.run_id).plan["again_from"] == "gate:stage"
    orchestrate.take_steps(opened.run.run_id, ["gate:stage", "build", "gate:build", "publish", "export"])
    assert held().keys() == {str(BAD)}
    assert amounts() >= {"1.25"}
    with transaction() as connection:
        assert query(connection, "select from ops.runs where state = 'open'") == []


def test_a_transient_failure_in_a_trial_convicts_nobody(shop: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    correct(shop, usd_666=BAD, usd_1_25=GOOD)

    def away(run_id: str, step: str) -> None:
        raise TransientFailure("the warehouse is away")

    with monkeypatch.context() as patch:
        patch.setattr(culprits, "perform", away)
        with pytest.raises(TransientFailure):
            orchestrate.run_all(None)
    assert remembered() == []
    assert schemas() == {f"run_{failed_run()}"}
    orchestrate.take_steps(failed_run(), ["gate:stage", "build", "gate:build", "publish"])
    assert held().keys() == {str(BAD)}


def failed_run() -> str:
    with transaction() as connection:
        rows = query(connection, "select run_id from ops.runs where state = 'failed' and kind <> 'trial'")
    (row,) = rows
    return str(row["run_id"])


def test_a_run_that_is_moved_on_is_made_again_though_it_is_killed_meanwhile(
    shop: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its next attempt would find nothing moved, and publish what it had built on the earlier state."""
    correct(shop, usd_1_25=GOOD)
    opened = orchestrate.open_work(None)
    assert opened.run
    orchestrate.take_steps(opened.run.run_id, STEPS[1:-2])
    correct(shop, usd_2_25=GOOD)
    orchestrate.run_all(None)
    with monkeypatch.context() as patch:
        breaking_off(orchestrate, 2, patch)
        with pytest.raises(KeyboardInterrupt):
            orchestrate.take_step(opened.run.run_id, "publish")
    orchestrate.take_step(opened.run.run_id, "publish")
    assert amounts() >= {"1.25", "2.25"}
    assert stale() == []
