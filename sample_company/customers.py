"""The CRM's weekly extracts: every customer who has an account on that day, and what changed from week to week."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from data_platform.failures import InputError
from sample_company import names
from sample_company.draws import generator
from sample_company.landing import Content
from sample_company.people import COLUMNS, People, Profile, needs_quotes
from sample_company.planted import BrokenLine, Schedule, break_customer

EOL = b"\r\n"
HEADER = ",".join(COLUMNS).encode() + EOL
WEEK_DAYS = 7
WEEKLY_CHANGES = {"email": 0.0007, "phone": 0.0007, "address": 0.0012, "country": 0.0002}


@dataclass(frozen=True)
class Canary:
    """A value that stands for one customer only; ``text`` is ASCII and stands so in the extract's bytes."""

    customer_id: str
    field: str
    text: str


class CustomerBook:
    """The extracts of a shop: each a function of the seed and its day alone.

    Profiles are carried from week to week and records kept until they change, which makes a year of extracts cheap in
    order of time; going back starts again from the first week.
    """

    dataset = "customers"

    def __init__(
        self,
        customer_ids: Sequence[str],
        *,
        seed: int,
        first_extract: date,
        signed_up: NDArray[np.int64],
        closes: NDArray[np.int64],
        schedule: Schedule,
    ) -> None:
        """Takes customers in the order of the extracts, which is that of their ids.

        Args:
            first_extract: its weekday is that of all extracts.
            signed_up, closes: first day with an account and first day without it, in days since 0001-01-01.
            schedule: when a broken record is planted, in weeks.
        """
        shares = np.cumsum(names.COUNTRY_SHARES)
        chance = generator(seed, "homes").random(len(customer_ids)) * shares[-1]
        origins = np.searchsorted(shares, chance, side="right").tolist()
        self.first_extract = first_extract
        self.signed_up, self.closes = signed_up, closes
        self._seed, self._schedule = seed, schedule
        self._people = People(seed, customer_ids, origins, signed_up.tolist())
        self._rewind()

    def is_due(self, day: date) -> bool:
        """Whether the CRM makes an extract that day."""
        return day >= self.first_extract and (day - self.first_extract).days % WEEK_DAYS == 0

    def content(self, day: date) -> Content:
        """The file of an extract day.

        A broken record stands in the place of the customer's good one.

        Raises:
            InputError: when no extract is made on that day.
        """
        week = self._go_to(day)
        present = self._present(week).tolist()
        records = [self._record(customer) for customer in present]
        broken = self._break_one(week, present, records)
        return Content(b"".join([HEADER, *records]), len(records), broken)

    def canaries(self, customer_id: str, extract_day: date) -> dict[str, str]:
        """The customer's e-mail, phone and street name as an extract has them.

        Raises:
            InputError: when there is no such extract, or the customer is not in it.
        """
        week = self._go_to(extract_day)
        for customer in self._present(week).tolist():
            if self._people.customer_ids[customer] == customer_id:
                return self._people.canaries(customer, self._profiles[customer])
        raise InputError(f"customer {customer_id} is not in the extract of {extract_day}")

    def email_at_sign_up(self, customer: int) -> str:
        """The e-mail address in the first record of a customer, by index."""
        return self._people.canaries(customer, Profile(self._people.origins[customer]))["email"]

    def profile_fields(self, customer: int, day: date) -> dict[str, str]:
        """A customer's fields by column, by index, as the newest extract up to a day has them."""
        self._go_to(day - timedelta(days=(day - self.first_extract).days % WEEK_DAYS))
        return self._people.fields(customer, self._profiles[customer])

    def all_canaries(self, through: date) -> list[Canary]:
        """Every canary of the extracts up to a day, each once."""
        self._rewind()
        found: dict[Canary, None] = {}
        for week in range((through - self.first_extract).days // WEEK_DAYS + 1):
            self._advance_to(week)
            # Who is new, and whose record has changed.
            for customer in [c for c in self._present(week).tolist() if self._records[c] is None]:
                self._record(customer)
                canaries = self._people.canaries(customer, self._profiles[customer])
                customer_id = self._people.customer_ids[customer]
                found.update((Canary(customer_id, *item), None) for item in canaries.items())
        return list(found)

    def _present(self, week: int) -> NDArray[np.int64]:
        """Indices of who has an account on the day of an extract."""
        day = self.first_extract.toordinal() + week * WEEK_DAYS
        return np.flatnonzero((self.signed_up <= day) & (day < self.closes))

    def _record(self, customer: int) -> bytes:
        record = self._records[customer]
        if record is None:
            record = self._people.record(customer, self._profiles[customer]) + EOL
            self._records[customer] = record
        return record

    def _break_one(self, week: int, present: list[int], records: list[bytes]) -> tuple[BrokenLine, ...]:
        kind = self._schedule.kind_of(week, len(records))
        if kind is None:
            return ()
        rng = generator(self._seed, "broken customer", week)
        # Somebody whom the last extract had too, so that nobody's first record is the broken one.
        known = np.isin(present, self._present(week - 1))
        for place in rng.permutation(np.flatnonzero(known)).tolist():
            fields = self._people.fields(present[place], self._profiles[present[place]])
            if not needs_quotes(fields):
                record, fault = break_customer(kind, fields, rng)
                line = 2 + sum(earlier.count(b"\n") for earlier in records[:place])
                records[place] = record + EOL
                return (BrokenLine(line, kind, fault),)
        return ()

    def _rewind(self) -> None:
        self._week = 0
        self._profiles = [Profile(country) for country in self._people.origins]
        self._records: list[bytes | None] = [None] * len(self._profiles)

    def _go_to(self, day: date) -> int:
        if not self.is_due(day):
            hint = f"extracts are weekly, from {self.first_extract} on"
            raise InputError(f"the CRM makes no extract on {day}", hint=hint)
        week = (day - self.first_extract).days // WEEK_DAYS
        if week < self._week:
            self._rewind()
        self._advance_to(week)
        return week

    def _advance_to(self, week: int) -> None:
        while self._week < week:
            self._week += 1
            for customer, profile in self._changes(self._week):
                self._profiles[customer] = profile
                self._records[customer] = None

    def _changes(self, week: int) -> Iterator[tuple[int, Profile]]:
        """New profiles of those who changed since the extract before; only who is in both extracts changes."""
        rng, size = generator(self._seed, "changes", week), len(self._profiles)
        chance, moves = rng.random(size), rng.integers(1, len(names.COUNTRIES), size)
        kinds, limits = list(WEEKLY_CHANGES), np.cumsum(list(WEEKLY_CHANGES.values()))
        present = np.intersect1d(self._present(week - 1), self._present(week), assume_unique=True)
        for customer in present[chance[present] < limits[-1]].tolist():
            profile = self._profiles[customer]
            kind = kinds[int(np.searchsorted(limits, chance[customer], side="right"))]
            country = (profile.country + int(moves[customer])) % len(names.COUNTRIES)
            yield customer, profile.changed(kind, country=country)
