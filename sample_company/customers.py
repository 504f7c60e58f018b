"""The CRM's weekly extracts: every customer with an account on that day, with personal data that nobody has.

A customer's e-mail, telephone number and street are *canaries*: each value is given out once, to one customer, for as
long as he keeps it. Whatever bytes hold one of them hold personal data.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
from numpy.typing import NDArray

from data_platform.failures import InputError
from sample_company import names
from sample_company.draws import bits, generator
from sample_company.planted import BrokenLine, Schedule, break_customer

COLUMNS = (
    "customer_id",
    "full_name",
    "email",
    "phone",
    "birth_date",
    "street",
    "city",
    "gender",
    "country",
    "signed_up_on",
)
EOL = b"\r\n"
HEADER = ",".join(COLUMNS).encode() + EOL
WEEK_DAYS = 7
EMAIL, PHONE, ADDRESS, COUNTRY = "email", "phone", "address", "country"
WEEKLY_CHANGES = {EMAIL: 0.0007, PHONE: 0.0007, ADDRESS: 0.0012, COUNTRY: 0.0002}
GENDER_SHARES = {"f": 470, "m": 470, "x": 20, "": 40}  # per mille
BIRTH_DATE_MISSING = 30  # per mille
YOUNGEST, OLDEST = date(1981, 12, 31).toordinal(), date(1922, 1, 1).toordinal()
VERSIONS = 64  # of one field of one customer; at a change in 14 years a field, more than anybody sees
NEEDS_QUOTES = re.compile(r'[",\r\n]')


@dataclass(frozen=True)
class Profile:
    """What can change about a customer: where he lives, and the how-manieth e-mail, phone and address he has."""

    country: int
    email: int = 0
    phone: int = 0
    address: int = 0

    def changed(self, what: str, country: int) -> Profile:
        """The profile after a change; who moves abroad has a new address and a new number."""
        if what == COUNTRY:
            return replace(self, country=country, address=self.address + 1, phone=self.phone + 1)
        return replace(self, **{what: getattr(self, what) + 1})


@dataclass(frozen=True)
class Canary:
    """A value that stands for one customer only; ``text`` stands so in the extract's bytes."""

    customer_id: str
    field: str
    text: str


