"""The whole path without Airflow, on a small shop: what is published is a function of what landed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from data_platform import orchestrate
from data_platform.contracts.load import get_contracts
from data_platform.contracts.parts import TypeOptions
from data_platform.failures import InputError, PermanentFailure, PlatformError
from data_platform.intervals import ONE_DAY, Interval
from data_platform.local.postgres import EmbeddedPostgres
from data_platform.warehouse.connection import query, transaction
from data_platform.withdrawals import withdraw
from sample_company.manifest import Manifest
from sample_company.small import land_small_shop
from tests.conftest import SHOP_DAYS, Platform, make_platform
from tests.contracts import change_contract
from tests.forked import dp as run_dp
from tests.forked import run_forked
from tests.state import published, stale, write_counts

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("spark_server")]

START, END = SHOP_DAYS.start, SHOP_DAYS.end
LAST = END - ONE_DAY
DP = Path(sys.executable).with_name("dp")


@pytest.fixture
def landed(
    postgres: EmbeddedPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Platform, Manifest]]:
    """A platform on the day after a small shop's last, with everything landed and nothing run."""
    for platform in make_platform(postgres, tmp_path, monkeypatch, today=END):
        yield platform, land_small_shop(platform.landing, customers=30, days=len(SHOP_DAYS), start=START)


