"""The ledger alone, without Spark: each delivery is one row of one day, which says what the file says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

from data_platform import ledger
from data_platform.contracts.load import get_contracts
from data_platform.contracts.model import Contract
from data_platform.ledger import DayDigest, Delivery
from data_platform.warehouse.connection import Connection, query, transaction
from data_platform.withdrawals import withdraw
from tests.conftest import Platform

DAY = date(1998, 1, 5)
UNREADABLE = "?"


def changed(contract: Contract) -> Contract:
    """The same dataset under a contract that reads it differently."""
    return contract.model_copy(update={"columns": contract.columns[:-1]})


def land(platform: Platform, name: str, content: str) -> Path:
    file = platform.landing / "shop/purchases" / f"{name}.txt"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    return file


def tell(platform: Platform, *entries: Mapping[str, object]) -> None:
    lines = "".join(json.dumps({**entry, "path": f"shop/purchases/{entry['path']}.txt"}) + "\n" for entry in entries)
    (platform.landing / "shop/manifest.jsonl").write_text(lines)


def discover() -> list[str]:
    with transaction() as connection:
        found = ledger.discover(connection, get_contracts().of_layer("sources"))
    return [f"{Path(f['path']).stem}: {f['what']}" for f in found]


def ingest(contract: Contract, unreadable: str = UNREADABLE) -> list[str]:
    """Reads what waits, each content a row of its own; returns the names of the files."""
    with transaction() as connection:
        waiting = ledger.to_ingest(connection, contract)
        for delivery in waiting:
            if ledger.local_path(delivery.path).read_text() == unreadable:
                ledger.mark_failed(connection, contract, delivery, "cannot be read")
            else:
                mark_read(connection, contract, delivery)
    return [Path(d.path).stem for d in waiting]


def mark_read(connection: Connection, contract: Contract, delivery: Delivery) -> None:
    """A delivery has come into the lake: a row that says what its file says."""
    content = ledger.local_path(delivery.path).read_text()
    assert sha256(content.encode()).hexdigest() == delivery.sha256, "another version is read than was found"
    ledger.mark_live(
        connection,
        contract,
        delivery,
        ingest_id=ledger.next_ingest_id(connection),
        rows_read=1,
        days=[DayDigest(DAY, 1, number_of(content))],
        quarantined=[],
    )


def take_in(contract: Contract, unreadable: str = UNREADABLE) -> list[str]:
    discover()
    return ingest(contract, unreadable)


def withdraw_file(name: str) -> None:
    with transaction() as connection:
        withdraw(connection, f"landing/shop/purchases/{name}.txt", "sent by mistake")


def number_of(content: str) -> Decimal:
    return Decimal(int(sha256(content.encode()).hexdigest()[:15], 16))


def what_counts(contract: Contract) -> str:
    """Rows and digest of the day."""
    with transaction() as connection:
        return ledger.fingerprints(connection, contract).get(DAY, ":0:0").partition(":")[2]


def made_of(*contents: str) -> str:
    return f"{len(contents)}:{sum(map(number_of, contents))}"


def states() -> dict[str, str]:
    """Path to the state of its newest version."""
    with transaction() as connection:
        rows = query(connection, "select path, state from ops.deliveries order by file_id")
    return {Path(r["path"]).stem: r["state"] for r in rows}