class CustomerBook:
    """All customers and how they change from week to week: a function of the seed and the week alone."""

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
        """Args:
        signed_up, closes: first day with an account, and first day without it, in days since 0001-01-01.
        """
        self.customer_ids = customer_ids
        self.first_extract = first_extract
        self.signed_up = signed_up
        self.closes = closes
        self._seed = seed
        self._schedule = schedule
        shares = np.cumsum(names.COUNTRY_SHARES)
        homes = np.searchsorted(shares, generator(seed, "homes").random(len(customer_ids)) * shares[-1], side="right")
        self._first_profiles = [Profile(country) for country in homes.tolist()]
        self._rewind()

    def _rewind(self) -> None:
        self._week = 0
        self._profiles = list(self._first_profiles)
        self._records: list[bytes | None] = [None] * len(self._profiles)

    # --- extracts -------------------------------------------------------------------------------------------------

    def week_of(self, day: date) -> int:
        """Number of the extract of a day, from 0.

        Raises:
            InputError: when no extract is made on that day.
        """
        week, rest = divmod((day - self.first_extract).days, WEEK_DAYS)
        if week < 0 or rest:
            raise InputError(
                f"the CRM makes no extract on {day}", hint=f"extracts are weekly, from {self.first_extract} on"
            )
        return week

    def is_extract_day(self, day: date) -> bool:
        """Whether the CRM makes an extract that day."""
        return day >= self.first_extract and (day - self.first_extract).days % WEEK_DAYS == 0

    def extract(self, day: date) -> tuple[bytes, int, tuple[BrokenLine, ...]]:
        """The file of one extract day: its bytes, the number of its records, and those that are broken on purpose.

        A broken record stands in the place of the customer's good one.
        """
        week = self.week_of(day)
        self._go_to(week)
        present = self._present(week).tolist()
        records = [self._record(customer) for customer in present]
        broken = self._break_one(week, present, records)
        return b"".join([HEADER, *records]), len(records), broken

    def _present(self, week: int) -> NDArray[np.int64]:
        """Indices of who has an account on the day of an extract."""
        day = self.first_extract.toordinal() + week * WEEK_DAYS
        return np.flatnonzero((self.signed_up <= day) & (day < self.closes))

    def _break_one(self, week: int, present: list[int], records: list[bytes]) -> tuple[BrokenLine, ...]:
        kind = self._schedule.kind_of(week)
        if kind is None:
            return ()
        rng = generator(self._seed, "broken customer", week)
        # Somebody whom the last extract had too, so that nobody's first profile is the broken one.
        known = set(self._present(week - 1).tolist())
        fields: dict[str, str] = {}
        place = 0
        while not fields or NEEDS_QUOTES.search("".join(fields.values())):
            place = int(rng.integers(len(present)))
            fields = self._fields(present[place]) if present[place] in known else {}
        record, fault = break_customer(kind, fields, rng)
        line = 2 + sum(earlier.count(b"\n") for earlier in records[:place])
        records[place] = record + EOL
        return (BrokenLine(line, kind, fault),)

    # --- changes --------------------------------------------------------------------------------------------------

    def _go_to(self, week: int) -> None:
        if week < self._week:
            self._rewind()
        while self._week < week:
            self._week += 1
            for customer, profile in self._changes(self._week):
                self._profiles[customer] = profile
                self._records[customer] = None

    def _changes(self, week: int) -> Iterator[tuple[int, Profile]]:
        """New profiles of those who changed since the extract before; only who is in both extracts changes."""
        rng = generator(self._seed, "changes", week)
        chance, countries = rng.random(len(self._profiles)), rng.integers(1, len(names.COUNTRIES), len(self._profiles))
        limits, kinds = np.cumsum(list(WEEKLY_CHANGES.values())), list(WEEKLY_CHANGES)
        present = np.intersect1d(self._present(week - 1), self._present(week), assume_unique=True)
        for customer in present[chance[present] < limits[-1]].tolist():
            profile = self._profiles[customer]
            kind = kinds[int(np.searchsorted(limits, chance[customer], side="right"))]
            elsewhere = (profile.country + int(countries[customer])) % len(names.COUNTRIES)
            yield customer, profile.changed(kind, elsewhere)

    # --- records --------------------------------------------------------------------------------------------------

    def _record(self, customer: int) -> bytes:
        record = self._records[customer]
        if record is None:
            record = ",".join(map(_quoted, self._fields(customer).values())).encode() + EOL
            self._records[customer] = record
        return record

    def _fields(self, customer: int) -> dict[str, str]:
        """The fields of a customer's record, by column, in the order of the file."""
        profile = self._profiles[customer]
        home = names.COUNTRIES[profile.country]
        birth = bits(self._seed, customer, 1)
        gender = _gender(birth >> 32)
        full_name = self._full_name(customer, gender)
        address = bits(self._seed, customer, 2, profile.address)
        has_birth_date = birth % 1000 >= BIRTH_DATE_MISSING
        values = (
            self.customer_ids[customer],
            full_name,
            self._email(customer, full_name, profile.email),
            self._phone(customer, home, profile.phone),
            date.fromordinal(OLDEST + (birth >> 12) % (YOUNGEST - OLDEST)).isoformat() if has_birth_date else "",
            _street(self._street_name(customer, home, profile.address), full_name, home, address),
            _pick(home.cities, address >> 40),
            gender,
            home.code,
            date.fromordinal(int(self.signed_up[customer])).isoformat(),
        )
        return dict(zip(COLUMNS, values, strict=True))

    def _full_name(self, customer: int, gender: str) -> str:
        """A name of the country that the customer first lived in; it stays when he moves."""
        origin = names.COUNTRIES[self._first_profiles[customer].country]
        chance = bits(self._seed, customer, 3)
        is_woman = gender == "f" or (gender != "m" and chance & 1)
        first = _pick(origin.women if is_woman else origin.men, chance >> 8)
        return f"{first} {_pick(origin.families, chance >> 32)}"

    def _serial(self, customer: int, version: int, purpose: int) -> int:
        """A number that no other (customer, version) has for the same purpose; grows to 64 times the customers."""
        return (customer * VERSIONS + version % VERSIONS) + purpose

    def _email(self, customer: int, full_name: str, version: int) -> str:
        serial = self._serial(customer, version, bits(self._seed, 4) % 10_000)
        local = _ascii(full_name).lower().replace(" ", ".").replace("'", "")
        return f"{local}.{serial:x}@{_pick(names.MAIL_DOMAINS, bits(self._seed, customer, 5, version))}"

    def _phone(self, customer: int, home: names.Country, version: int) -> str:
        area, line = divmod(self._serial(customer, version, bits(self._seed, 6) % 10_000), 10_000)
        # Each half is shifted by what the other one is: that scatters, and keeps numbers apart.
        line = (line + bits(self._seed, 10, area)) % 10_000
        area = (area + bits(self._seed, 11, line)) % 1_000
        return _pick(home.phones, bits(self._seed, customer, 7)).format(a=f"{area:03d}", b=f"{line:04d}")

    def _street_name(self, customer: int, home: names.Country, version: int) -> str:
        serial = self._serial(customer, version, bits(self._seed, 8) % 10_000)
        word = names.word(serial * 12_345_677 % names.WORDS)
        return _pick(home.streets, bits(self._seed, customer, 9, version)).format(word=word)

    # --- canaries -------------------------------------------------------------------------------------------------

    def canaries(self, customer_id: str, extract_day: date) -> dict[str, str]:
        """The customer's e-mail, phone and street name as an extract has them.

        Raises:
            InputError: when there is no such extract, or the customer is not in it.
        """
        week = self.week_of(extract_day)
        index = int(np.searchsorted(np.array(self.customer_ids), customer_id))
        if index not in self._present(week) or self.customer_ids[index] != customer_id:
            raise InputError(f"customer {customer_id} is not in the extract of {extract_day}")
        self._go_to(week)
        return self._canaries(index)

    def _canaries(self, customer: int) -> dict[str, str]:
        profile, fields = self._profiles[customer], self._fields(customer)
        street = self._street_name(customer, names.COUNTRIES[profile.country], profile.address)
        return {"email": fields["email"], "phone": fields["phone"], "street": street}

    def all_canaries(self, through: date) -> list[Canary]:
        """Every canary of the extracts up to a day, each once."""
        self._rewind()
        found: dict[Canary, None] = {}
        for week in range((through - self.first_extract).days // WEEK_DAYS + 1):
            self._go_to(week)
            # Who is new, and whose record has changed.
            for customer in [c for c in self._present(week).tolist() if self._records[c] is None]:
                self._record(customer)
                customer_id = self.customer_ids[customer]
                found.update((Canary(customer_id, *item), None) for item in self._canaries(customer).items())
        return list(found)


def _pick(choices: Sequence[str], chance: int) -> str:
    return choices[chance % len(choices)]


def _gender(chance: int) -> str:
    rest = chance % 1000
    for gender, share in GENDER_SHARES.items():
        if rest < share:
            return gender
        rest -= share
    raise AssertionError("the shares add up to 1000")


def _street(name: str, full_name: str, home: names.Country, chance: int) -> str:
    """The field ``street``: mostly a name and a number, sometimes with a comma, quotes or a line break."""
    number = 1 + (chance >> 20) % 180
    plain = f"{name} {number}" if home.code == "DE" else f"{number} {name}"
    style = chance % 1000
    if style < 10:
        return f"{plain}\nc/o {full_name.split()[-1]}"
    if style < 40:
        return f'"The Old Mill", {plain}'
    if style < 200:
        return f"{plain}, {1 + (chance >> 30) % 9}. OG" if home.code == "DE" else f"{plain}, Apt {(chance >> 30) % 60}"
    return plain


def _ascii(text: str) -> str:
    return unicodedata.normalize("NFKD", text.replace("ß", "ss")).encode("ascii", "ignore").decode()


def _quoted(field: str) -> str:
    """A field as RFC 4180 writes it."""
    return '"' + field.replace('"', '""') + '"' if NEEDS_QUOTES.search(field) else field
