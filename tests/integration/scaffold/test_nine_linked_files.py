"""A shop's nine linked exports, dirty as they are, become nine datasets by drafted contracts alone."""

from __future__ import annotations

import csv
import io
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from data_platform.cli.main import build_app
from data_platform.contracts.load import get_contracts
from data_platform.failures import GateFailure
from data_platform.intervals import Interval
from data_platform.landing import local_path
from data_platform.orchestrate import open_work
from data_platform.steps import perform
from data_platform.warehouse.connection import execute, query, transaction
from tests.conftest import Platform, forget_settings

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("spark_server")]
LINKS = {
    "order_items": {"order_id": "orders.order_id"},
    "order_payments": {"order_id": "orders.order_id"},
    "order_reviews": {"order_id": "orders.order_id"},
    "orders": {"customer_id": "customers.customer_id"},
}
DAY = date(1998, 1, 31)
ROWS = 40
START = datetime(1998, 1, 5, 9, 30, 15)


def exports() -> dict[str, tuple[list[str], list[list[Any]]]]:
    """File → header and rows."""
    ids = [f"{n * 7919:032x}" for n in range(ROWS)]
    moments = [START + timedelta(hours=n) for n in range(ROWS)]
    return {
        "customers": (["customer_id", "zip_code_prefix", "state"], [[i, f"0{n:04d}", "SP"] for n, i in enumerate(ids)]),
        "geolocation": (
            ["zip_code_prefix", "lat", "lng"],
            [[f"0{n:04d}", -23.5 - n / 7, f"{-46.6 + n / 9:.15f}"] for n in range(ROWS)],
        ),
        "order_items": (
            ["order_id", "order_item_id", "shipping_limit_date", "price"],
            [[i, k, moments[n], f"{n}.{k}0"] for n, i in enumerate(ids) for k in (1, 2)],
        ),
        "order_payments": (
            ["order_id", "payment_sequential", "payment_value"],
            [[i, 1, f"{n}.99"] for n, i in enumerate(ids)],
        ),
        "order_reviews": (
            ["review_id", "order_id", "score", "comment_message", "answered_at"],
            [
                [f"r{n:031d}", i, 1 + n % 5, ("", "good", 'he said "no"\r\nand\nleft; again, late')[n % 3], moments[n]]
                for n, i in enumerate(ids)
            ],
        ),
        "orders": (
            ["order_id", "customer_id", "status", "purchase_timestamp", "delivered_at"],
            [[i, i, "shipped", moments[n], moments[n] if n % 2 else ""] for n, i in enumerate(ids)],
        ),
        "products": (
            ["product_id", "category", "weight_g"],
            [[i, "" if n % 9 == 0 else "toys", n * 100 if n % 8 else ""] for n, i in enumerate(ids)],
        ),
        "sellers": (
            ["seller_id", "zip_code_prefix", "city"],
            [[i, f"0{n:04d}", "são paulo"] for n, i in enumerate(ids)],
        ),
        "category_names": (
            ["category", "category_english"],
            [[f"categoria_{n}", f"category_{n}"] for n in range(ROWS)],
        ),
    }


def text_of(name: str, header: list[str], rows: list[list[Any]]) -> bytes:
    """As the shop writes it: one file with a byte-order mark, one without a last line break, one all in quotes."""
    stream = io.StringIO()
    quoting = csv.QUOTE_ALL if name == "sellers" else csv.QUOTE_MINIMAL
    writer = csv.writer(stream, quoting=quoting, lineterminator="\r\n" if name == "orders" else "\n")
    writer.writerows([header, *rows])
    text = stream.getvalue()
    text = text.rstrip("\n") if name == "products" else text
    return text.encode("utf-8-sig" if name == "category_names" else "utf-8")


def link(contract: Path, links: dict[str, str]) -> None:
    """What somebody adds to a draft by hand: where its columns point to."""
    document = yaml.safe_load(contract.read_text("utf-8"))
    for column in document["schema"][0]["properties"]:
        if column["name"] in links:
            column["relationships"] = [{"to": links[column["name"]]}]
    contract.write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")


def test_each_file_is_a_dataset_with_every_row_and_points_to_what_is_there(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROJECT_ROOT", str(tmp_path / "project"))
    forget_settings()
    files = exports()
    for name, (header, rows) in files.items():
        file = tmp_path / "exports" / f"{name}_dataset.csv"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(text_of(name, header, rows))
        done = CliRunner().invoke(build_app(), ["new", "dataset", name, "--source", "olist", "--from", str(file)])
        assert done.exit_code == 0, done.output
        forget_settings()
        location = get_contracts()[name].location
        assert location
        landed = local_path(location.replace("{extract_day}", str(DAY)).replace("*", "all"))
        landed.parent.mkdir(parents=True, exist_ok=True)
        landed.write_bytes(file.read_bytes())
    for name, links in LINKS.items():
        link(tmp_path / f"project/contracts/sources/olist/{name}.odcs.yaml", links)
    forget_settings()
    run = open_work(Interval(START.date(), DAY + timedelta(days=1))).run
    assert run
    for step in ("ingest", "gate:ingest", "stage"):
        perform(run.run_id, step)
    with transaction() as connection:
        counts = query(connection, "select dataset, rows_read, rows_live, rows_quarantined from ops.files")
        assert {c["dataset"]: (c["rows_read"], c["rows_live"], c["rows_quarantined"]) for c in counts} == {
            name: (len(rows), len(rows), 0) for name, (_, rows) in files.items()
        }
        staged = {name: query(connection, f'select * from "run_{run.run_id}".{name}__new') for name in files}
    assert {name: len(rows) for name, rows in staged.items()} == {name: len(rows) for name, (_, rows) in files.items()}
    assert sum(r["price"] for r in staged["order_items"]) == sum(Decimal(r[3]) for r in files["order_items"][1])
    assert {r["zip_code_prefix"] for r in staged["sellers"]} == {r[1] for r in files["sellers"][1]}
    texts = {r["comment_message"] for r in staged["order_reviews"]}
    assert texts == {None, "good", 'he said "no"\r\nand\nleft; again, late'}
    keys = {name: [c.name for c in get_contracts()[name].columns if c.primary_key] for name in files}
    assert keys["order_items"] == ["order_id", "order_item_id"]
    assert keys["customers"] == ["customer_id"]
    perform(run.run_id, "gate:stage")
    with transaction() as connection:
        execute(
            connection,
            f'delete from "run_{run.run_id}".orders__new where customer_id = %s',
            (files["orders"][1][0][1],),
        )
    with pytest.raises(GateFailure, match="stands_in_orders"):
        perform(run.run_id, "gate:stage")
