"""Of each path its newest version counts, of equal ones the first; whatever the order in which they were discovered."""

from __future__ import annotations

import os
import random
from datetime import date
from pathlib import Path

import pytest

from data_platform import ledger
from data_platform.contracts.load import get_contracts
from data_platform.contracts.model import Contract
from data_platform.failures import InputError
from data_platform.orchestrate import held_back
from data_platform.runs import open_run
from data_platform.staleness import find_stale, stale_days
from data_platform.warehouse.connection import execute, query, transaction
from data_platform.withdrawals import withdraw
from tests.conftest import Platform
from tests.ledger import (
    DAY,
    UNREADABLE,
    changed,
    discover,
    ingest,
    land,
    made_of,
    mark_read,
    states,
    take_in,
    tell,
    what_counts,
    withdraw_file,
)

pytestmark = pytest.mark.integration
HISTORIES, EVENTS = 25, 12


@pytest.fixture
def purchases(platform: Platform) -> Contract:
    return get_contracts()["purchases"]


def test_a_duplicate_takes_over_when_the_first_is_corrected(platform: Platform, purchases: Contract) -> None:
    land(platform, "a", "x")
    land(platform, "b", "x")
    assert discover() == ["a: new", "b: same content as landing/shop/purchases/a.txt"]
    assert ingest(purchases) == ["a"]
    land(platform, "a", "corrected")
    assert discover() == ["a: changed"]
    assert states() == {"a": "new", "b": "new"}
    assert what_counts(purchases) == made_of("x"), "nothing is lost before b is read"
    assert sorted(ingest(purchases)) == ["a", "b"]
    assert what_counts(purchases) == made_of("corrected", "x")
    assert states() == {"a": "live", "b": "live"}


def test_a_log_that_is_rotated_counts_under_its_new_name(platform: Platform, purchases: Contract) -> None:
    current = land(platform, "current", "old lines")
    take_in(purchases)
    current.rename(current.with_name("older.txt"))
    land(platform, "current", "new lines")
    assert discover() == ["current: changed", "older: new"]
    with transaction() as connection:
        current_first = min(ledger.to_ingest(connection, purchases), key=lambda d: d.path)
        mark_read(connection, purchases, current_first)
    assert what_counts(purchases) == made_of("old lines", "new lines"), "nor when a run dies between the two"
    assert ingest(purchases) == ["older"]
    assert what_counts(purchases) == made_of("old lines", "new lines")
    assert take_in(purchases) == []


def test_a_file_corrected_to_what_another_says_loses_its_old_rows(platform: Platform, purchases: Contract) -> None:
    land(platform, "a", "header only")
    land(platform, "b", "wrong rows")
    take_in(purchases)
    land(platform, "b", "header only")
    assert take_in(purchases) == []
    assert what_counts(purchases) == made_of("header only")
    assert states() == {"a": "live", "b": "duplicate"}


def test_content_that_comes_back_after_it_was_replaced_counts_once_it_is_read(
    platform: Platform, purchases: Contract
) -> None:
    land(platform, "a", "x")
    take_in(purchases)
    land(platform, "a", "y")
    take_in(purchases)
    land(platform, "c", "x")
    discover()
    assert what_counts(purchases) == made_of("y"), "what a reading of long ago says is nobody's any more"
    assert ingest(purchases) == ["c"]
    assert what_counts(purchases) == made_of("y", "x")


