"""``dp simulate``: what it says, and what it refuses."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from data_platform.settings import get_settings
from sample_company import cdnow
from sample_company.cli import register
from sample_company.company import company
from sample_company.landing import Landed
from sample_company.manifest import NAME
from tests.unit.sample_company.conftest import REAL_DAYS, contents

BUSINESS_DATE = date(1998, 7, 3)


@pytest.fixture
def landing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty landing folder; today is 1998-07-03."""
    offset = (datetime.now(UTC).date() - BUSINESS_DATE).days
    for name, value in {
        "DP_ENV_FILE": str(tmp_path / "no.env"),
        "LANDING_URL": str(tmp_path / "landing"),
        "BUSINESS_DATE_OFFSET_DAYS": str(offset),
    }.items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    yield tmp_path / "landing"
    get_settings.cache_clear()


@pytest.fixture
def landing_with_last_day(landing: Path) -> Path:
    """As if the real days had landed: the last of them has."""
    company().land(landing, type(REAL_DAYS).of_day(cdnow.LAST_DAY))
    return landing


def dp(*arguments: str) -> Result:
    app = typer.Typer()
    register(app)
    return CliRunner().invoke(app, ["simulate", *arguments])


def files(landing: Path) -> set[str]:
    return {path for path in contents(landing) if path != NAME}


def test_company_lands_what_is_missing_of_the_real_days(landing: Path, landed_company: tuple[Path, Landed]) -> None:
    shutil.copytree(landed_company[0], landing, copy_function=os.link)
    lost = landing / "shop/purchases/1997-09.txt"
    lost.unlink()
    done = json.loads(dp("company", "--json").stdout)
    assert {key: done[key] for key in ("files", "written", "rows")} == {"files": 1692, "written": 1, "rows": 2_000_184}
    assert done["broken"]["negative_count"] == 6
    assert lost.read_bytes() == (landed_company[0] / "shop/purchases/1997-09.txt").read_bytes()
    assert "1692 files, 0 of them written now" in dp("company").stdout
    assert dp("day").exit_code == 0, "the next day follows at once"


def test_day_lands_one_day_after_the_other(landing_with_last_day: Path) -> None:
    before = files(landing_with_last_day)
    assert "5 files" in dp("day").stdout
    first_day = files(landing_with_last_day) - before
    assert {path.replace("1998-07-01", "DAY") for path in first_day} == {
        *("shop/purchases/DAY.txt", "shop/customers/DAY.csv", "shop/products/DAY.parquet"),
        *("shop/web_events/DAY.jsonl.gz", "shop/tickets/DAY.jsonl"),
    }
    assert json.loads(dp("day", "--json").stdout)["files"] == 3, "no extract"
    assert "shop/purchases/1998-07-02.txt" in files(landing_with_last_day)


def test_day_refuses_a_day_that_is_not_over_unless_forced(landing_with_last_day: Path) -> None:
    before = files(landing_with_last_day)
    refused = dp("day", "--through", "1998-07-03")
    assert refused.exit_code == 2
    assert "1998-07-03 is not over: today is 1998-07-03 on the business clock" in refused.stderr
    assert files(landing_with_last_day) == before
    assert dp("day", "--through", "1998-07-03", "--force").exit_code == 0
    assert "shop/purchases/1998-07-03.txt" in files(landing_with_last_day)


def test_day_through_the_due_day_is_idempotent(landing_with_last_day: Path) -> None:
    assert dp("day", "--through-due").exit_code == 0
    landed = contents(landing_with_last_day)
    assert "shop/purchases/1998-07-02.txt" in landed
    assert "shop/purchases/1998-07-03.txt" not in landed
    assert "has landed already" in dp("day", "--through-due").stdout
    assert contents(landing_with_last_day) == landed


def test_through_the_due_day_catches_up_with_nights_that_were_missed(
    landing_with_last_day: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert dp("day").exit_code == 0, "one night was not missed"
    monkeypatch.setenv("BUSINESS_DATE_OFFSET_DAYS", str((datetime.now(UTC).date() - date(1998, 7, 10)).days))
    get_settings.cache_clear()
    told = json.loads(dp("day", "--through-due", "--json").stdout)
    assert told["files"] == told["written"] == 3 * 8 + 1, "eight days of purchases, events and tickets, and an extract"
    at_once = tmp_path / "at_once"
    company().land(at_once, type(REAL_DAYS)(cdnow.LAST_DAY, date(1998, 7, 10)))
    assert contents(landing_with_last_day) == contents(at_once)


def test_day_needs_the_real_days(landing: Path) -> None:
    refused = dp("day")
    assert refused.exit_code == 2
    assert "dp simulate company" in refused.stderr
    assert not landing.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--through", "1998-02-30"], "'1998-02-30' is not a day"),
        (["--through", "1998-07-02", "--through-due"], "both name the last day"),
    ],
)
def test_day_refuses_bad_options(landing_with_last_day: Path, arguments: list[str], message: str) -> None:
    refused = dp("day", *arguments)
    assert refused.exit_code == 2
    assert message in refused.stderr


def test_an_object_store_is_refused(landing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANDING_URL", "s3://bucket/landing")
    get_settings.cache_clear()
    refused = dp("company")
    assert refused.exit_code == 2
    assert "LANDING_URL: Value error, must be a folder" in refused.stderr


def test_prod_is_refused(landing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DP_ENVIRONMENT", "prod")
    monkeypatch.setenv("BUSINESS_DATE_OFFSET_DAYS", "0")
    get_settings.cache_clear()
    for command in ("company", "day"):
        refused = dp(command)
        assert refused.exit_code == 2
        assert "does not deliver to prod" in refused.stderr


def test_help_tells_what_lands() -> None:
    assert "1997-01-01 to 1998-06-30" in dp("company", "--help").stdout
    assert "--through" in dp("day", "--help").stdout
