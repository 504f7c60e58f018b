"""The support desk's tickets: an object a line, a file a day, with personal data wherever people write it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any

from sample_company.customers import CustomerBook
from sample_company.draws import bits, generator
from sample_company.landing import Content

TICKETS_A_LINE = 0.05  # of the till
CHANNELS = ("e-mail", "telephone", "letter")
# By topic: a subject, and a text over the customer's fields and the purchase's day and value.
TOPICS: Mapping[str, tuple[str, str]] = {
    "not_delivered": (
        "Order of {day} has not come",
        "Hello,\nmy order of {day} over {amount} USD has not arrived at {street}, {city}. "
        "Please write to {email} or call {phone}.\nRegards, {full_name}",
    ),
    "wrong_cd": (
        "Wrong CD for {family}",
        "The parcel of {day} held another CD than the one I ordered. My number is {phone}, ask for {full_name}. "
        "I paid {amount} USD for it.",
    ),
    "address": (
        "Change of address",
        "I have moved and now live in {street}\n{city}. My customer number is {customer_id}. {full_name}",
    ),
    "refund": (
        "Refund of {amount} USD",
        "Please refund {amount} USD of {day} to my card {card}, not to the account {iban}. You reach me at {email}. "
        "-- {initial}. {family}",
    ),
    "thanks": ("Thank you", "The CDs of {day} came within three days, thank you! {first}"),
    "log_in": (
        "Cannot log in",
        "Your page says that {email} is unknown. I was at address {address} at 10:45, order 4711-{serial}.",
    ),
}


@dataclass(frozen=True, eq=False)
class SupportDesk:
    """Tickets of who bought lately; those of a day are a function of the seed and the day alone."""

    seed: int
    first_day: date
    customer_ids: Sequence[str]
    book: CustomerBook
    lines_of: Callable[[date], list[bytes]]
    dataset: str = "tickets"

    def is_due(self, day: date) -> bool:
        """Whether somebody opens a ticket that day."""
        return day >= self.first_day and bool(self._purchases(day))

    def content(self, day: date) -> Content:
        """The tickets opened on a day, by time."""
        purchases = self._purchases(day)
        seconds = sorted(generator(self.seed, "times", day.toordinal()).integers(0, 86_400, len(purchases)).tolist())
        tickets = [
            self._ticket(day, number, second, line)
            for number, (second, line) in enumerate(zip(seconds, purchases, strict=True))
        ]
        lines = [json.dumps(ticket, ensure_ascii=False).encode() + b"\n" for ticket in tickets]
        return Content(b"".join(lines), len(lines))

    def _purchases(self, day: date) -> list[list[bytes]]:
        """Fields of the till's lines that tickets of a day are about."""
        rng = generator(self.seed, "tickets", day.toordinal())
        bought_on = max(self.first_day, day - timedelta(days=int(rng.integers(2, 9))))
        return [line.split() for line in self.lines_of(bought_on) if rng.random() < TICKETS_A_LINE]

    def _ticket(self, day: date, number: int, second: int, line: list[bytes]) -> dict[str, Any]:
        customer_id, bought_on, _, amount = (field.decode() for field in line)
        chance = bits(self.seed, day.toordinal(), number, 51)
        topic = list(TOPICS)[chance % len(TOPICS)]
        fields = self._fields(customer_id, day, chance) | {"day": bought_on, "amount": amount}
        subject, body = (text.format(**fields) for text in TOPICS[topic])
        opened = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(seconds=second)
        return {
            "id": f"T{day:%Y%m%d}-{number:04d}",
            "opened_at": f"{opened:%Y-%m-%dT%H:%M:%SZ}",
            "customer_id": customer_id,
            "channel": CHANNELS[(chance >> 8) % len(CHANNELS)],
            "topic": topic,
            "text": {"subject": subject, "body": body},
            "order": {"bought_on": bought_on, "amount_usd": float(amount)},
        }

    def _fields(self, customer_id: str, day: date, chance: int) -> dict[str, str]:
        profile = self.book.profile_fields(self._index[customer_id], day)
        first, family = profile["full_name"].split(maxsplit=1)
        return profile | {
            "first": first,
            "family": family,
            "initial": first[0],
            "card": _card(chance),
            "iban": _iban(chance),
            "address": f"192.0.2.{(chance >> 12) % 256}",
            "serial": f"{chance % 10_000:04d}",
        }

    @cached_property
    def _index(self) -> dict[str, int]:
        return {customer_id: index for index, customer_id in enumerate(self.customer_ids)}


def _card(chance: int) -> str:
    """A card number of a range for tests, with its check digit, in groups of four."""
    digits = f"400000{chance % 10**9:09d}"
    doubled = [int(d) * (2 if at % 2 == 0 else 1) for at, d in enumerate(digits)]
    check = -sum(d - 9 if d > 9 else d for d in doubled) % 10
    return " ".join((digits + str(check))[at : at + 4] for at in range(0, 16, 4))


def _iban(chance: int) -> str:
    """A German account number, with its check digits."""
    account = f"{37040044:08d}{chance % 10**10:010d}"
    check = 98 - int(account + "131400") % 97  # D, E and 00 as the standard counts letters
    return f"DE{check:02d}{account}"
