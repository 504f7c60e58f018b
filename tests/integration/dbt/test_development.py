"""`dbt build` as a developer types it: own role, own schema, overlaid on what is published."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest

from data_platform.build import write_developer_profile
from data_platform.dbt_runner import developer_schema
from data_platform.settings import get_settings
from data_platform.warehouse.connection import query, transaction
from tests.conftest import Platform
from tests.integration.dbt.workshop import build_and_publish, customer, purchase

pytestmark = pytest.mark.integration
DBT = Path(sys.executable).with_name("dbt")
DAY = date(1998, 1, 5)
NEXT = DAY + timedelta(days=1)


def dbt(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs dbt in the project's folder, with nothing of the platform in its environment."""
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]}
    return subprocess.run(
        [DBT, "--no-use-colors", *arguments],
        cwd=get_settings().dbt_project_dir,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def ask(statement: str, role: str = "developer") -> list[tuple[object, ...]]:
    with transaction(role) as connection:
        return [tuple(row.values()) for row in query(connection, statement.format(schema=developer_schema()))]


@pytest.fixture
def published(warehouse: Platform) -> Platform:
    """Two days of purchases and one extract, published."""
    rows = {day: [purchase(1, "00001", day, 1, "9.99"), purchase(1, "00002", day, 2, "0.00")] for day in (DAY, NEXT)}
    build_and_publish(
        {"purchases": rows, "customers": {DAY: [customer(DAY, "00001", "US"), customer(DAY, "00002", "CA")]}},
        through=NEXT,
    )
    write_developer_profile()
    return warehouse


def test_plain_dbt_build_works_and_stands_on_what_is_published(published: Platform) -> None:
    profile = get_settings().dbt_project_dir / "profiles.yml"
    assert profile.stat().st_mode & 0o777 == 0o600
    done = dbt("build")
    assert done.returncode == 0, done.stdout
    # The last published day is built; the one before is seen through the overlay.
    assert ask("select distinct purchased_on from {schema}.fct_purchases__new") == [(NEXT,)]
    assert ask("select count(*) from {schema}.fct_purchases") == [(4,)]
    assert ask("select unit from {schema}.ftr_customer__purchases__scope order by 1") == [("00001",), ("00002",)]
    assert ask("select count(*) from {schema}.fct_purchases__delta") == [(0,)]
    # What a developer may not read is not there, and stops nothing.
    assert ask("select count(*) as rows, count(gender) as genders from {schema}.dim_customers") == [(2, 0)]
    assert ask("select obj_description('{schema}.fct_purchases'::regclass) like 'Every purchase once%%' as told") == [
        (True,)
    ]
    # Unit tests and the contracts' rules run here.
    assert "window_of_7_days_holds_day_6_and_not_day_7" in done.stdout
    assert "PASS fct_purchases__key" in done.stdout


def test_an_interval_can_be_asked_for_and_a_single_model_be_built(published: Platform) -> None:
    interval = f"{{start: {DAY}, end: {NEXT}}}"
    done = dbt("run", "--select", "fct_customer_days", "--vars", interval)
    assert done.returncode == 0, done.stdout
    assert ask("select distinct purchased_on from {schema}.fct_customer_days__new") == [(DAY,)]


def test_a_changed_model_changes_the_developers_schema_only(published: Platform) -> None:
    file = get_settings().dbt_project_dir / "models/marts/fct_purchases.sql"
    text = file.read_text()
    try:
        file.write_text(text.replace("    cd_count,", "    cd_count + 10 as cd_count,"))
        done = dbt("run", "--full-refresh", "--select", "fct_purchases+")
    finally:
        file.write_text(text)
    assert done.returncode == 0, done.stdout
    assert ask("select sum(cd_count) from {schema}.fct_customer_days") == [(46,)]
    assert ask("select sum(cd_count) from marts.fct_customer_days") == [(6,)]


def refusal(*arguments: str) -> str:
    """What `dbt run` says when it fails, in this process, as a program's start takes seconds."""
    from dbt.cli.main import dbtRunner

    folder = str(get_settings().dbt_project_dir)
    places = ["--project-dir", folder, "--profiles-dir", folder, "--log-level", "none"]
    outcome = dbtRunner().invoke(["run", *places, *arguments])
    assert not outcome.success
    return " ".join(str(result.message) for result in outcome.result or [] if result.message) or str(outcome.exception)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ("{start: 1998-01-06, end: 1998-01-05}", "holds no day"),
        ("{start: 1998-01-05}", "YYYY-MM-DD"),
        ("{start: 1998-01-05T12, end: 1998-01-06}", "whole days"),
    ],
)
def test_a_wrong_interval_is_refused(published: Platform, variables: str, message: str) -> None:
    assert message in refusal("--vars", variables)


def test_before_the_first_publication_it_says_what_to_do(warehouse: Platform) -> None:
    write_developer_profile()
    assert "make demo" in refusal()


def test_documentation_builds(published: Platform) -> None:
    done = dbt("docs", "generate")
    assert done.returncode == 0, done.stdout
    assert (get_settings().dbt_project_dir / "target" / "catalog.json").exists()
