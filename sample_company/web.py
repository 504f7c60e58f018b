"""What the shop's web site records: an object a line, packed, in a file a day, by the day of arrival.

One event in a hundred arrives one to five days late, in the file of that day. From ``DEVICE_SINCE`` on events tell of
the device, which the contract names, and of an experiment, which it does not.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sample_company import cdnow
from sample_company.catalogue import Catalogue
from sample_company.customers import Canary, CustomerBook
from sample_company.draws import bits, generator
from sample_company.landing import Content
from sample_company.planted import BrokenLine, Schedule, break_event

DEVICE_SINCE = date(1998, 1, 1)
LATE_SHARE, LATEST_DAYS = 0.01, 5
# Of the till's lines, how many were ordered on the web site; visits that end in none, for each that does.
ORDERED_SHARE, OTHER_VISITS = 0.2, 0.8
ANONYMOUS_SHARE, NEWSLETTER_SHARE = 0.3, 0.05
DEVICES = ("desktop", "laptop", "terminal")
Event = dict[str, Any]


@dataclass(frozen=True, eq=False)
class WebSite:
    """The site of a shop; the events of a day are a function of the seed and the day alone.

    ``lines_of`` gives the till's lines of a day: who orders was on the site before.
    """

    seed: int
    first_day: date
    customer_ids: Sequence[str]
    book: CustomerBook
    catalogue: Catalogue
    lines_of: Callable[[date], list[bytes]]
    schedule: Schedule
    dataset: str = "web_events"

    def is_due(self, day: date) -> bool:
        """Every day has a file, if only of events that came late."""
        return day >= self.first_day

    def content(self, day: date) -> Content:
        """What arrived on a day: that day's events but the late ones, and those late ones of the days before."""
        arrived = [
            event
            for happened in (day - timedelta(days=late) for late in range(LATEST_DAYS, -1, -1))
            if happened >= self.first_day
            for event, late in _events_of(self, happened)
            if happened + timedelta(days=late) == day
        ]
        lines, broken = [_line(event) for event in arrived], []
        if kind := self.schedule.kind_of((day - self.first_day).days, len(lines)):
            rng = generator(self.seed, "broken event", day.toordinal())
            model, place = int(rng.integers(len(arrived))), int(rng.integers(len(lines) + 1))
            line, fault = break_event(kind, arrived[model])
            lines.insert(place, line)
            broken.append(BrokenLine(place + 1, kind, fault))
        # Without the time of packing, which would make other bytes of the same lines.
        return Content(gzip.compress(b"".join(lines), mtime=0), len(lines), tuple(broken))

    def address(self, customer: int) -> str:
        """The customer's address on the net, his alone, as a range that is kept for examples has it."""
        return f"2001:db8:{customer >> 16:04x}:{customer & 0xFFFF:04x}::1"

    def canaries(self) -> list[Canary]:
        """What in the events stands for one customer only, beside the e-mail addresses of the extracts."""
        return [
            Canary(customer_id, "address", self.address(customer))
            for customer, customer_id in enumerate(self.customer_ids)
        ]

    def events_of(self, day: date) -> Iterator[tuple[Event, int]]:
        """The events that happened on a day, each with the number of days that it arrives late."""
        rng = generator(self.seed, "web", day.toordinal())
        for visit, (customer, orders) in enumerate(self._visitors(day, rng)):
            started = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(
                seconds=float(rng.uniform(0, 82_800))
            )
            for number, (kind, page) in enumerate(self._pages(customer, orders, day, rng)):
                event = self._event(day, visit, number, customer, started, kind, page)
                late = int(rng.integers(1, LATEST_DAYS + 1)) if rng.random() < LATE_SHARE else 0
                yield event, late

    def _visitors(self, day: date, rng: np.random.Generator) -> Iterator[tuple[int, bool]]:
        """Index of each visitor, -1 for who does not sign in, and whether he orders."""
        buyers = [self._index[line[cdnow.CUSTOMER_BYTES].decode()] for line in self.lines_of(day)]
        ordering = [customer for customer in buyers if rng.random() < ORDERED_SHARE]
        members = self._members(day)
        for _ in range(int(rng.poisson(len(ordering) * OTHER_VISITS))):
            known = len(members) and rng.random() >= ANONYMOUS_SHARE
            yield (int(members[rng.integers(len(members))]) if known else -1), False
        for customer in ordering:
            yield customer, True

    @cached_property
    def _index(self) -> dict[str, int]:
        return {customer_id: index for index, customer_id in enumerate(self.customer_ids)}

    def _members(self, day: date) -> NDArray[np.int64]:
        return np.flatnonzero((self.book.signed_up <= day.toordinal()) & (day.toordinal() < self.book.closes))

    def _pages(
        self, customer: int, orders: bool, day: date, rng: np.random.Generator
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        if customer >= 0 and rng.random() < NEWSLETTER_SHARE:
            yield "page_view", {"path": f"/newsletter?u={self.book.email_at_sign_up(customer)}"}
        else:
            yield "page_view", {"path": "/"}
        sold = self.catalogue.product_ids(day)
        for product in rng.integers(0, len(sold), 1 + int(rng.poisson(0.8))).tolist():
            price = {"id": sold[product], "price_usd": float(self.catalogue.price_usd(product, day))}
            yield "product_view", {"path": f"/cd/{sold[product]}", "product": price}
        if orders:
            yield "add_to_cart", {"path": f"/cd/{sold[product]}", "product": price}
            yield "checkout", {"path": "/checkout"}

    def _event(
        self, day: date, visit: int, number: int, customer: int, started: datetime, kind: str, page: dict[str, Any]
    ) -> Event:
        visitor = bits(self.seed, day.toordinal(), visit, 41)
        at = started + timedelta(seconds=number * (5 + visitor % 90))
        event: Event = {
            "id": f"{bits(self.seed, day.toordinal(), visit, number, 42):016x}",
            "at": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z",
            "type": kind,
            "visit": f"{visitor:016x}",
            "customer": {"id": self.customer_ids[customer], "address": self.address(customer)}
            if customer >= 0
            else None,
            "page": page,
        }
        if day >= DEVICE_SINCE:
            event["device"] = {
                "type": DEVICES[visitor % len(DEVICES)],
                "screen": {"width": 640 + 160 * (visitor >> 8 & 1)},
            }
            event["experiment"] = "ab"[visitor >> 16 & 1]
        return event


@lru_cache(maxsize=LATEST_DAYS + 2)
def _events_of(site: WebSite, day: date) -> list[tuple[Event, int]]:
    """A day's events, kept for the files of the days after it."""
    return list(site.events_of(day))


def _line(event: Event) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode() + b"\n"
