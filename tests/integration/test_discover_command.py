"""``dp discover``: what it tells of the work to be done, and when it opens no run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from data_platform.cli.main import build_app
from data_platform.contracts.load import get_contracts
from data_platform.intervals import ONE_DAY
from data_platform.ledger import DayDigest, fingerprints, mark_live, to_ingest
from data_platform.local.postgres import EmbeddedPostgres
from data_platform.models import code_hash
from data_platform.warehouse.connection import execute, query, transaction
from sample_company.small import land_small_shop
from tests.conftest import Platform, make_platform

pytestmark = pytest.mark.integration
START, DAYS = date(1998, 1, 5), 8
LAST = START + (DAYS - 1) * ONE_DAY


@pytest.fixture
def shop(postgres: EmbeddedPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    """A small shop's files, landed and not looked at."""
    for platform in make_platform(postgres, tmp_path, monkeypatch, today=START + DAYS * ONE_DAY):
        land_small_shop(platform.landing, customers=30, days=DAYS, start=START)
        yield platform


def dp(*arguments: str) -> str:
    done = CliRunner().invoke(build_app(), arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def runs() -> int:
    with transaction() as connection:
        return int(query(connection, "select count(*) as runs from ops.runs")[0]["runs"])


def test_a_dry_run_tells_what_would_be_done(shop: Platform) -> None:
    told = json.loads(dp("discover", "--dry-run", "--json"))
    purchases = {
        "table": "raw.purchases",
        "reason": "delivery not read yet",
        "count": DAYS,
        "first": f"landing/shop/purchases/{START}.txt",
        "last": f"landing/shop/purchases/{LAST}.txt",
    }
    assert purchases in told["stale"]
    assert {group["reason"] for group in told["stale"]} == {"delivery not read yet", "never published"}
    assert (told["run_id"], told["asked"], told["found"]) == (None, None, DAYS + 2)
    assert runs() == 0


def test_a_dry_run_for_days_names_them(shop: Platform) -> None:
    days = (str(START), str(LAST))
    assert json.loads(dp("discover", *days, "--dry-run", "--json"))["asked"] == f"[{START}, {LAST})"
    said = dp("discover", *days, "--dry-run")
    assert f"the days [{START}, {LAST})" in said
    assert "delivery not read yet" in said
    assert said.endswith("dry run: no run was opened\n")
    assert runs() == 0


def test_a_night_that_is_done_opens_no_run_and_a_missing_day_is_not_done(shop: Platform) -> None:
    night = ("discover", "--night", str(datetime.now(UTC).date() - ONE_DAY), "--json")
    opened = json.loads(dp(*night))["run_id"]
    assert opened, "the first night has everything to do"
    call_published(opened)
    assert json.loads(dp(*night))["run_id"] is None
    with transaction() as connection:
        execute(connection, "delete from ops.file_days where day = %s", (LAST,))
        execute(connection, "delete from ops.published_days where day = %s", (LAST,))
    told = json.loads(dp(*night))
    assert told["asked"] == f"[{LAST}, {LAST + ONE_DAY})"
    assert told["run_id"], "stage has to say that the day's file is missing"


def call_published(run_id: str) -> None:
    """Makes ledger and publications say that all is read and published: what `discover` goes by."""
    with transaction() as connection:
        for contract in (get_contracts()["purchases"], get_contracts()["customers"]):
            for delivery in to_ingest(connection, contract):
                day = delivery.extract_day or date.fromisoformat(Path(delivery.path).stem)
                mark_live(
                    connection,
                    contract,
                    delivery,
                    ingest_id=1,
                    rows_read=1,
                    days=[DayDigest(day, 1, Decimal(1))],
                    quarantined=[],
                )
        (publication,) = query(
            connection,
            "insert into ops.publications (run_id, through_day, read_set, input_files) values (%s, %s, '{}', '{}')"
            " returning publication_id as id",
            (run_id, LAST),
        )
        for contract in get_contracts():
            code = "" if contract.layer == "sources" else code_hash(contract)
            execute(
                connection,
                "insert into ops.published_tables values (%s, %s, %s, %s, 0, '{}')",
                (contract.table, publication["id"], code, LAST),
            )
        for contract in (get_contracts()["purchases"], get_contracts()["customers"]):
            for day, fingerprint in fingerprints(connection, contract).items():
                execute(
                    connection,
                    "insert into ops.published_days values (%s, %s, %s, %s)",
                    (contract.table, day, fingerprint, publication["id"]),
                )