@pytest.mark.parametrize("seed", range(HISTORIES))
def test_whatever_the_order_each_content_counts_once(platform: Platform, purchases: Contract, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - not to be secret
    for number in range(EVENTS):
        name = chance.choice("abc")
        if chance.random() < 0.2 and name in states():
            (platform.landing / f"shop/purchases/{name}.txt").unlink(missing_ok=True)
            if states()[name] != "withdrawn":
                withdraw_file(name)
        else:
            land(platform, name, chance.choice(("x", "yy", "zzz")))
        if chance.random() < 0.5:
            discover()
        if chance.random() < 0.3:
            ingest_what_is_there(purchases, number)
    take_in(purchases)
    assert take_in(purchases) == [], "one run settles it"
    landed = {file.read_text() for file in (platform.landing / "shop/purchases").glob("*.txt")}
    assert what_counts(purchases) == made_of(*landed)


def ingest_what_is_there(contract: Contract, number: int) -> None:
    """A run; now and then one that dies when it has read the first file."""
    discover()
    if number % 2:
        ingest(contract)
        return
    with transaction() as connection:
        for delivery in ledger.to_ingest(connection, contract)[:1]:
            mark_read(connection, contract, delivery)


def test_a_file_that_a_new_contract_cannot_read_keeps_what_it_was(platform: Platform, purchases: Contract) -> None:
    land(platform, "a", "x")
    take_in(purchases)
    with transaction() as connection:
        before = ledger.fingerprints(connection, purchases)
        publish(before)
    stricter = changed(purchases)
    assert ingest(stricter, unreadable="x") == ["a"]
    with transaction() as connection:
        assert ledger.fingerprints(connection, stricter) == before
        assert stale_days(connection, stricter) == {}, "what is held keeps its last publication"
        assert ledger.live_attempts(connection, "purchases", [DAY]), "and can be staged again"
    assert ingest(stricter) == [], "it is tried once"
    land(platform, "a", "mended")
    assert take_in(stricter, unreadable="x") == ["a"]
    assert what_counts(stricter) == made_of("mended")


def test_a_file_that_is_held_back_says_why(platform: Platform, purchases: Contract) -> None:
    land(platform, "a", "x")
    take_in(purchases)
    with transaction() as connection:
        (delivery,) = ledger.to_ingest(connection, changed(purchases))
        ledger.mark_failed(connection, purchases, delivery, "header.txt:1: no such column")
        told = [s.reason for s in find_stale(connection, DAY, ["purchases"]) if s.what == delivery.path]
        run = open_run(connection, kind="test", asked=None, through_day=DAY, datasets=(), reason="")
        assert told == ["held back: header.txt:1: no such column"]
        assert held_back(connection, run) == [f"{delivery.path}: header.txt:1: no such column"]


def test_a_correction_that_cannot_be_read_leaves_what_the_path_said(platform: Platform, purchases: Contract) -> None:
    land(platform, "a", "x")
    take_in(purchases)
    land(platform, "a", UNREADABLE)
    land(platform, "b", "x")
    assert take_in(purchases) == ["a", "b"]
    assert what_counts(purchases) == made_of("x")
    land(platform, "b", "y")
    assert take_in(purchases) == ["b"]
    assert what_counts(purchases) == made_of("x", "y")
    with transaction() as connection:
        rows = query(connection, "select path, state from ops.deliveries order by file_id")
    assert [f"{Path(r['path']).stem} {r['state']}" for r in rows] == ["a live", "a failed", "b superseded", "b live"]


def test_a_version_that_no_longer_stands_there_is_not_read_again(platform: Platform, purchases: Contract) -> None:
    land(platform, "a", "x")
    take_in(purchases)
    land(platform, "a", UNREADABLE)
    take_in(purchases)
    assert ingest(changed(purchases)) == ["a"], "another contract may be able to read what cannot be read"
    assert ingest(changed(purchases)) == []
    assert what_counts(purchases) == made_of("x")


def test_a_version_that_was_never_read_waits_no_more_when_the_next_cannot_be(
    platform: Platform, purchases: Contract
) -> None:
    land(platform, "a", "x")
    discover()
    land(platform, "a", UNREADABLE)
    assert take_in(purchases) == ["a"]
    with transaction() as connection:
        rows = query(connection, "select state from ops.deliveries order by file_id")
    assert [r["state"] for r in rows] == ["superseded", "failed"]


def test_of_two_that_were_read_the_one_that_counts_is_held_back(platform: Platform, purchases: Contract) -> None:
    land(platform, "a", "x")
    land(platform, "b", "y")
    take_in(purchases)
    land(platform, "c", "x")
    land(platform, "a", UNREADABLE)
    assert take_in(purchases) == ["a", "c"]
    (platform.landing / "shop/purchases/a.txt").write_text("x")
    assert take_in(purchases) == []
    assert ingest(changed(purchases), unreadable="x") == ["b", "c"]
    with transaction() as connection:
        told = {s.what for s in find_stale(connection, DAY, ["purchases"])}
        held = query(connection, "select path from ops.deliveries where state = 'live' and failure is not null")
    assert [r["path"] for r in held] == ["landing/shop/purchases/c.txt"], told


def publish(fingerprints: dict[date, str]) -> None:
    """Records what days were published from."""
    with transaction() as connection:
        run = open_run(connection, kind="test", asked=None, through_day=DAY, datasets=(), reason="")
        (publication,) = query(
            connection,
            "insert into ops.publications (run_id, through_day, read_set, input_files) values (%s, %s, '{}', '{}')"
            " returning publication_id as id",
            (run.run_id, DAY),
        )
        for day, fingerprint in fingerprints.items():
            execute(
                connection,
                "insert into ops.published_days values ('raw.purchases', %s, %s, %s)",
                (day, fingerprint, publication["id"]),
            )


def test_a_withdrawn_file_no_longer_counts_and_its_day_is_stale(platform: Platform, purchases: Contract) -> None:
    land(platform, "a", "x")
    take_in(purchases)
    with transaction() as connection:
        publish(ledger.fingerprints(connection, purchases))
    withdraw_file("a")
    assert what_counts(purchases) == made_of()
    with transaction() as connection:
        assert stale_days(connection, purchases) == {DAY: "delivery withdrawn"}
    assert take_in(purchases) == [], "the file may still lie there"
    assert states() == {"a": "withdrawn"}


def test_a_vanished_file_stays(platform: Platform, purchases: Contract) -> None:
    file = land(platform, "a", "x")
    take_in(purchases)
    file.unlink()
    assert take_in(purchases) == []
    assert what_counts(purchases) == made_of("x")


def test_the_twin_of_a_withdrawn_file_takes_over(platform: Platform, purchases: Contract) -> None:
    land(platform, "a", "x")
    land(platform, "b", "x")
    take_in(purchases)
    withdraw_file("a")
    assert what_counts(purchases) == made_of("x")
    assert take_in(purchases) == ["b"]
    assert what_counts(purchases) == made_of("x")


@pytest.mark.parametrize("is_gone_meanwhile", [False, True])
def test_a_withdrawn_file_that_is_delivered_again_arrives_anew(
    platform: Platform, purchases: Contract, is_gone_meanwhile: bool
) -> None:
    file = land(platform, "a", "x")
    modified_ns = file.stat().st_mtime_ns
    take_in(purchases)
    withdraw_file("a")
    if is_gone_meanwhile:
        file.unlink()
        discover()
    land(platform, "a", "x")
    if is_gone_meanwhile:
        os.utime(file, ns=(modified_ns, modified_ns))
    assert discover() == ["a: delivered again"]
    assert ingest(purchases) == ["a"]
    assert what_counts(purchases) == made_of("x")


def test_a_manifest_withdraws_and_delivers_again(platform: Platform, purchases: Contract) -> None:
    land(platform, "a", "x")
    came = {"path": "a", "arrived_at": "1998-01-06T01:00:00+00:00"}
    gone = {"path": "a", "withdrawn": True}
    tell(platform, came)
    take_in(purchases)
    tell(platform, came, gone)
    assert discover() == ["a: withdrawn"]
    assert what_counts(purchases) == made_of()
    land(platform, "a", "x again")
    assert discover() == [], "the source has not taken it back"
    tell(platform, came, gone, came | {"arrived_at": "1998-01-09T01:00:00+00:00"})
    assert discover() == ["a: delivered again"]
    ingest(purchases)
    assert what_counts(purchases) == made_of("x again")


def test_a_file_that_the_manifest_withdraws_at_once_is_never_taken(platform: Platform, purchases: Contract) -> None:
    land(platform, "a", "x")
    tell(platform, {"path": "a", "withdrawn": True})
    assert take_in(purchases) == []
    assert states() == {}


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("landing/shop/purchases/b.txt", "no delivery came as landing/shop/purchases/b.txt"),
        ("shop/purchases/a.txt", "landing/shop/purchases/a.txt is withdrawn already: sent by mistake"),
    ],
)
def test_what_cannot_be_withdrawn_is_told(platform: Platform, purchases: Contract, path: str, says: str) -> None:
    land(platform, "a", "x")
    take_in(purchases)
    withdraw_file("a")
    with transaction() as connection, pytest.raises(InputError, match=says):
        withdraw(connection, path, "again")
