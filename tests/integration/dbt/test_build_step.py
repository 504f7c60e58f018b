"""The step `build`: what it reports, what it writes for people, how it fails."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

import pytest

from data_platform import build, dbt_runner, steps
from data_platform.failures import PermanentFailure, TransientFailure
from data_platform.publish import Moved
from data_platform.runs import StepLog, get_run
from data_platform.settings import get_settings
from data_platform.staleness import find_stale
from data_platform.warehouse.connection import execute, query, transaction
from tests.conftest import Platform, forget_settings
from tests.integration.dbt.workshop import build_and_publish, open_built_run, pass_gates_and_publish, purchase

pytestmark = pytest.mark.integration
DAY = date(1998, 1, 5)
STAGED = {"purchases": {DAY: [purchase(n, f"0000{n}", DAY, 1, "9.99") for n in range(3)]}}


@contextmanager
def edited(file: Path, before: str, after: str) -> Iterator[None]:
    """The file with a text replaced, for a while."""
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))
    try:
        yield
    finally:
        file.write_text(text)


def test_every_model_is_reported_with_changed_rows_and_seconds(warehouse: Platform) -> None:
    run, log = open_built_run(STAGED, through=DAY)
    lines = {line["subject"]: line for line in log.lines}
    assert lines["fct_purchases"]["rows_changed"] == 3
    assert lines["ftr_customer__profile"]["rows_changed"] == 0
    assert all(line["seconds"] > 0 for line in log.lines)
    page = (get_settings().reports_dir / "dbt" / f"{run.run_id}.html").read_text()
    assert "model fct_purchases" in page
    assert "3 changed of 3 rows in 1 days" in page
    assert "test customer_days_add_up_to_purchases" in page
    numbers = dict(
        re.findall(r"<td title='[^']*'>\w+ (\w+)</td><td class='\w+'>\w+</td><td class=number>([^<]*)<", page)
    )
    assert numbers["fct_purchases"] == "3"
    assert numbers["stg_shop__purchases"] == "—", "a view has no rows of its own"
    assert "http" not in page.replace("<!doctype html>", "")
    assert f"{run.run_id}.html" in (get_settings().reports_dir / "dbt" / "index.html").read_text()


def test_rules_of_contracts_and_unit_tests_are_left_to_others(warehouse: Platform) -> None:
    run, _ = open_built_run(STAGED, through=DAY)
    page = (get_settings().reports_dir / "dbt" / f"{run.run_id}.html").read_text()
    assert re.findall(r"(test|unit_test) (\w+)<", page) == [("test", "customer_days_add_up_to_purchases")]


def test_the_step_taken_again_makes_the_same(warehouse: Platform) -> None:
    run, first = open_built_run(STAGED, through=DAY)
    log = StepLog(run, "build")
    build.run_step(run, log)
    assert {line["subject"]: line["message"] for line in log.lines} == {
        line["subject"]: line["message"] for line in first.lines
    }


def test_a_failing_model_is_named_with_file_error_and_compiled_sql(warehouse: Platform) -> None:
    file = warehouse.home / "dbt_project/models/marts/fct_customer_days.sql"
    with (
        edited(file, "max(known_at)", "max(known_when)"),
        pytest.raises(PermanentFailure) as caught,
    ):
        open_built_run(STAGED, through=DAY)
    message = str(caught.value)
    assert "dbt model fct_customer_days (dbt_project/models/marts/fct_customer_days.sql) failed" in message
    assert 'column "known_when" does not exist' in message
    compiled = re.search(r"compiled SQL: (\S+);", message)
    assert compiled is not None
    assert "max(known_when)" in Path(compiled[1]).read_text()


def test_what_was_built_before_a_deploy_is_not_published_after_it(warehouse: Platform) -> None:
    run, _ = open_built_run(STAGED, through=DAY)
    file = warehouse.home / "dbt_project/models/marts/fct_customer_days.sql"
    with edited(file, "max(known_at)", "min(known_at)"), pytest.raises(Moved) as caught:
        pass_gates_and_publish(run)
    assert "marts.fct_customer_days is given other code" in str(caught.value)
    assert pass_gates_and_publish(run)["marts.fct_customer_days"] == "+3 ~0 -0"


def test_a_build_taken_again_with_mended_code_is_recorded_as_of_that_code(warehouse: Platform) -> None:
    file = warehouse.home / "dbt_project/models/marts/fct_customer_days.sql"
    with edited(file, "max(known_at)", "min(known_at)"):
        run, _ = open_built_run(STAGED, through=DAY)
    steps.perform(run.run_id, "build")
    with transaction() as connection:
        run = get_run(connection, run.run_id)
    pass_gates_and_publish(run)
    with transaction() as connection:
        assert not [s for s in find_stale(connection, DAY) if s.reason == "code or contract changed"]


def test_a_failing_hand_written_test_stops_the_run(warehouse: Platform) -> None:
    file = warehouse.home / "dbt_project/models/marts/fct_customer_days.sql"
    with (
        edited(file, "sum(cd_count) as", "sum(cd_count + 1) as"),
        pytest.raises(PermanentFailure, match="dbt test customer_days_add_up_to_purchases"),
    ):
        open_built_run(STAGED, through=DAY)


def test_a_misspelt_reach_stops_the_run_and_says_what_there_is(warehouse: Platform) -> None:
    file = warehouse.home / "dbt_project/models/marts/fct_busy_days.sql"
    with edited(file, "look_back_days", "look_back_day"), pytest.raises(PermanentFailure) as caught:
        open_built_run(STAGED, through=DAY)
    assert "unknown option 'look_back_day'" in str(caught.value)


def test_a_project_that_cannot_be_parsed_is_one_message(warehouse: Platform) -> None:
    file = warehouse.home / "dbt_project/models/marts/fct_customer_days.sql"
    with edited(file, "ref('fct_purchases')", "ref('fct_purchase')"), pytest.raises(PermanentFailure) as caught:
        open_built_run(STAGED, through=DAY)
    assert "fct_purchase" in str(caught.value)


def test_a_warehouse_that_is_gone_is_transient(warehouse: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_URL", "postgresql://127.0.0.1:1/warehouse")
    forget_settings()
    with pytest.raises(TransientFailure, match="make status"):
        dbt_runner.build("run_nowhere", set())


def test_a_lock_that_is_not_to_be_had_is_transient(warehouse: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    build_and_publish(STAGED, through=DAY)
    monkeypatch.setattr(dbt_runner, "LOCK_TIMEOUT", "200ms")
    with transaction() as other:
        execute(other, "lock table marts.fct_purchases in access exclusive mode")
        with pytest.raises(TransientFailure, match="lock timeout"):
            open_built_run({}, through=DAY)


def test_schema_changes_from_run_to_run_without_parsing_anew(warehouse: Platform) -> None:
    open_built_run(STAGED, through=DAY)
    saved = get_settings().state_dir / "dbt" / "target" / "partial_parse.msgpack"
    before = saved.stat().st_mtime_ns
    log = get_settings().state_dir / "dbt" / "logs" / "dbt.log"
    log.write_text("")
    open_built_run(STAGED, through=DAY)
    assert "Unable to do partial parsing" not in log.read_text()
    assert "Running with dbt" in log.read_text()
    assert saved.stat().st_mtime_ns >= before


def test_no_password_is_written_and_none_stays_in_the_environment(warehouse: Platform) -> None:
    open_built_run(STAGED, through=DAY)
    password = get_settings().warehouse_parameters("platform")["password"]
    assert dbt_runner.PASSWORD_VARIABLE not in os.environ
    files = [f for f in get_settings().state_dir.rglob("*") if f.is_file()]
    assert files
    assert [f for f in files if str(password).encode() in f.read_bytes()] == []


def test_context_tables_say_what_there_is_to_do(warehouse: Platform) -> None:
    build_and_publish(STAGED, through=DAY)
    run, _ = open_built_run({}, through=DAY + timedelta(days=2))
    with transaction() as connection:
        plan = query(connection, f"select * from {run.schema}.build_plan where table_name = 'marts.fct_purchases'")
        assert plan == [
            {
                "table_name": "marts.fct_purchases",
                "whole": False,
                "due_from": DAY + timedelta(days=1),
                "due_to": DAY + timedelta(days=2),
            }
        ]
        assert get_run(connection, run.run_id) == dataclasses.replace(run, plan={"stage": {}})
