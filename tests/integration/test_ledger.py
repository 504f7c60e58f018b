"""Deliveries: what is new, changed, twice there, or not where it should be."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from data_platform import ledger
from data_platform.contracts.load import get_contracts
from data_platform.failures import InputError
from data_platform.ledger import DayDigest, QuarantinedRow
from data_platform.warehouse.connection import query, transaction
from data_platform.withdrawals import withdraw
from tests.conftest import Platform

pytestmark = pytest.mark.integration
DAY = date(1998, 1, 5)


def land(platform: Platform, path: str, content: str) -> Path:
    file = platform.landing / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    return file


def discover() -> list[tuple[str, str]]:
    with transaction() as connection:
        found = ledger.discover(connection, get_contracts().of_layer("sources"))
    return [(f["path"], f["what"]) for f in found]


def states() -> list[tuple[str, str]]:
    with transaction() as connection:
        rows = query(connection, "select path, state from ops.deliveries order by file_id")
    return [(r["path"].rsplit("/", 1)[1], r["state"]) for r in rows]


def make_live(path: str, rows: int = 2, quarantined: int = 0) -> None:
    contract = get_contracts()["purchases"]
    broken = [QuarantinedRow(n, "type", "cd_count", "x") for n in range(quarantined)]
    with transaction() as connection:
        delivery = next(d for d in ledger.to_ingest(connection, contract) if d.path.endswith(path))
        ledger.mark_live(
            connection,
            contract,
            delivery,
            ingest_id=ledger.next_ingest_id(connection),
            rows_read=rows + quarantined,
            days=[DayDigest(DAY, rows, Decimal(41 * rows))],
            quarantined=broken,
        )


def test_a_file_is_new_once_changed_once_and_then_nothing(platform: Platform) -> None:
    land(platform, "shop/purchases/a.txt", "one")
    assert discover() == [("landing/shop/purchases/a.txt", "new")]
    assert discover() == []
    land(platform, "shop/purchases/a.txt", "two!")
    assert discover() == [("landing/shop/purchases/a.txt", "changed")]
    land(platform, "shop/purchases/a.txt", "one")
    assert discover() == [("landing/shop/purchases/a.txt", "changed")], "old content that comes again arrives anew"


def test_the_same_content_written_again_is_no_change(platform: Platform) -> None:
    land(platform, "shop/purchases/a.txt", "one")
    discover()
    land(platform, "shop/purchases/a.txt", "one")
    assert discover() == []


def test_the_same_content_under_another_name_is_a_duplicate_unless_it_is_another_extract(platform: Platform) -> None:
    land(platform, "shop/purchases/a.txt", "one")
    land(platform, "shop/purchases/b.txt", "one")
    land(platform, "shop/customers/1998-01-05.csv", "same")
    land(platform, "shop/customers/1998-01-12.csv", "same")
    discover()
    assert states() == [
        ("1998-01-05.csv", "new"),
        ("1998-01-12.csv", "new"),
        ("a.txt", "new"),
        ("b.txt", "duplicate"),
    ]


def test_a_corrected_file_supersedes_once_it_is_live_and_not_before(platform: Platform) -> None:
    land(platform, "shop/purchases/a.txt", "one")
    discover()
    make_live("a.txt", rows=2)
    land(platform, "shop/purchases/a.txt", "corrected")
    discover()
    assert states() == [("a.txt", "live"), ("a.txt", "new")]
    make_live("a.txt", rows=3)
    assert states() == [("a.txt", "superseded"), ("a.txt", "live")]
    with transaction() as connection:
        assert next(iter(ledger.fingerprints(connection, get_contracts()["purchases"]).values())).endswith(":3:123")


def test_a_day_has_the_same_fingerprint_in_one_file_as_in_two(platform: Platform) -> None:
    land(platform, "shop/purchases/a.txt", "one")
    land(platform, "shop/purchases/b.txt", "two")
    discover()
    make_live("a.txt", rows=2)
    make_live("b.txt", rows=1)
    with transaction() as connection:
        in_two = ledger.fingerprints(connection, get_contracts()["purchases"])
    land(platform, "shop/purchases/a.txt", "both")
    discover()
    make_live("a.txt", rows=3)
    with transaction() as connection:
        withdraw(connection, "landing/shop/purchases/b.txt", "its rows stand in a.txt")
        in_one = ledger.fingerprints(connection, get_contracts()["purchases"])
    assert in_one == in_two


def test_rows_that_are_not_accounted_for_fail(platform: Platform) -> None:
    contract = get_contracts()["purchases"]
    land(platform, "shop/purchases/a.txt", "one")
    discover()
    with transaction() as connection:
        (delivery,) = ledger.to_ingest(connection, contract)
        with pytest.raises(AssertionError, match="3 rows read, but 2 live and 0 quarantined"):
            ledger.mark_live(
                connection,
                contract,
                delivery,
                ingest_id=1,
                rows_read=3,
                days=[DayDigest(DAY, 2, Decimal(1))],
                quarantined=[],
            )


def test_a_failed_file_is_tried_again_only_when_it_or_its_contract_changes(platform: Platform) -> None:
    contract = get_contracts()["purchases"]
    land(platform, "shop/purchases/a.txt", "one")
    discover()
    with transaction() as connection:
        (delivery,) = ledger.to_ingest(connection, contract)
        ledger.mark_failed(connection, contract, delivery, "unreadable")
        assert ledger.to_ingest(connection, contract) == []
        stricter = contract.model_copy(update={"columns": contract.columns[:-1]})
        assert [d.path for d in ledger.to_ingest(connection, stricter)] == [delivery.path]
    land(platform, "shop/purchases/a.txt", "mended")
    discover()
    with transaction() as connection:
        assert [d.sha256 for d in ledger.to_ingest(connection, contract)] != [delivery.sha256]


def test_the_manifest_tells_the_arrival(platform: Platform) -> None:
    land(platform, "shop/purchases/a.txt", "one")
    land(platform, "shop/purchases/b.txt", "two")
    entry = {"path": "shop/purchases/a.txt", "arrived_at": "1998-01-06T01:30:00+00:00"}
    land(platform, "shop/manifest.jsonl", json.dumps(entry) + "\n")
    discover()
    with transaction() as connection:
        rows = query(connection, "select arrived_at from ops.files order by path")
    assert rows[0]["arrived_at"] == datetime(1998, 1, 6, 1, 30, tzinfo=UTC)
    assert rows[1]["arrived_at"].date() == date(1998, 2, 1), "without an entry: first seen, on the business clock"


def test_a_bad_line_of_the_manifest_is_named(platform: Platform) -> None:
    land(platform, "shop/manifest.jsonl", '{"path": 1}\n')
    with pytest.raises(InputError, match=r"manifest.jsonl:1:1: not a manifest line"):
        discover()


def test_a_link_out_of_landing_is_refused(platform: Platform, tmp_path: Path) -> None:
    secret = tmp_path / "elsewhere.txt"
    secret.write_text("x")
    land(platform, "shop/purchases/a.txt", "one").unlink()
    (platform.landing / "shop/purchases/a.txt").symlink_to(secret)
    with pytest.raises(InputError, match="leads outside landing"):
        discover()
