"""A step that failed is taken again: at once when the failure may pass, after mending when it would not."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest

from data_platform import steps
from data_platform.failures import InputError, PermanentFailure, PlatformError, TransientFailure
from data_platform.local.processes import wait_until
from data_platform.publish import LOCK, Moved
from data_platform.runs import Run, StepLog, close_run, drop_schema, get_run, list_runs, open_run
from data_platform.warehouse.connection import execute, transaction
from tests.conftest import Platform

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("platform")]


@pytest.fixture
def run(platform: Platform) -> Run:
    with transaction() as connection:
        return open_run(connection, kind="run", asked=None, through_day=date(1998, 1, 31), datasets=())


def state(run: Run) -> str:
    with transaction() as connection:
        return get_run(connection, run.run_id).state


def take(run: Run, patch: pytest.MonkeyPatch, failure: PlatformError | None) -> None:
    """Takes a step that fails in a given way."""

    def step(_run: Run, _log: StepLog) -> None:
        if failure:
            raise failure

    patch.setattr(steps, "find_step", lambda _name: step)
    steps.perform(run.run_id, "ingest")


def test_a_transient_failure_leaves_the_run_open(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TransientFailure):
        take(run, monkeypatch, TransientFailure("the server is down"))
    assert state(run) == "open"
    take(run, monkeypatch, None)


def test_a_failed_run_goes_on_when_its_step_is_repeated(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PermanentFailure):
        take(run, monkeypatch, PermanentFailure("the disk is full"))
    assert state(run) == "failed"
    take(run, monkeypatch, None)
    assert state(run) == "open"


def test_an_open_run_tells_what_it_is_at_and_whom_it_waits_for(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def take_lock(_run: Run, _log: StepLog) -> None:
        with transaction(application=f"dp publish {run.run_id}") as connection:
            execute(connection, "select pg_advisory_xact_lock(%s)", (LOCK,))

    def doing() -> str:
        with transaction() as connection:
            return str(list_runs(connection, 1)[0]["doing"])

    monkeypatch.setattr(steps, "find_step", lambda _name: take_lock)
    with transaction(application="dp publish another") as other, ThreadPoolExecutor(1) as executor:
        execute(other, "select pg_advisory_xact_lock(%s)", (LOCK,))
        waiting = executor.submit(steps.perform, run.run_id, "publish")
        assert wait_until(lambda: "waits for dp publish another (pid " in doing(), 30)
        assert doing().startswith("publish for ")
        other.commit()
        waiting.result()
    assert doing() == "None"


def test_a_run_whose_schema_is_gone_does_not_go_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with transaction() as connection:
        close_run(connection, run, "failed", "ingest: the disk is full")
        drop_schema(connection, run.schema)
    with pytest.raises(InputError, match="is failed"):
        take(run, monkeypatch, None)


def test_a_run_without_work_does_not_go_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with transaction() as connection:
        close_run(connection, run, "unchanged")
    with pytest.raises(InputError, match="is unchanged"):
        take(run, monkeypatch, None)


def test_airflow_does_not_publish_again_what_has_moved() -> None:
    assert Moved.exit_code != TransientFailure.exit_code
