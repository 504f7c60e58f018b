"""Deliveries of four sales in which one thing has changed, in each format, and the contracts that read them."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.orc
import pyarrow.parquet

from data_platform.contracts.load import load_contract
from data_platform.contracts.model import Contract

FORMATS = ("csv", "json", "parquet", "orc")
DAY = date(1998, 1, 30)
TOO_LARGE = 5_000_000_000
Columns = dict[str, tuple[pa.DataType, list[Any]]]  # way of a field, or name in the header → type, values of four rows

SALES: Columns = {
    "id": (pa.string(), ["007", "a2", "a3", "a4"]),
    "day": (pa.date32(), [DAY] * 4),
    "quantity": (pa.int32(), [1, 20, -3, 0]),
    "price usd": (pa.decimal128(8, 2), [Decimal("1.50"), Decimal("-0.05"), Decimal("999999.99"), Decimal("2.00")]),
    "note": (pa.string(), ["£, two", "012", "x", "é"]),
    "page.url": (pa.string(), ["/1", "/2", "/3", "/4"]),
    "page.lang": (pa.string(), ["de", "en", "fr", "de"]),
}
CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: sales
name: Sales
version: 1.0.0
status: active
domain: shop
description: {{purpose: What was sold.}}
team: {{name: till, members: [{{username: till@shop.example, role: owner}}]}}
servers:
  - {{server: landing, type: local, path: landing/till/sales/*, format: {format}}}
schema:
  - name: sales
    dataGranularityDescription: one row a sale
    properties:
      - name: sale_id
        physicalName: id
        logicalType: string
        physicalType: text
        required: true
        description: Number of the sale.
      - name: sold_on
        physicalName: day
        logicalType: date
        physicalType: date
        required: true
        description: Day of the sale.
      - name: quantity
        logicalType: integer
        physicalType: integer
        description: How many were sold.
      - name: price_usd
        physicalName: price usd
        logicalType: number
        physicalType: numeric(8,2)
        description: What one cost.
      - name: note
        logicalType: string
        physicalType: text
        description: What the clerk wrote.
      - name: url
        physicalName: page.url
        logicalType: string
        physicalType: text
        description: Where it was sold.
      - name: language
        physicalName: page.lang
        logicalType: string
        physicalType: text
        description: Of the page.
{holder}customProperties:
  - {{property: datasetKind, value: events}}
  - {{property: eventDay, value: sold_on}}
  - {{property: toleratedBrokenShare, value: 1}}
  - {{property: schemaDrift, value: {mode}}}
"""
HOLDER = """\
      - name: other_fields
        logicalType: string
        physicalType: text
        description: What the till sends beside, as JSON.
        customProperties:
          - {property: holds, value: unknown_fields}
"""
NAMES = {  # of the contract → in a delivery
    "sale_id": "id",
    "sold_on": "day",
    "quantity": "quantity",
    "price_usd": "price usd",
    "note": "note",
    "url": "page.url",
    "language": "page.lang",
}


def text_of(mode: str, form: str) -> str:
    """The contract's file."""
    return CONTRACT.format(format=form, mode=mode, holder=HOLDER if mode == "evolve" else "")


def contract_of(root: Path, mode: str, form: str) -> Contract:
    """The contract, from a file below ``root``."""
    file = root / mode / form / "sources/till/sales.odcs.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(text_of(mode, form), encoding="utf-8")
    return load_contract(file, root / mode / form)


def without(*ways: str) -> Columns:
    return {way: column for way, column in SALES.items() if way not in ways}


def renamed(names: dict[str, str]) -> Columns:
    return {names.get(way, way): column for way, column in SALES.items()}


def with_column(way: str, data_type: pa.DataType, values: list[Any]) -> Columns:
    return SALES | {way: (data_type, values)}


NEW = (pa.int64(), [7, 8, None, 10])
DECIMALS = [value.quantize(Decimal("0.0001")) for value in SALES["price usd"][1]]
WRITTEN_OTHERWISE = {"id": "ID", "day": " Day ", "price usd": "Price_USD", "note": "N-ote", "page.url": "'PAGE.Url'"}
CHANGES: dict[str, Columns] = {
    "nothing changed": SALES,
    "a new column": with_column("gift", *NEW),
    "an optional column gone": without("note"),
    "a required column gone": without("id"),
    "an optional column renamed": renamed({"note": "remark"}),
    "a required column renamed": renamed({"id": "number"}),
    "a wider type, and one value too large": with_column("quantity", pa.int64(), [1, 20, -3, TOO_LARGE]),
    "more decimals, all of them zeros": with_column("price usd", pa.decimal128(14, 4), DECIMALS),
    "another type": with_column("quantity", pa.string(), ["one", "twenty", "three", "none"]),
    "another order": dict(reversed(SALES.items())),
    "the header written otherwise": renamed(WRITTEN_OTHERWISE),
    "a new field in an object": with_column("page.ref.site", pa.string(), ["s1", "s2", None, "007"]),
    "an optional field gone from an object": without("page.lang"),
    "a text where an object was": without("page.url", "page.lang") | {"page": SALES["page.url"]},
}


def write(columns: Columns, form: str, file: Path) -> None:
    """Writes a delivery."""
    WRITERS[form](columns, file)


def _write_csv(columns: Columns, file: Path) -> None:
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(zip(*(values for _, values in columns.values()), strict=True))


def objects(columns: Columns) -> list[dict[str, Any]]:
    """The rows, nested."""
    rows: list[dict[str, Any]] = [{} for _ in range(4)]
    for way, (_, values) in columns.items():
        *outer, last = way.split(".")
        for row, value in zip(rows, values, strict=True):
            for key in outer:
                row = row.setdefault(key, {})
            row[last] = value
    return rows


def _write_json(columns: Columns, file: Path) -> None:
    def as_text(value: Any) -> str:
        return f"number {value}" if isinstance(value, Decimal) else value.isoformat()

    lines = [json.dumps(row, default=as_text, ensure_ascii=False) for row in objects(columns)]
    file.write_text("\n".join(re.sub(r'"number ([-0-9.]+)"', r"\1", line) for line in lines), encoding="utf-8")


def _schema(columns: Columns) -> pa.Schema:
    def fields(below: dict[str, Any]) -> list[pa.Field]:
        return [
            pa.field(name, pa.struct(fields(inner)) if isinstance(inner, dict) else inner)
            for name, inner in below.items()
        ]

    tree: dict[str, Any] = {}
    for way, (data_type, _) in columns.items():
        *outer, last = way.split(".")
        place = tree
        for key in outer:
            place = place.setdefault(key, {})
        place[last] = data_type
    return pa.schema(fields(tree))


def _table(columns: Columns) -> pa.Table:
    return pa.Table.from_pylist(objects(columns), _schema(columns))


WRITERS: dict[str, Callable[[Columns, Path], None]] = {
    "csv": _write_csv,
    "json": _write_json,
    "parquet": lambda columns, file: pyarrow.parquet.write_table(_table(columns), file, row_group_size=3),
    "orc": lambda columns, file: pyarrow.orc.write_table(_table(columns), file),
}
