"""Personal data, by what values look like and what columns are called. It proposes; a person decides."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import Any

from data_platform.redaction.patterns import CARD_DIGITS, EMAIL, Span, find, is_card
from data_platform.scaffold.columns import Column
from data_platform.scaffold.types import Type

MOST_VALUES, MOST_LETTERS = 5_000, 5_000_000  # of a column are looked through
PHONE = re.compile(r"(?=(?:\D*\d){7,15}\D*$)(\+|00|\(|0\d)[\d\s()/.\-]{6,20}")
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
WORD = re.compile(r"(?!.*[^\W\d_]\.[^\W\d_])[\w.-]{1,24}")  # but for `anna.miller`
MOST_DIGITS = 5
LONGEST_CHECKED = 50  # characters of an IBAN, or of an IP address, with blanks
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
        (partial(_is_whole, "IBAN"), "IBANs, with their check digits"),
        (partial(_is_whole, "IP"), "IP addresses"),
        (PHONE.fullmatch, "telephone numbers"),
    )
    for test, what in whole:
        if share(test) >= MOSTLY:
            return Finding(f"values are {what}", "hash")
    lengths = accumulate(map(len, values))
    if any(holds_personal(value) for value, looked in zip(values, lengths, strict=True) if looked <= MOST_LETTERS):
        return Finding("some values hold an e-mail address, an IBAN or a card number", "drop")
    return None


def holds_personal(text: str) -> bool:
    """Whether an e-mail address, IBAN or card number stands anywhere in a text."""
    return any(
        span.kind in {"EMAIL", "IBAN"} or (span.kind == "CARD" and not _is_decimal(text, span)) for span in find(text)
    )


def _is_decimal(text: str, span: Span) -> bool:
    """Whether the digits may be those of a number like 532.1234567890123."""
    return "." in text[max(0, span.start - 1) : span.end]


def is_word(text: str) -> bool:
    """Whether a value may be shown: a word that stands for a kind of thing rather than for somebody."""
    is_capitalised = text[:1].isupper() and text[1:2].islower()
    is_number = sum(map(str.isdigit, text)) > MOST_DIGITS
    return bool(WORD.fullmatch(text)) and not (is_capitalised or is_number or any(find(text)))


def _is_card(text: str) -> bool:
    digits = re.sub(r"[ -]", "", text.removesuffix(".0"))
    return len(digits) in CARD_DIGITS and digits.isdecimal() and is_card(digits)


def _is_whole(kind: str, text: str) -> bool:
    """Whether a value is of a kind that carries a check, and nothing else."""
    return len(text) <= LONGEST_CHECKED and Span(0, len(text), kind) in find(text)
