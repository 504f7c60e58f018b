"""The law of row overrides: bound to text and occurrence, looked at where a row breaks a rule, lapsed without one."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

import pytest

from data_platform import ledger
from data_platform.arrivals import changes_of_days
from data_platform.clock import business_now
from data_platform.contracts.load import get_contracts
from data_platform.contracts.model import Contract
from data_platform.failures import InputError
from data_platform.ledger import DayDigest, Delivery, QuarantinedRow
from data_platform.overrides import (
    OverrideResult,
    digest_of,
    hash_older_rows,
    list_overrides,
    revoke,
    wanted_overrides,
)
from data_platform.privacy import decrypt, quarantine_key
from data_platform.quarantine import Fix, find_row, find_rows, list_rows, write_fixes
from data_platform.staleness import find_stale
from data_platform.warehouse.connection import execute, query, transaction
from data_platform.withdrawals import withdraw
from tests.conftest import Platform

pytestmark = pytest.mark.integration
DAY = date(1998, 1, 5)
HISTORIES, EVENTS = 10, 16
GOOD, BROKEN = ("a", "b", "c"), ("x?", "y?")
ROUNDS = 2


@pytest.fixture
def purchases(platform: Platform) -> Contract:
    return get_contracts()["purchases"]


@dataclass
class World:
    """What came from outside: files by name, whether the rule is lenient, and the newest decision on a broken text."""

    files: dict[str, tuple[str, ...]] = field(default_factory=dict)
    lenient: bool = False
    decisions: dict[tuple[str, int], str | None] = field(default_factory=dict)

    def lines(self) -> Counter[str]:
        """Lines that count: of equal files one."""
        return Counter(line for lines in set(self.files.values()) for line in lines)

    def live(self) -> Counter[str]:
        """The rows that a clean load of the corrected files has."""
        rows: Counter[str] = Counter()
        for line, copies in self.lines().items():
            for occurrence in range(1, copies + 1):
                mended = self.decisions.get((line, occurrence))
                if passes(line, lenient=self.lenient):
                    rows[line] += 1
                elif mended and passes(mended, lenient=self.lenient):
                    rows[mended] += 1
        return rows


def passes(line: str, *, lenient: bool) -> bool:
    """The rule: nothing questionable; the lenient one lets x pass."""
    return not line.endswith("?") or (lenient and line == "x?")


def contract_of(purchases: Contract, *, lenient: bool) -> Contract:
    """The contract; the lenient one is read by another version."""
    return purchases.model_copy(update={"columns": purchases.columns[:-1]}) if lenient else purchases


def land(platform: Platform, name: str, lines: Iterable[str]) -> Path:
    file = platform.landing / "shop/purchases" / f"{name}.txt"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines))
    return file


def number_of(lines: Iterable[str]) -> Decimal:
    return sum((Decimal(int(sha256(line.encode()).hexdigest()[:15], 16)) for line in lines), Decimal(0))


def run(purchases: Contract, *, lenient: bool = False) -> int:
    """Discovers and reads, as a run does; returns how many deliveries were read."""
    contract = contract_of(purchases, lenient=lenient)
    with transaction() as connection:
        ledger.discover(connection, get_contracts().of_layer("sources"))
    read = 0
    for _ in range(ROUNDS):
        with transaction() as connection:
            for delivery in ledger.to_ingest(connection, contract):
                read_one(connection, contract, delivery, lenient=lenient)
                read += 1
    return read


def read_one(connection: ledger.Connection, contract: Contract, delivery: Delivery, *, lenient: bool) -> None:
    """Reads a file whose lines are its rows, all of one day."""
    lines = ledger.local_path(delivery.path).read_text().split("\n")
    broken = {n: line for n, line in enumerate(lines, start=1) if not passes(line, lenient=lenient)}
    live = [line for line in lines if passes(line, lenient=lenient)]
    results = []
    for override in wanted_overrides(connection, [delivery.file_id]):
        if override.line in broken and digest_of(broken[override.line]) == override.raw_digest:
            text = decrypt(override.corrected, quarantine_key())
            if passes(text, lenient=lenient):
                live.append(text)
                del broken[override.line]
                results.append(OverrideResult(override.override_id, override.line, day=DAY))
            else:
                results.append(OverrideResult(override.override_id, override.line, rule="range"))
    ledger.mark_live(
        connection,
        contract,
        delivery,
        ingest_id=ledger.next_ingest_id(connection),
        rows_read=len(lines),
        days=[DayDigest(DAY, len(live), number_of(live))] if live else [],
        quarantined=[QuarantinedRow(n, "range", None, line) for n, line in broken.items()],
        overridden=results,
    )


def fix(path: str, line: int, text: str | None) -> int:
    with transaction("steward") as connection:
        return write_fixes(connection, [Fix(find_row(connection, path, line), text)], "because")[0]


def take_back(override: int) -> None:
    with transaction("steward") as connection:
        revoke(connection, override, reason="no", by="me", at=business_now())


def states() -> dict[int, str]:
    with transaction("steward") as connection:
        return {row["override_id"]: f"{row['state']}: {row['why']}" for row in list_overrides(connection)}


def live_rows() -> tuple[int, Decimal]:
    with transaction() as connection:
        rows = query(
            connection,
            """select coalesce(sum(rows), 0) as rows, coalesce(sum(digest), 0) as digest
               from ops.deliveries join ops.file_days using (file_id) where state = 'live'""",
        )
    return int(rows[0]["rows"]), rows[0]["digest"]


def stale_deliveries(contract: Contract) -> dict[str, str]:
    with transaction() as connection:
        found = find_stale(connection, DAY, [contract.dataset])
    return {Path(s.what).stem: s.reason for s in found if s.what.startswith("landing/")}


class Guide:
    """Lets random events happen to a platform and to the world alike."""

    def __init__(self, platform: Platform, purchases: Contract, seed: int) -> None:
        self.platform, self.purchases, self.world = platform, purchases, World()
        self.chance = random.Random(seed)  # noqa: S311 - not to be secret

    def happen(self) -> None:
        events = [self.deliver, self.deliver, self.withdraw, self.decide, self.decide, self.decide, self.change_mind]
        self.chance.choice([*events, self.change_rule])()

    def settle(self) -> None:
        run(self.purchases, lenient=self.world.lenient)

    def deliver(self) -> None:
        name = self.chance.choice("fgh")
        lines = tuple(self.chance.choice(GOOD + BROKEN * 2) for _ in range(self.chance.randint(1, 4)))
        land(self.platform, name, lines)
        self.world.files[name] = lines
        if self.chance.random() < 0.5:
            self.settle()

    def withdraw(self) -> None:
        self.settle()
        if self.world.files:
            name = self.chance.choice(sorted(self.world.files))
            self.world.files.pop(name)
            (self.platform.landing / f"shop/purchases/{name}.txt").unlink()
            with transaction() as connection:
                withdraw(connection, f"shop/purchases/{name}.txt", "random")

    def decide(self) -> None:
        """On a row that is in quarantine now; in the strict times also with a text that breaks the rule itself."""
        self.settle()
        with transaction("steward") as connection:
            rows = find_rows(connection)
        if not rows:
            return
        row = self.chance.choice(rows)
        text = self.chance.choice(["mended", "other", "z?", None])
        with transaction("steward") as connection:
            write_fixes(connection, [Fix(row, text)], "random")
        self.world.decisions[row.text(), row.occurrence] = text

    def change_mind(self) -> None:
        with transaction("steward") as connection:
            rows = [r for r in list_overrides(connection) if r["state"] not in ("revoked", "replaced")]
            if not rows:
                return
            number = self.chance.choice(rows)["override_id"]
            revoke(connection, number, reason="random", by="me", at=business_now())
            bound = query(connection, "select * from quarantine.row_overrides where override_id = %s", (number,))[0]
        texts = {digest_of(text): text for text in BROKEN}
        del self.world.decisions[texts[bound["raw_digest"]], bound["occurrence"]]

    def change_rule(self) -> None:
        self.settle()
        self.world.lenient = not self.world.lenient


@pytest.mark.parametrize("seed", range(HISTORIES))
def test_live_rows_are_those_of_a_clean_load_of_the_corrected_files(
    platform: Platform, purchases: Contract, seed: int
) -> None:
    guide = Guide(platform, purchases, seed)
    for _ in range(EVENTS):
        guide.happen()
    guide.settle()
    expected = guide.world.live()
    assert live_rows() == (expected.total(), number_of(expected.elements()))
    assert run(purchases, lenient=guide.world.lenient) == 0, "one run settles it"
    with transaction() as connection:
        rows = query(
            connection,
            "select rows_read, rows_live + rows_quarantined as kept from ops.deliveries where state = 'live'",
        )
    assert all(r["rows_read"] == r["kept"] for r in rows)


def test_an_override_holds_for_its_text_in_any_file(platform: Platform, purchases: Contract) -> None:
    land(platform, "f", ["a", "x?"])
    run(purchases)
    fix("shop/purchases/f.txt", 2, "mended")
    assert stale_deliveries(purchases) == {"f": "quarantine fixed"}
    assert run(purchases) == 1
    assert live_rows() == (2, number_of(["a", "mended"]))
    assert stale_deliveries(purchases) == {}
    land(platform, "f", ["x?", "b", "a"])
    run(purchases)
    assert live_rows() == (3, number_of(["a", "b", "mended"])), "also on another line of a later version"
    (platform.landing / "shop/purchases/f.txt").rename(platform.landing / "shop/purchases/g.txt")
    run(purchases)
    with transaction() as connection:
        withdraw(connection, "shop/purchases/f.txt", "renamed")
    run(purchases)
    assert live_rows() == (3, number_of(["a", "b", "mended"])), "and in a renamed file"
    assert states() == {1: "applied: "}


def test_of_equal_rows_one_is_put_right_at_a_time(platform: Platform, purchases: Contract) -> None:
    land(platform, "f", ["a", "x?", "x?"])
    land(platform, "g", ["x?"])
    run(purchases)
    fix("landing/shop/purchases/f.txt", 3, "mended")
    run(purchases)
    assert live_rows() == (2, number_of(["a", "mended"]))
    land(platform, "f", ["a"])
    run(purchases)
    assert live_rows() == (1, number_of(["a"])), "there is no second one any more"
    assert states() == {1: "lapsed: no live delivery has that text any more"}


def test_an_override_lapses_when_its_row_passes_and_fails_when_its_text_does_not(
    platform: Platform, purchases: Contract
) -> None:
    land(platform, "f", ["x?", "y?", "y?"])
    run(purchases)
    fix("shop/purchases/f.txt", 1, "mended")
    fix("shop/purchases/f.txt", 2, "also?")
    fix("shop/purchases/f.txt", 3, None)
    run(purchases)
    assert states() == {1: "applied: ", 2: "failing: rule range", 3: "settled: the row stays out"}
    with transaction("steward") as connection:
        assert [row["state"] for row in list_rows(connection, None)] == ["failing", "settled"]
    run(purchases, lenient=True)
    assert live_rows() == (1, number_of(["x?"]))
    assert states()[1] == "lapsed: the row passes unaided"


def test_the_newest_decision_counts_and_a_revoked_one_brings_nothing_back(
    platform: Platform, purchases: Contract
) -> None:
    land(platform, "f", ["x?"])
    run(purchases)
    first, second = fix("shop/purchases/f.txt", 1, "one"), fix("shop/purchases/f.txt", 1, "two")
    run(purchases)
    assert live_rows() == (1, number_of(["two"]))
    with transaction() as connection, pytest.raises(InputError, match="override 2 put it right"):
        find_row(connection, "shop/purchases/f.txt", 1)
    take_back(second)
    assert stale_deliveries(purchases) == {"f": "quarantine fixed"}
    run(purchases)
    assert live_rows() == (0, Decimal(0))
    with pytest.raises(InputError, match="replaced already"):
        take_back(first)
    with pytest.raises(InputError, match="revoked already: no"):
        take_back(second)
    with pytest.raises(InputError, match="there is no override 9"):
        take_back(9)


def test_an_override_waits_for_a_file_that_has_left_landing(platform: Platform, purchases: Contract) -> None:
    file = land(platform, "f", ["x?", "a"])
    run(purchases)
    fix("shop/purchases/f.txt", 1, "mended")
    file.unlink()
    assert run(purchases) == 0
    assert stale_deliveries(purchases)["f"].startswith("held back: quarantine fixed, but the file has left landing")
    land(platform, "f", ["x?", "a"])
    assert run(purchases) == 1
    assert live_rows() == (2, number_of(["a", "mended"]))


def test_a_reading_that_fails_is_tried_again_when_overrides_change(platform: Platform, purchases: Contract) -> None:
    land(platform, "f", ["x?", "y?"])
    run(purchases)
    number = fix("shop/purchases/f.txt", 1, "mended")
    with transaction() as connection:
        (delivery,) = ledger.to_ingest(connection, purchases)
        ledger.mark_failed(connection, purchases, delivery, "the disk is broken", overrides=[number])
        assert ledger.to_ingest(connection, purchases) == [], "not with the same overrides"
    assert stale_deliveries(purchases) == {"f": "held back: the disk is broken"}
    fix("shop/purchases/f.txt", 2, "also")
    assert run(purchases) == 1
    assert live_rows() == (2, number_of(["mended", "also"]))


def test_rows_from_before_there_were_overrides_can_be_fixed(platform: Platform, purchases: Contract) -> None:
    land(platform, "f", ["x?"])
    run(purchases)
    with transaction() as connection:
        execute(connection, "update quarantine.rows set raw_digest = null")
        hash_older_rows(connection)
    fix("shop/purchases/f.txt", 1, "mended")
    run(purchases)
    assert live_rows() == (1, number_of(["mended"]))


def test_a_day_is_known_to_change_since_the_decision(platform: Platform, purchases: Contract) -> None:
    land(platform, "f", ["x?", "a"])
    run(purchases)
    publish(purchases)
    number = fix("shop/purchases/f.txt", 1, "mended")
    run(purchases)
    assert changed_at(purchases) == arrival("row_overrides", number)
    publish(purchases)
    take_back(number)
    run(purchases)
    assert changed_at(purchases) == arrival("revocations", number)
    later = fix("shop/purchases/f.txt", 1, "other")
    run(purchases)
    assert changed_at(purchases) == arrival("row_overrides", later)


def attempts(purchases: Contract) -> list[tuple[int, int]]:
    with transaction() as connection:
        return ledger.live_attempts(connection, purchases.dataset, [DAY])


def publish(purchases: Contract) -> None:
    """Records that the day was published from what the ledger has."""
    with transaction() as connection:
        execute(connection, "insert into ops.runs (run_id, kind) values ('r', 'run') on conflict do nothing")
        execute(
            connection,
            """with publication as (
                   insert into ops.publications (run_id, through_day, read_set, input_files)
                   values ('r', %(day)s, '{}', jsonb_build_object('purchases', %(attempts)s::jsonb))
                   returning publication_id)
               insert into ops.published_days select 'raw.purchases', %(day)s, 'f', publication_id from publication
               on conflict (table_name, day) do update set publication_id = excluded.publication_id""",
            {"day": DAY, "attempts": str([list(a) for a in attempts(purchases)])},
        )


def changed_at(purchases: Contract) -> datetime | None:
    with transaction() as connection:
        (change,) = changes_of_days(connection, purchases, [DAY], attempts(purchases), {})
    return change.changed_at


def arrival(table: str, override: int) -> datetime:
    with transaction() as connection:
        rows = query(
            connection,
            f"select arrived_at from quarantine.{table} where override_id = %s",
            (override,),
        )
    return rows[0]["arrived_at"]
