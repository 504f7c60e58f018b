"""What looks like personal data in any text: e-mail and IP addresses, bank cards, IBANs, telephone numbers.

A number that carries a check (card, IBAN, IP address) is found in any grouping and between other numbers, and must pass
its check. A telephone number carries none: it is one by its form, or because a word before it says so. Dates, amounts
and order numbers are none of these.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple


class Span(NamedTuple):
    """Characters ``start`` to ``end`` (not included) of a text, and what they are: the placeholder's word."""

    start: int
    end: int
    kind: str


AT = r"\s?[@\uff20\ufe6b]\s?|\s*[(\[{<]\s*(?:at|@|ät)\s*[)\]}>]\s*"
DOT = r"\.|\s*[(\[{<]\s*(?:dot|punkt|point|\.)\s*[)\]}>]\s*"
SPOKEN = rf"(?:{DOT}|\s+dot\s+)"
# As many more words as a spoken address has: without a limit, each of a long text's would be a beginning.
MORE = "{0,8}"
LABEL = r"\w(?:[\w-]*\w)?"
# Local parts as RFC 5322 has them; any top-level domain, as an intranet's stands in no list.
# Dots stand anywhere: people misplace them.
LOCAL = r"[\w.!#$%&'*+/=?^`{|}~-]"
EMAIL = re.compile(
    rf"(?<!{LOCAL}){LOCAL}++(?:{AT})(?:{LABEL}(?:(?:{DOT}){LABEL})+|\[[\d.:a-f]+\])"
    rf"|(?<![\w.+-])[\w.+-]++%40{LABEL}(?:\.{LABEL})+"  # of an address of the web
    rf"|(?<![\w.+-])[\w+-]++(?:{SPOKEN}[\w+-]++){MORE}\s+at\s+{LABEL}(?:{SPOKEN}{LABEL}){MORE}\s+dot\s+[a-z]{{2,}}\b"
    r'|"[^"\n]{1,64}"@[\w.-]+\.\w+',
    re.IGNORECASE,
)
IP = re.compile(r"(?<![\w.:])(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F.]*|(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?!\w|\.\d)")
# Groups of digits as people write long numbers: with a blank, a hyphen, a stroke, a dot or a line break between.
DIGIT_GROUPS = re.compile(r"(?<![\w])\d+(?:[\s./\u2010-\u2015-]{1,2}\d+)*(?![\w])")
GROUP = re.compile(r"\d+")
CARD_DIGITS = range(13, 20)
CARD_BEGINNINGS = re.compile(r"4|5[0-8]|6|3[04-9]|2(?:2[2-9]|[3-6]|7[01]|720)")
IBAN_BEGINNING = re.compile(r"(?<![^\W_])[A-Z]{2}[\s-]?\d\d(?=[\s.-]{0,2}[A-Z0-9])", re.IGNORECASE)
IBAN_LENGTHS = range(15, 35)
MONTH_OR_DAY, SEPARATOR, DATE_ENDS = r"(?:0?[1-9]|[12]\d|3[01])", r"[./-]", r"(?!\d|[./-]\d)"
LONG_DATE = re.compile(
    rf"(?:{MONTH_OR_DAY}{SEPARATOR}{MONTH_OR_DAY}{SEPARATOR}(?:19|20)\d\d"
    rf"|(?:19|20)\d\d{SEPARATOR}{MONTH_OR_DAY}{SEPARATOR}{MONTH_OR_DAY}){DATE_ENDS}"
)
SHORT_DATE = re.compile(rf"{MONTH_OR_DAY}{SEPARATOR}{MONTH_OR_DAY}{SEPARATOR}\d\d{DATE_ENDS}")
EXTENSION = r"(?:\s*(?:x|ext\.?|extension|durchwahl|poste)\s*\d{1,5})?"
BLANK = r"[ \t.\-/\u00a0\u202f\u2010-\u2015]"
NUMBER = rf"\d(?:{BLANK}{{0,3}}+\(?+\d++\)?+)++"
# Each with how many digits it must have at least, and may have at most.
TELEPHONES = (
    # +44 20 7946 0958, 0044 (0)20 …: a country's number
    (re.compile(rf"(?<![\w+])\+{BLANK}?{NUMBER}{EXTENSION}"), 9, 15),
    (re.compile(rf"(?<![\w+])00{BLANK}?{NUMBER}{EXTENSION}"), 11, 17),
    # (555) 010-1234, (555)0101234, 555.010.1234, 1-555-010-1234
    (
        re.compile(
            rf"(?<![\w.,+])(?:1{BLANK})?(?:\(\d{{3}}\){BLANK}{{0,3}}\d{{3}}{BLANK}{{0,3}}"
            rf"|\d{{3}}{BLANK}{{1,3}}\d{{3}}{BLANK}{{1,3}})\d{{4}}"
            rf"(?!\w|[.,]\d){EXTENSION}"
        ),
        10,
        16,
    ),
    # 020 7946 0958, (0301) 555-1234, (0301)5551234, 01 23 45 67 89, 030/5551234, 0171 - 555 12 34
    (
        re.compile(
            rf"(?<![\w.,+])\(?0[1-9]\d{{0,4}}(?:\){BLANK}{{0,3}}|{BLANK}{{1,3}})\d{{2,}}(?:{BLANK}{{1,3}}\d{{2,}})*"
            rf"(?!\w|[.,]\d){EXTENSION}"
        ),
        9,
        13,
    ),
    # 07911123456
    (re.compile(rf"(?<![\w.,+-])0[1-9]\d{{8,10}}(?!\w|[.,-]\d){EXTENSION}"), 10, 16),
)
TOLD_TELEPHONE = re.compile(
    r"\b(?:(?:tele)?phone|tel|mobile|cell(?:phone)?|fax|whatsapp|(?:telefon|handy|mobil(?:funk)?)(?:nummer|nr)?"
    r"|rufnummer|t\u00e9l\u00e9phone|portable"
    r"|(?:call|ring|reach|text)(?:\s+me|\s+us)?(?:\s+back)?\s+(?:at|on|under))\b"
    rf"(?:[\s.-]{{1,4}}(?:number|nummer|no\.?|nr\.?|is|ist|est|at|on|unter))*[\s:.=]{{0,3}}(\+?\(?{NUMBER}{EXTENSION})",
    re.IGNORECASE,
)
TOLD_DIGITS = (6, 17)
# 5551234567: ten digits of the United States may be anything, unless somebody speaks of telephones nearby.
TEN_DIGITS = re.compile(r"(?<![\w.,+-])(?:1[2-9]|[2-9])\d{9}(?!\w|[.,-]\d)")
TELEPHONING = re.compile(
    r"\b(?:(?:tele)?phone|tel|mobile|cell(?:phone)?|fax|sms|whatsapp|call(?:ed|ing|s)?|ring|rang|dial(?:l?ed)?|text(?:ed)?"
    r"|reach(?:ed)?|(?:telefon|handy|mobil)(?:nummer|nr)?|anrufen|t\u00e9l\u00e9phone|appele[rz])\b",
    re.IGNORECASE,
)
NEARBY = 40  # characters


