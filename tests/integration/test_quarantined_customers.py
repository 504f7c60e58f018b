"""A customer whose row of an extract is in quarantine is unknown there, not deleted: from landed file to mart."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from data_platform import orchestrate
from data_platform.contracts.load import get_contracts
from data_platform.intervals import ONE_DAY
from data_platform.ledger import fingerprints
from data_platform.local.postgres import EmbeddedPostgres
from data_platform.steps import perform
from data_platform.warehouse.connection import query, transaction
from sample_company.small import land_small_shop
from tests.conftest import Platform, make_platform
from tests.landing import HEADERS

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("spark_server"), pytest.mark.no_cover]
START, DAYS = date(1998, 1, 5), 16
WEEKS = [START, START + 7 * ONE_DAY, START + 14 * ONE_DAY]
MOVED, BROKEN = "00001,Ann,,,,,,f,CA,1997-05-01", "00001,Ann,,,,,,f,Canada,1997-05-01"
BEFORE = "00001,Ann,,,,,,f,US,1997-05-01"


@pytest.fixture
def extracts(postgres: EmbeddedPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the extracts, empty, beside the purchases of a small shop."""
    for platform in make_platform(postgres, tmp_path, monkeypatch, today=START + DAYS * ONE_DAY):
        yield _without_extracts(platform)


def _without_extracts(platform: Platform) -> Path:
    land_small_shop(platform.landing, customers=30, days=DAYS, start=START)
    folder = platform.landing / "shop" / "customers"
    for file in folder.iterdir():
        file.unlink()
    return folder


def land(folder: Path, day: date, *rows: str) -> None:
    """Lands an extract of 40 customers who stay as they are, and these."""
    others = [f"{number:05d},Bob,,,,,,m,US,1997-05-01" for number in range(100, 140)]
    (folder / f"{day}.csv").write_text("\n".join([HEADERS["customers"], *rows, *others]) + "\n")


def log_of_the_customer() -> list[tuple[date, str | None]]:
    """Publishes what has landed; day and country of each change, None once the account is gone."""
    orchestrate.run_all(None)
    with transaction() as connection:
        rows = query(
            connection,
            "select valid_from, country from marts.dim_customers where customer_id = '00001' order by valid_from",
        )
    return [(r["valid_from"], r["country"]) for r in rows]


def test_a_quarantined_row_ends_no_account_and_its_correction_counts(extracts: Path) -> None:
    first, second, third = WEEKS
    land(extracts, first, BEFORE)
    land(extracts, second, BROKEN)
    land(extracts, third, MOVED)
    assert log_of_the_customer() == [(first, "US"), (third, "CA")]
    land(extracts, second, MOVED)
    assert log_of_the_customer() == [(first, "US"), (second, "CA")]
    land(extracts, second, BROKEN)
    assert log_of_the_customer() == [(first, "US"), (third, "CA")]
    land(extracts, second)
    assert log_of_the_customer() == [(first, "US"), (second, None), (third, "CA")]


def test_a_row_without_a_readable_number_ends_no_account(extracts: Path) -> None:
    first, second, third = WEEKS
    land(extracts, first, BEFORE)
    land(extracts, second, MOVED.removeprefix("0"))
    assert log_of_the_customer() == [(first, "US")]
    land(extracts, third)
    assert log_of_the_customer() == [(first, "US"), (third, None)]


def ingest() -> None:
    """Reads what has landed."""
    run = orchestrate.open_work(None).run
    assert run is not None
    perform(run.run_id, "ingest")


def test_the_key_of_a_quarantined_row_is_kept_where_it_can_be_trusted(extracts: Path) -> None:
    rows = {
        b"00001,Ann,,,31.12.1961,,,f,GB,1996-05-01": {"customer_id": "00001"},
        "00002,José,,,,,,f,GB,1996-05-01".encode("latin-1"): {"customer_id": "00002"},
        b"0003,Cy,,,,,,x,US,1996-05-02": None,
        b",Di,,,,,,x,US,1996-05-02": None,
        b"00005,Ed,,,,1 High St, Flat 2,Leeds,m,GB,1996-05-02": None,
        b'00006,Flo "Bee",,,,,,x,US,1996-05-02': None,
        b"\xff0007,Gus,,,,,,m,US,1996-05-02": None,
    }
    good = [b"%05d,Ann,,,,,,f,GB,1996-05-01" % number for number in range(100, 100 + 20 * len(rows))]
    (extracts / f"{START}.csv").write_bytes(b"\n".join([HEADERS["customers"].encode(), *rows, *good]) + b"\n")
    ingest()
    with transaction() as connection:
        found = query(
            connection, "select row_key from quarantine.rows where dataset = 'customers' and line < 10 order by line"
        )
    assert [r["row_key"] for r in found] == list(rows.values())


def test_an_extract_is_stale_when_only_its_quarantine_changes(extracts: Path) -> None:
    seen = set()
    for broken in ([BROKEN], [BROKEN.replace("00001", "00002")], []):
        land(extracts, START, *broken)
        ingest()
        with transaction() as connection:
            seen |= set(fingerprints(connection, get_contracts()["customers"]).values())
    assert len(seen) == 3
