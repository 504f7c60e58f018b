"""What a customer's record says: a function of the seed, the customer, and how often each field has changed.

E-mail, telephone number and street are *canaries*: each value is given out once, to one customer, for as long as he
keeps it. Whatever bytes hold one of them hold personal data.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from sample_company import names
from sample_company.draws import bits

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
GENDERS = "f" * 47 + "m" * 47 + "x" * 2  # of a hundred; the rest leave it empty
BIRTH_DATE_MISSING = 30  # of a thousand
OLDEST, YOUNGEST = date(1922, 1, 1).toordinal(), date(1981, 12, 31).toordinal()
VERSIONS = 64  # of one field of one customer; a field changes once in fourteen years or so
LINE_BREAK, QUOTES, COMMA = 10, 40, 200  # streets of a thousand, cumulated
SPECIAL = re.compile(r'[",\r\n]')


@dataclass(frozen=True)
class Profile:
    """What can change about a customer: his country (an index), and how often e-mail, phone and address changed."""

    country: int
    email: int = 0
    phone: int = 0
    address: int = 0

    def changed(self, what: str, *, country: int) -> Profile:
        """The profile after a change; who moves abroad has a new address and a new number."""
        if what == "country":
            return replace(self, country=country, address=self.address + 1, phone=self.phone + 1)
        return replace(self, **{what: getattr(self, what) + 1})


@dataclass(frozen=True)
class People:
    """The customers of a shop; ``origins`` are the countries in which they signed up, ``signed_up`` ordinal days."""

    seed: int
    customer_ids: Sequence[str]
    origins: Sequence[int]
    signed_up: Sequence[int]

    def fields(self, customer: int, profile: Profile) -> dict[str, str]:
        """A customer's fields by column, in the order of the file, without quotes."""
        home, chance = names.COUNTRIES[profile.country], bits(self.seed, customer)
        address = bits(self.seed, customer, profile.address, 1)
        gender = (GENDERS[chance % 100 :] or " ")[0].strip()
        full_name = self._full_name(customer, gender)
        values = (
            self.customer_ids[customer],
            full_name,
            self._email(customer, full_name, profile),
            self._phone(customer, profile),
            _birth_date(chance >> 8),
            _street(self._street_name(customer, profile), full_name, home, address),
            _pick(home.cities, address >> 40),
            gender,
            home.code,
            date.fromordinal(self.signed_up[customer]).isoformat(),
        )
        return dict(zip(COLUMNS, values, strict=True))

    def record(self, customer: int, profile: Profile) -> bytes:
        """A customer's record as RFC 4180 writes it, without line end."""
        return ",".join(map(_quoted, self.fields(customer, profile).values())).encode()

    def canaries(self, customer: int, profile: Profile) -> dict[str, str]:
        """What of the record stands nowhere else: e-mail, phone, and the street's name without the house number."""
        fields = self.fields(customer, profile)
        street = self._street_name(customer, profile)
        return {"email": fields["email"], "phone": fields["phone"], "street": street}

    def _full_name(self, customer: int, gender: str) -> str:
        """A name of the country that the customer first lived in; it stays when he moves."""
        origin, chance = names.COUNTRIES[self.origins[customer]], bits(self.seed, customer, 2)
        is_woman = gender == "f" or (gender != "m" and chance & 1)
        first = _pick(origin.women if is_woman else origin.men, chance >> 8)
        return f"{first} {_pick(origin.families, chance >> 32)}"

    def _email(self, customer: int, full_name: str, profile: Profile) -> str:
        local = _ascii(full_name).lower().replace(" ", ".").replace("'", "")
        domain = _pick(names.MAIL_DOMAINS, bits(self.seed, customer, profile.email, 3))
        return f"{local}.{self._serial(customer, profile.email):x}@{domain}"

    def _phone(self, customer: int, profile: Profile) -> str:
        area, line = divmod(self._serial(customer, profile.phone), 10_000)
        # Each half is shifted by what the other one is: that scatters the numbers, and keeps them apart.
        line = (line + bits(self.seed, area, 4)) % 10_000
        area = (area + bits(self.seed, line, 5)) % 1_000
        style = _pick(names.COUNTRIES[profile.country].phones, bits(self.seed, customer, 6))
        return style.format(a=f"{area:03d}", b=f"{line:04d}")

    def _street_name(self, customer: int, profile: Profile) -> str:
        # A factor without a divisor in common with the modulus scatters the words, and keeps them apart.
        word = names.word(self._serial(customer, profile.address) * 12_345_677 % names.WORDS)
        style = _pick(names.COUNTRIES[profile.country].streets, bits(self.seed, customer, profile.address, 7))
        return style.format(word=word)

    def _serial(self, customer: int, version: int) -> int:
        """A number that no other customer or version has."""
        return bits(self.seed) % 10_000 + customer * VERSIONS + version % VERSIONS


def needs_quotes(fields: dict[str, str]) -> bool:
    """Whether any field holds a comma, a quote or a line break."""
    return any(map(SPECIAL.search, fields.values()))


def _birth_date(chance: int) -> str:
    if chance % 1000 < BIRTH_DATE_MISSING:
        return ""
    return date.fromordinal(OLDEST + (chance >> 16) % (YOUNGEST - OLDEST)).isoformat()


def _street(name: str, full_name: str, home: names.Country, chance: int) -> str:
    """The field ``street``: mostly a name and a number, sometimes with a comma, quotes or a line break."""
    number, flat = 1 + (chance >> 20) % 180, 1 + (chance >> 30) % 60
    is_german = home is names.DE
    plain = f"{name} {number}" if is_german else f"{number} {name}"
    style = chance % 1000
    if style < LINE_BREAK:
        return f"{plain}\nc/o {full_name.split()[-1]}"
    if style < QUOTES:
        return f'"The Old Mill", {plain}'
    if style < COMMA:
        return f"{plain}, Whg. {flat}" if is_german else f"{plain}, Apt {flat}"
    return plain


def _pick(choices: Sequence[str], chance: int) -> str:
    return choices[chance % len(choices)]


def _ascii(text: str) -> str:
    return unicodedata.normalize("NFKD", text.replace("ß", "ss")).encode("ascii", "ignore").decode()


def _quoted(field: str) -> str:
    return '"' + field.replace('"', '""') + '"' if SPECIAL.search(field) else field
