"""Personal data, by what values look like and what columns are called. It proposes; a person decides."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from data_platform.scaffold.columns import Column
from data_platform.scaffold.types import Type

MOST_VALUES = 5_000
EMAIL = re.compile(r"[^\s@<>,;\"']+@[\w-]+(\.[\w-]+)+")
PHONE = re.compile(r"(?=(?:\D*\d){7,15}\D*$)(\+|00|\(|0\d)[\d\s()/.\-]{6,20}")
CARD = re.compile(r"(?<![\d])(?:[3-6]\d{3})(?:[ -]?\d{2,6}){2,4}(?![\d])")
IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
MOSTLY = 0.6
# Words of names, in some languages → what it is and how the platform would keep it.
NAMES: tuple[tuple[str, str, Any], ...] = (
    (r"e_?mail|mail_address|courriel|correo", "an e-mail address", "hash"),
    (r"phone|telephone|telefon\w*|tel|mobile|cell|handy\w*|fax|movil", "a telephone number", "hash"),
    (r"birth\w*|dob|born|geburt\w*|geboren|naissance|nacimiento|nascita", "a date of birth", "birth"),
    (
        r"(first|last|full|middle|given|family|sur|maiden|customer|contact|user|person|employee|client|patient)_?name",
        "a name",
        "drop",
    ),
    (r"(vor|nach|familien)name|nombre|apellidos?|prenom|nom|cognome|surname|firstname|lastname", "a name", "drop"),
    (
        r"street\w*|address\w*|addr|strasse|anschrift|adresse|direccion|calle|rue|indirizzo|house_?(no|nr|number)",
        "an address",
        "drop",
    ),
    (r"ssn|passport\w*|tax_?id|national_?id|nif|steuer\w*|ausweis\w*|social_security\w*", "an official number", "hash"),
    (
        r"iban|bic|account_?(no|nr|number)|kontonummer|card_?(no|nr|number)|credit_?card|pan",
        "a number of payment",
        "hash",
    ),
    (r"ip|ip_?addr(ess)?|client_ip|remote_addr", "an IP address", "hash"),
    (
        r"(?<!user_)(cashier|agent|sales_?(rep|person|man)|owner|author|clerk|employee|manager|assignee|operator|driver"
        r"|teacher|doctor|nurse|waiter|seller|kassierer(in)?|verkaeufer(in)?|mitarbeiter(in)?)(?=\d*$|_name\d*$)",
        "the name of who does something",
        "hash",
    ),
    (r"gender|sex|geschlecht|sexo|religion|ethnicity|nationality", "a trait of a person", "drop"),
)
WORD = re.compile(r"(?![^\W\d_]+\.[^\W\d_])[\w.-]{1,24}")  # but for `anna.miller`
PEOPLE = re.compile(
    r"customer|user|employee|people|person|member|client|patient|contact|staff|subscriber|kunden|mitarbeiter"
)
FREE_TEXT = re.compile(r"comment|note|message|review|remark|feedback|bemerkung|kommentar|body|text")
NO_ADDRESS = re.compile(r"e_?mail|ip_|web|url|mac")
FREE_LENGTH = 25


@dataclass(frozen=True)
class Finding:
    """Why a column is held to be personal, and the policy that is proposed: the value of its custom property."""

    why: str
    policy: Any


def find_personal(column: Column, name: str, kind: Type, dataset: str) -> Finding | None:
    """What speaks for personal data in a column; nothing found is no proof that there is none."""
    if kind.physical in {"boolean", "double precision", "timestamptz", "uuid"} and not _called(name):
        return None
    called = _called(name)
    if called and called.policy == "birth":
        is_day = kind.physical == "date"
        return Finding(called.why, {"generalise": "age_band"} if is_day else "drop")
    if kind.physical in {"boolean", "date", "timestamptz", "double precision", "uuid"}:
        return called if kind.physical == "uuid" else None
    values = list(dict.fromkeys(column.kept))[:MOST_VALUES]
    if found := _by_values(values, is_text=kind.physical == "text"):
        return found
    if called:
        return called
    if name == "name" and PEOPLE.search(dataset):
        return Finding("the name of a person, as the dataset is called", "drop")
    return None


def is_free_text(column: Column, name: str, kind: Type) -> bool:
    """Whether people may have written into the column what they liked."""
    mean = column.total_length / column.values if column.values else 0
    return kind.physical == "text" and (bool(FREE_TEXT.search(name)) or (mean > FREE_LENGTH and column.counts is None))


def _called(name: str) -> Finding | None:
    for words, what, policy in NAMES:
        if re.search(rf"(^|_)({words})(_|\d*$)", name) and not (what == "an address" and NO_ADDRESS.search(name)):
            return Finding(f"called like {what}", policy)
    return None


def _by_values(values: Sequence[str], *, is_text: bool) -> Finding | None:
    if not values:
        return None

    def share(test: Callable[[str], object]) -> float:
        return sum(bool(test(value.strip())) for value in values) / len(values)

    if share(_is_card) >= MOSTLY:
        return Finding("values are card numbers, with their check digit", "hash")
    if not is_text:
        return None
    whole: tuple[tuple[Callable[[str], object], str], ...] = (
        (EMAIL.fullmatch, "e-mail addresses"),
        (_is_iban, "IBANs, with their check digits"),
        (_is_ip, "IP addresses"),
        (PHONE.fullmatch, "telephone numbers"),
    )
    for test, what in whole:
        if share(test) >= MOSTLY:
            return Finding(f"values are {what}", "hash")
    if share(holds_personal) > 0:
        return Finding("some values hold an e-mail address, an IBAN or a card number", "drop")
    return None


def holds_personal(text: str) -> bool:
    """Whether an e-mail address, IBAN or card number stands anywhere in a text."""
    return bool(
        ("@" in text and EMAIL.search(text))
        or any(_is_iban(match[0]) for match in IBAN.finditer(text))
        or any(_is_card(match[0]) for match in CARD.finditer(text))
    )


def is_word(text: str) -> bool:
    """Whether a value may be shown: a word that stands for a kind of thing rather than for somebody."""
    is_capitalised = text[:1].isupper() and text[1:2].islower()
    return bool(WORD.fullmatch(text)) and not is_capitalised and not holds_personal(text)


def _is_card(text: str) -> bool:
    digits = re.sub(r"[ -]", "", text.removesuffix(".0"))
    if not (digits.isdecimal() and 13 <= len(digits) <= 19 and digits[0] in "3456"):
        return False
    doubled = [int(d) * (1 + at % 2) for at, d in enumerate(reversed(digits))]
    return sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0


def _is_iban(text: str) -> bool:
    compact = text.replace(" ", "")
    if not re.fullmatch(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}", compact):
        return False
    return int("".join(str(int(c, 36)) for c in compact[4:] + compact[:4])) % 97 == 1


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
