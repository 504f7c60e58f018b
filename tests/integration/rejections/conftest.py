"""A published shop with a rule that it keeps, and what comes to it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from data_platform import orchestrate, staleness
from data_platform.contracts.load import get_contracts
from data_platform.contracts.parts import Relationship
from data_platform.contracts.quality import Quality
from data_platform.gates.rules import Gate
from data_platform.intervals import ONE_DAY
from data_platform.ledger import fingerprints
from data_platform.rejections import Rejection, present_basis, reject
from data_platform.staleness import is_work
from data_platform.steps import perform
from data_platform.warehouse.connection import query, transaction
from tests.conftest import SHOP_DAYS, Platform, forget_settings
from tests.contracts import change_contract
from tests.landing import HEADERS, add_purchases, purchase
from tests.state import stale

START, DUE = SHOP_DAYS.start, SHOP_DAYS.end
LAST = DUE - ONE_DAY
BAD, GOOD = START + ONE_DAY, START + 3 * ONE_DAY


@pytest.fixture(autouse=True)
def rule(shop: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shop never sells for this amount, as the gate after stage knows."""
    add_rule(monkeypatch, "purchases", "never_so_much", "amount_usd = 666")


def add_rule(patch: pytest.MonkeyPatch, dataset: str, name: str, condition: str) -> None:
    contract = get_contracts()[dataset]
    rule = Quality.model_validate(
        {
            "id": name,
            "type": "sql",
            "query": f"select count(*) from {{object}} where {condition}",
            "mustBe": 0,
            "severity": "error",
            "description": "2026-11 a rule of this test.",
        }
    )
    change_contract(patch, dataset, quality=(*contract.quality, rule))


def add_foreign_key(patch: pytest.MonkeyPatch, dataset: str, name: str, to: str) -> None:
    columns = [
        column.model_copy(update={"relationships": (Relationship(to=to),)}) if column.name == name else column
        for column in get_contracts()[dataset].columns
    ]
    change_contract(patch, dataset, columns=tuple(columns))


@pytest.fixture
def day_after(shop: Platform, monkeypatch: pytest.MonkeyPatch) -> date:
    """The business date moves on: ``DUE`` is the due day."""
    kept = dict(get_contracts()._by_dataset)
    offset = (datetime.now(UTC).date() - DUE - ONE_DAY).days
    monkeypatch.setenv("BUSINESS_DATE_OFFSET_DAYS", str(offset))
    forget_settings()
    get_contracts()._by_dataset.update(kept)
    return DUE


def land(shop: Platform, name: object, *lines: bytes) -> Path:
    file = shop.landing / "shop/purchases" / f"{name}.txt"
    file.write_bytes(b"".join([HEADERS["purchases"].encode(), b"\r\n", *lines]))
    return file


def land_customers_of_france(shop: Platform, day: date) -> None:
    """An extract of that day, in which those who lived in the US have moved."""
    folder = shop.landing / "shop/customers"
    (folder / f"{day}.csv").write_text((folder / f"{START}.csv").read_text().replace(",US,", ",FR,"))


def land_a_new_customer(shop: Platform, day: date | None = None) -> None:
    """An extract of that day, or the newest delivered again, names one more customer: 99999."""
    newest = max((shop.landing / "shop/customers").glob("*.csv"))
    lines = newest.read_text().splitlines()
    file = newest.with_stem(str(day)) if day else newest
    file.write_text("\n".join([*lines, "99999" + lines[1][5:], ""]))


def sell_to_the_new_customer(shop: Platform, amount: str, day: date) -> None:
    add_purchases(shop.landing, day, purchase(day, amount).replace(b"00001", b"99999"))


def correct(shop: Platform, **amounts: date) -> None:
    for amount, day in amounts.items():
        add_purchases(shop.landing, day, purchase(day, amount.removeprefix("usd_").replace("_", ".")))


def held() -> dict[str, str]:
    return {s.what: s.reason for s in stale() if not is_work(s)}


def remembered() -> list[dict[str, Any]]:
    with transaction() as connection:
        return query(connection, "select * from ops.rejections order by dataset, day")


def amounts(table: str = "raw.purchases") -> set[str]:
    with transaction() as connection:
        return {str(r["amount_usd"]) for r in query(connection, f"select amount_usd from {table}")}


def speaks_through() -> date | None:
    with transaction() as connection:
        return staleness.published_through(connection)


def schemas() -> set[str]:
    with transaction() as connection:
        return {r["nspname"] for r in query(connection, "select nspname from pg_namespace where nspname like 'run_%'")}


def reject_by_hand(*days: date, gate: Gate = "stage", dataset: str = "purchases") -> None:
    """Reads what has come, and rejects what it brought of these days, as a run does after its search."""
    opened = orchestrate.open_work(None)
    assert opened.run
    perform(opened.run.run_id, "ingest")
    with transaction() as connection:
        live = fingerprints(connection, get_contracts()[dataset])
        said = {day: Rejection(live[day], gate, opened.run.run_id, "a test") for day in days}
        reject(connection, opened.run, present_basis(connection), {dataset: said})
