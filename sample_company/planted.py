"""Broken rows that are planted on purpose: which kind, when, and how a good row is broken into it.

A schedule is a function of the seed and the number of the period (day or week), so the number of rows of each kind in
any stretch of time is known beforehand. No planted row can be read as a good one, and none reaches into the next line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sample_company.cdnow import AMOUNT_BYTES, COUNT_BYTES, CUSTOMER_BYTES, DAY_BYTES
from sample_company.draws import generator

PURCHASE_KINDS = (
    "bad_date",
    "missing_key",
    "bad_key",
    "negative_count",
    "out_of_range",
    "wrong_field_count",
    "invalid_utf8",
)
CUSTOMER_KINDS = (
    "bad_date",
    "missing_key",
    "bad_key",
    "wrong_field_count",
    "invalid_utf8",
    "unknown_country",
    "unknown_gender",
    "malformed_quotes",
)
EVENT_KINDS = ("cut_off", "bad_time", "missing_key", "twice_a_key", "not_a_number")


@dataclass(frozen=True)
class BrokenLine:
    """A planted row: the line of the file that it begins on (from 1), its kind, and the column at fault.

    ``rule`` is a column's name in the contract, or None where the row as a whole is at fault.
    """

    line: int
    kind: str
    rule: str | None


@dataclass(frozen=True)
class Schedule:
    """Plants each kind once every ``every`` periods, never two kinds in one period, nothing in period 0.

    ``tolerated_share`` is the contract's: a file with a greater share of broken rows would be refused whole.
    """

    seed: int
    dataset: str
    kinds: tuple[str, ...]
    every: int
    tolerated_share: float

    def kind_of(self, period: int, rows: int) -> str | None:
        """The kind that is planted in a period (days or weeks since the first) of so many rows, if any."""
        if rows * self.tolerated_share < 1:
            return None
        phases = generator(self.seed, f"{self.dataset} schedule").permutation(np.arange(1, self.every))
        kinds = dict(zip(phases.tolist(), self.kinds, strict=False))
        return kinds.get(period % self.every)


def break_purchase(kind: str, row: bytes, rng: np.random.Generator) -> tuple[bytes, str | None]:
    """Breaks a good row of 26 bytes (without line end); returns the broken row and the column at fault."""
    customer, day = row[CUSTOMER_BYTES], row[DAY_BYTES]
    count, amount = row[COUNT_BYTES], row[AMOUNT_BYTES]
    alternative = int(rng.integers(2))
    match kind:
        case "bad_date":
            # A day that no month has, and a year that was written short.
            return _purchase(customer, (day[:4] + b"0231", day[2:])[alternative], count, amount), "purchased_on"
        case "missing_key":
            # Blanks separate the fields, so a reader finds three of them and cannot tell which is missing.
            return _purchase(b"     ", day, count, amount), None
        case "bad_key":
            return _purchase((b"A" + customer[1:], customer[:4])[alternative], day, count, amount), "customer_id"
        case "negative_count":
            return _purchase(customer, day, b"-1", amount), "cd_count"
        case "out_of_range" if alternative:
            return _purchase(customer, day, count, b"99999.99"), "amount_usd"
        case "out_of_range":
            return _purchase(customer, day, b"9999", amount), "cd_count"
        case "wrong_field_count":
            return (row[: COUNT_BYTES.stop], row + b"  CD")[alternative], None
        case "invalid_utf8":
            return _purchase(customer[:2] + b"\xff" + customer[3:], day, count, amount), "customer_id"
    raise ValueError(f"no way to break a purchase is called {kind!r}")


def _purchase(customer: bytes, day: bytes, count: bytes, amount: bytes) -> bytes:
    return b" %s %s %s %s" % (customer, day, count, amount)


def break_customer(kind: str, fields: Mapping[str, str], rng: np.random.Generator) -> tuple[bytes, str | None]:
    """Breaks a customer's fields (by name, in the order of the file, none of which may need quotes).

    Returns:
        The broken record without its line end, and the column at fault.
    """
    alternative = int(rng.integers(2))
    broken = dict(fields)
    fault: str | None
    match kind:
        case "bad_date":
            fault = ("birth_date", "signed_up_on")[alternative]
            broken[fault] = ("31.12.1961", "1996-02-30")[alternative]
        case "missing_key":
            fault, broken["customer_id"] = "customer_id", ""
        case "bad_key":
            fault, broken["customer_id"] = "customer_id", fields["customer_id"][1:]
        case "wrong_field_count":
            # A comma that nobody quoted, and a record that ends early.
            fault, broken["street"] = None, fields["street"] + ", Apt 4"
            if alternative:
                return ",".join(list(fields.values())[:5]).encode(), fault
        case "invalid_utf8":
            # Latin-1 from a clerk's old terminal.
            fault, broken["full_name"] = "full_name", f"José {fields['full_name'].split()[-1]}"
            return ",".join(broken.values()).encode("latin-1", errors="replace"), fault
        case "malformed_quotes":
            # A lenient reader takes it for a name. The quotes are balanced, or they would swallow the next records.
            first, last = fields["full_name"].split(maxsplit=1)
            fault, broken["full_name"] = None, (f'{first} "Bee" {last}', f'"{first}" {last}')[alternative]
        case "unknown_country":
            fault, broken["country"] = "country", "XX"
        case "unknown_gender":
            fault, broken["gender"] = "gender", "q"
        case _:
            raise ValueError(f"no way to break a customer is called {kind!r}")
    return ",".join(broken.values()).encode(), fault


def break_event(kind: str, event: Mapping[str, Any]) -> tuple[bytes, str | None]:
    """Breaks an event of the web site.

    Returns:
        The broken line with its line end, and the column at fault.
    """
    fault: str | None = None
    broken = dict(event)
    match kind:
        case "cut_off":
            return _compact(broken)[: -len('"}') - 8] + b"\n", fault
        case "twice_a_key":
            return _compact(broken)[:-1] + b',"type":"page_view"}\n', fault
        case "bad_time":
            fault, broken["at"] = "happened_at", f"{event['at'][:5]}02-31T10:00:00.000Z"
        case "missing_key":
            fault = "event_id"
            del broken["id"]
        case "not_a_number":
            fault, broken["page"] = (
                "price_usd",
                {"path": "/cd/P00001", "product": {"id": "P00001", "price_usd": "free"}},
            )
        case _:
            raise ValueError(f"no way to break an event is called {kind!r}")
    return _compact(broken) + b"\n", fault


def _compact(event: Mapping[str, Any]) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode()