def find(text: str) -> Iterator[Span]:
    """Spans of the text, in no order; they may overlap."""
    yield from (Span(*match.span(), "EMAIL") for match in EMAIL.finditer(text))
    if any(character.isdigit() for character in text) or "::" in text:
        yield from _addresses(text)
        yield from _cards(text)
        yield from _ibans(text)
        yield from _telephones(text)


def _addresses(text: str) -> Iterator[Span]:
    for match in IP.finditer(text):
        found = match[0].rstrip(".")
        if ":" in found and not found.endswith("::"):
            found = found.rstrip(":")
        try:
            ipaddress.ip_address(found)
        except ValueError:
            continue
        if any(character.isalnum() for character in found):
            yield Span(match.start(), match.start() + len(found), "IP")


def _cards(text: str) -> Iterator[Span]:
    for match in DIGIT_GROUPS.finditer(text):
        groups = [(match.start() + g.start(), match.start() + g.end()) for g in GROUP.finditer(match[0])]
        yield from _windows(text, groups, CARD_DIGITS, is_card, "CARD")


def _windows(
    text: str, groups: list[tuple[int, int]], lengths: range, is_one: Callable[[str], bool], kind: str
) -> Iterator[Span]:
    """Neighbouring groups that are a number together, the longest first, whatever stands before and behind them."""
    first = 0
    while first < len(groups):
        digits, found = "", None
        for last in range(first, len(groups)):
            digits += text[slice(*groups[last])]
            if len(digits) >= lengths.stop:
                break
            if len(digits) in lengths and is_one(digits):
                found = last
        if found is None:
            first += 1
        else:
            yield Span(groups[first][0], groups[found][1], kind)
            first = found + 1


def is_card(digits: str) -> bool:
    """Whether an issuer may have given out the number, and its last digit fits the others (Luhn)."""
    if not digits.isascii() or not CARD_BEGINNINGS.match(digits) or len(set(digits)) == 1:
        return False
    doubled = (int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits)))
    return sum(number // 10 + number % 10 for number in doubled) % 10 == 0


def _ibans(text: str) -> Iterator[Span]:
    for match in IBAN_BEGINNING.finditer(text):
        number, end = "", 0
        place = match.start()
        gap = 0
        while place < len(text) and len(number) < IBAN_LENGTHS.stop - 1:
            character = text[place]
            if character.isascii() and character.isalnum():
                number, gap = number + character.upper(), 0
                is_last = place + 1 == len(text) or not text[place + 1].isalnum()
                if is_last and len(number) in IBAN_LENGTHS and _is_iban(number):
                    end = place + 1
            elif character in " -.\t\n\r\u00a0\u202f" and gap < 2:
                gap += 1
            else:
                break
            place += 1
        if end:
            yield Span(match.start(), end, "IBAN")


def _is_iban(number: str) -> bool:
    """Whether the number's check fits it (ISO 7064, mod 97-10)."""
    return int("".join(str(int(character, 36)) for character in number[4:] + number[:4])) % 97 == 1


def _telephones(text: str) -> Iterator[Span]:
    for form, *limits in TELEPHONES:
        for match in form.finditer(text):
            yield from _telephone(match[0], match.start(), *limits)
    for match in TOLD_TELEPHONE.finditer(text):
        yield from _telephone(match[1], match.start(1), *TOLD_DIGITS)
    for match in TEN_DIGITS.finditer(text):
        if TELEPHONING.search(text, max(0, match.start() - NEARBY), match.end() + NEARBY):
            yield Span(*match.span(), "PHONE")


def _telephone(found: str, start: int, fewest: int, most: int) -> Iterator[Span]:
    """The number, as far as it can be one: what follows may be a number of its own, or a date."""
    if SHORT_DATE.match(found):
        return
    digits = end = 0
    for group in GROUP.finditer(found):
        if digits + len(group[0]) > most or LONG_DATE.match(found, group.start()):
            break
        digits += len(group[0])
        end = group.end()
    if digits >= fewest:
        yield Span(start, start + end, "PHONE")