def dp(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([DP, *arguments], capture_output=True, text=True, check=False, **options)


def test_what_lands_is_published_and_every_row_accounted_for(landed: tuple[Platform, Manifest]) -> None:
    _, manifest = landed
    orchestrate.run_all(None)
    assert stale() == []
    broken: Counter[str] = Counter()
    for entry in manifest:
        broken.update(line.rule for line in entry.broken_lines)
    with transaction("steward") as connection:
        rows = query(connection, "select count(*) as n from quarantine.rows")[0]["n"]
        files = query(connection, "select path, rows_read, rows_live, rows_quarantined from ops.files order by path")
        lines = query(connection, "select path, line from quarantine.rows join ops.files using (file_id) order by 1, 2")
    assert rows == sum(broken.values()) > 0
    expected = {f"landing/{e.path}": (e.rows, len(e.broken_lines)) for e in manifest}
    assert {f["path"]: (f["rows_read"], f["rows_quarantined"]) for f in files} == expected
    assert all(f["rows_read"] == f["rows_live"] + f["rows_quarantined"] for f in files)
    planted = sorted((f"landing/{e.path}", b.line) for e in manifest for b in e.broken_lines)
    assert [(r["path"], r["line"]) for r in lines] == planted
    tables = published()
    assert len(tables["raw.purchases"]) == sum(e.rows - len(e.broken_lines) for e in manifest if "purchases" in e.path)
    assert all(tables.values()), "no table is empty"


def test_days_run_again_write_nothing(shop: Platform) -> None:
    before, counts = published(), write_counts()
    orchestrate.run_all(Interval.of_day(START + 3 * ONE_DAY))
    orchestrate.run_all(Interval(START, END), rebuild=True)
    assert orchestrate.run_all(None).run is None, "nothing is stale"
    assert published() == before
    assert write_counts() == counts


def test_day_by_day_equals_all_at_once_and_so_does_any_order(
    shop: Platform, tmp_path: Path, postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = published()
    first = sorted((shop.landing / "shop").rglob("*.*"))
    for other in make_platform(postgres, tmp_path / "other", monkeypatch, today=END):
        for part in (first[::2], first[1::2]):
            for file in part:
                target = other.landing / file.relative_to(shop.landing)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(file, target)
            orchestrate.run_all(None)
        assert published() == at_once


def test_one_big_file_read_by_a_spark_of_its_own_gives_the_same_tables(
    shop: Platform, tmp_path: Path, postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_days = published()
    files = sorted((shop.landing / "shop/purchases").glob("*.txt"))
    for other in make_platform(postgres, tmp_path / "other", monkeypatch, today=END):
        shutil.copytree(shop.landing / "shop/customers", other.landing / "shop/customers")
        whole = other.landing / "shop/purchases/all.txt"
        whole.parent.mkdir(parents=True)
        header = files[0].read_bytes().split(b"\n")[0] + b"\n"
        whole.write_bytes(header + b"".join(f.read_bytes().split(b"\n", 1)[1] for f in files))
        monkeypatch.setenv("SPARK_REMOTE", "")
        monkeypatch.setenv("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")  # the thorough compiler would not pay
        assert run_forked(run_dp, "run", said=other.home / "said") == 0, (other.home / "said").read_text()
        assert published() == in_days


def test_files_that_a_new_contract_cannot_read_stay_published(shop: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    before = published()
    purchases = get_contracts()["purchases"]
    renamed = [
        c.model_copy(update={"physical_name": "day"}) if c.name == "purchased_on" else c for c in purchases.columns
    ]
    change_contract(monkeypatch, "purchases", columns=tuple(renamed))
    mended = shop.landing / f"shop/purchases/{LAST}.txt"
    mended.write_bytes(mended.read_bytes().replace(b" date ", b" day ", 1))
    opened = orchestrate.run_all(None)
    assert opened.run is not None
    with transaction() as connection:
        assert len(orchestrate.held_back(connection, opened.run)) == len(SHOP_DAYS) - 1
    assert published() == before
    assert {s.reason.partition(":")[0] for s in stale()} == {"held back"}


def test_a_day_of_which_a_delivery_cannot_be_read_again_waits_and_holds_nothing_else_back(
    shop: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shop.landing / "shop/purchases"
    gone, kept = folder / f"{START}.txt", (folder / f"{START}.txt").read_bytes()
    gone.write_bytes(b"not what a till writes\n")
    before = published()["raw.purchases"]
    orchestrate.run_all(None)
    assert published()["raw.purchases"] == before
    purchases = get_contracts()["purchases"]
    least = TypeOptions(minimum=1, maximum=10000)
    stricter = [c.model_copy(update={"options": least}) if c.name == "amount_usd" else c for c in purchases.columns]
    change_contract(monkeypatch, "purchases", columns=tuple(stricter))
    header, some = kept.split(b"\r\n")[:2]
    next_day = some.replace(f"{START:%Y%m%d}".encode(), f"{START + ONE_DAY:%Y%m%d}".encode())
    (folder / "late.txt").write_bytes(b"\r\n".join([header, next_day, b""]))
    (folder / "late too.txt").write_bytes(b"\r\n".join([header, some, b""]))
    orchestrate.run_all(None)
    assert len(published()["raw.purchases"]) == len(before) + 1, "the other day is published"
    waits = f"held back: the present contract cannot read landing/shop/purchases/{START}.txt"
    assert any((s.what, s.reason[: len(waits)]) == (str(START), waits) for s in stale())
    orchestrate.run_all(Interval.of_day(START))
    assert len(published()["raw.purchases"]) == len(before) + 1, "also when it is asked for"
    gone.write_bytes(kept)
    orchestrate.run_all(None)
    assert len(published()["raw.purchases"]) == len(before) + 2
    assert stale() == []


def test_what_nobody_can_read_holds_nothing_else_back(shop: Platform) -> None:
    extract = next((shop.landing / "shop/customers").iterdir())
    shutil.copy(extract, extract.with_name("last_week.csv"))
    (shop.landing / "shop/purchases/broken.txt").write_bytes(b"not what a till writes\n")
    before = set(published()["raw.purchases"])
    with transaction() as connection:
        withdraw(connection, f"shop/purchases/{START}.txt", "a test's")
    opened = orchestrate.run_all(None)
    assert opened.run is not None
    with transaction() as connection:
        told = {message.partition(":")[0] for message in orchestrate.held_back(connection, opened.run)}
    assert told == {"landing/shop/customers/last_week.csv", "landing/shop/purchases/broken.txt"}
    after = set(published()["raw.purchases"])
    assert after == {row for row in before if START not in row} != before, "what was withdrawn has left all the same"


def test_a_bad_file_fails_alone(landed: tuple[Platform, Manifest]) -> None:
    platform, _ = landed
    bad = platform.landing / "shop/purchases/1998-01-09.txt"
    bad.write_bytes(b" customer date number_of_cds dollar_value\r\n 00001 19980109 1 1.00\r\n")
    opened = orchestrate.run_all(None)
    assert opened.run is not None
    with transaction() as connection:
        (message,) = orchestrate.held_back(connection, opened.run)
    assert "1998-01-09.txt" in message
    assert "customer_id" in message
    assert published()["raw.purchases"]
    done = dp("report", "--run", opened.run.run_id)
    assert done.returncode == 3
    assert "1998-01-09.txt" in done.stderr


def test_a_failed_gate_leaves_consumers_the_previous_state(shop: Platform) -> None:
    before = published()
    extract = max((shop.landing / "shop/customers").glob("*.csv"))
    lines = extract.read_bytes().split(b"\n")
    extract.write_bytes(b"\n".join([*lines[:2], *lines[1:]]))
    with pytest.raises(PlatformError, match="one_row_a_customer_and_extract") as failure:
        orchestrate.run_all(None)
    assert failure.value.kind == "gate"
    assert published() == before
    assert any(s.reason == "delivery changed" for s in stale())


def test_a_missing_day_is_an_error_where_the_contract_says_so(landed: tuple[Platform, Manifest]) -> None:
    platform, _ = landed
    (platform.landing / "shop/purchases" / f"{LAST}.txt").unlink()
    with pytest.raises(PermanentFailure, match=f"purchases.*{LAST}"):
        orchestrate.run_all(Interval.of_day(LAST))
    assert all(not rows for rows in published().values()), "nothing is written"


def test_an_interval_beyond_the_last_whole_day_is_refused(landed: tuple[Platform, Manifest]) -> None:
    with pytest.raises(InputError, match="reaches beyond the last whole day"):
        orchestrate.run_all(Interval(LAST, END + ONE_DAY))


def test_a_breaking_contract_stops_before_anything_is_written(shop: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    change_contract(monkeypatch, "purchases", columns=get_contracts()["purchases"].columns[:-1])
    with transaction() as connection:
        runs = query(connection, "select count(*) as n from ops.runs")
    with pytest.raises(PermanentFailure, match=r"raw\.purchases.*amount_usd"):
        orchestrate.run_all(Interval.of_day(LAST))
    with transaction() as connection:
        assert query(connection, "select count(*) as n from ops.runs") == runs
