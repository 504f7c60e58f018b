"""Generated letters to a help desk whose every personal span is known."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from data_platform.redaction.known import Value
from sample_company import names

FILLERS = (
    "my order {n} of {day} has not come",
    "I paid {amount} for {qty} records",
    "item {n}-{qty} was {amount} at {time} and {pct}% off",
    "the tracking id is {tracking}",
    "invoice INV-{n}/{qty} says {amount}",
    "it was version {qty}.{qty}.{qty} of the player",
    "please see ticket #{n} from {slashed}",
    "the sleeve, 30 x 30 cm, is torn",
    "between {day} and {slashed} nobody answered",
    "I waited {qty} weeks, {qty} days and {time} hours",
    "catalogue number {n} {n} is wrong, it should be {n}",
    "isbn 978-0-306-40615-7 is a book, not a record",
    "the total of 1 234 567.89 or 1,234,567.89 cannot be right",
    "you charged {amount} twice on {slashed} {time}",
    "is it in stock at the shop? meet me at noon",
    "the size is 12:30 and the ratio 16:9",
)
CONNECTIVES = (". ", ", and ", "; ", ".\n", " - ", "\n\n", " (", ") ", "? ")


@dataclass(frozen=True)
class Letter:
    """A text with its personal spans: start, end, kind, as ``Span`` has them; and what is known of who wrote it."""

    text: str
    spans: tuple[tuple[int, int, str], ...]
    known: tuple[Value, ...]


def letters(seed: int, number: int) -> Iterator[Letter]:
    """Letters, each with a person of its own."""
    for index in range(number):
        yield _letter(random.Random(seed * 1_000_003 + index))  # noqa: S311 - no secret, but the same each time


def _letter(rng: random.Random) -> Letter:
    country = rng.choice(names.COUNTRIES)
    first, last = rng.choice((*country.women, *country.men)), rng.choice(country.families)
    word = names.word(rng.randrange(names.WORDS))
    number, city = str(rng.randint(1, 180)), rng.choice(country.cities)
    street = rng.choice(country.streets).format(word=word)
    line = f"{street} {number}" if country is names.DE else f"{number} {street}"
    postcode = {"GB": "SW1A 1AA", "CA": "K1A 0B1"}.get(country.code, f"{rng.randint(10_000, 99_999)}")
    full = rng.choice((line, f"{line}, Apt {rng.randint(1, 60)}", f'"The Old Mill", {line}', f"{line}\nc/o {last}"))
    known = (
        Value("name", f"{first} {last}"),
        Value("address", full),
        Value("address", f"{postcode} {city}" if rng.random() < 0.5 else f"{city}, {postcode}"),
    )
    makers: dict[str, Callable[[], str]] = {
        "EMAIL": lambda: _email(rng, first, last),
        "CARD": lambda: _card(rng),
        "IBAN": lambda: _iban(rng),
        "IP": lambda: _ip(rng),
        "PHONE": lambda: _phone(rng),
        "NAME": lambda: _own_name(rng, first, last),
        "ADDRESS": lambda: _own_address(rng, street, number, word, postcode, city),
    }
    text, spans = "Hello", []
    for _ in range(rng.randint(3, 9)):
        text += rng.choice(CONNECTIVES)
        if rng.random() < 0.55:
            text += _filler(rng)
        else:
            kind = rng.choice(list(makers))
            text += rng.choice(("it is ", "please use ", "that is ", "see ", "mine: ", "from "))
            value = makers[kind]()
            spans.append((len(text), len(text) + len(value), kind))
            text += value + rng.choice(("", " please", " and " + str(rng.randint(1, 99)), " today"))
    return Letter(text + ".", tuple(spans), known)


def _filler(rng: random.Random) -> str:
    day = f"{rng.randint(1997, 1998)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"
    slashed = rng.choice(("{d:02d}/{m:02d}/{y}", "{d:02d}.{m:02d}.{y}", "{m}/{d}/{y}")).format(
        d=rng.randint(1, 28), m=rng.randint(1, 12), y=rng.choice((1998, 98))
    )
    return rng.choice(FILLERS).format(
        n=rng.randint(10_000, 9_999_999),
        qty=rng.randint(1, 40),
        day=day,
        slashed=slashed,
        time=f"{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}",
        amount=rng.choice(("${:.2f}", "{:.2f} USD", "USD {:.2f}", "£{:.2f}")).format(rng.uniform(1, 3000)),
        pct=rng.randint(1, 90),
        tracking=f"{rng.choice('JRC')}{rng.choice('DVX')}{rng.randint(10**8, 10**9)}US",
    )


def _email(rng: random.Random, first: str, last: str) -> str:
    local = rng.choice((f"{first}.{last}", f"{first[0]}{last}", f"{first}_{last}+shop", f"{last}{rng.randint(1, 99)}"))
    local = local.lower().replace(" ", "").replace("'", "").encode("ascii", "ignore").decode() or "me"
    host = rng.choice((*names.MAIL_DOMAINS, "mail.example.co.uk", "xn--80ak6aa92e.example", "firma-gmbh.example"))
    local = rng.choice((local, local, local, f".{local}", f"{local}.", local.replace(".", "..")))
    form = rng.choice(("{}@{}", "{}@{}", "{}@{}", "{} (at) {}", "{}[at]{}", "<{}@{}>", "{}%40{}", "{}\uff20{}"))
    address = form.format(local, host)
    return rng.choice((address, address.upper())) if form == "{}@{}" else address


def _grouped(rng: random.Random, digits: str, sizes: tuple[int, ...]) -> str:
    separator, parts, place = rng.choice((" ", "-", "", "/")), [], 0
    for size in sizes:
        parts.append(digits[place : place + size])
        place += size
    return separator.join(filter(None, [*parts, digits[place:]]))


def _card(rng: random.Random) -> str:
    beginning, length, sizes = rng.choice(
        (
            ("4", 16, (4, 4, 4)),
            ("5", 16, (4, 4, 4)),
            ("2720", 16, (4, 4, 4)),
            ("37", 15, (4, 6)),
            ("6011", 16, (4, 4, 4)),
        )
    )
    if beginning == "5":
        beginning += str(rng.randint(1, 5))
    body = beginning + "".join(str(rng.randrange(10)) for _ in range(length - 1 - len(beginning)))
    total = sum(sum(divmod(int(d) * (2 - place % 2), 10)) for place, d in enumerate(reversed(body)))
    return _grouped(rng, body + str(-total % 10), sizes)


def _iban(rng: random.Random) -> str:
    country, length = rng.choice((("DE", 22), ("GB", 22), ("FR", 27), ("BE", 16), ("NO", 15), ("MT", 31), ("NL", 18)))
    letters_first = country in {"GB", "MT", "NL"}
    body = "BANK" if letters_first else ""
    body += "".join(str(rng.randrange(10)) for _ in range(length - 4 - len(body)))
    check = 98 - int("".join(str(int(c, 36)) for c in f"{body}{country}00")) % 97
    iban = f"{country}{check:02d}{body}"
    form = rng.choice((lambda t: t, str.lower, lambda t: " ".join(t[i : i + 4] for i in range(0, len(t), 4))))
    return form(iban)


def _ip(rng: random.Random) -> str:
    four = ".".join(str(rng.randrange(256)) for _ in range(4))
    groups = [f"{rng.randrange(1, 65_536):x}" for _ in range(8)]
    return rng.choice(
        (four, ":".join(groups), f"2001:db8::{groups[0]}", f"fe80::{groups[1]}:{groups[2]}", f"::ffff:{four}")
    )


def _phone(rng: random.Random) -> str:
    def digits(count: int) -> str:
        return "".join(str(rng.randrange(10)) for _ in range(count))

    own = rng.choice(rng.choice(names.COUNTRIES).phones).format(a=digits(3), b=digits(4))
    common = rng.choice(
        (
            f"+44 20 {digits(4)} {digits(4)}",
            f"(555) 010-{digits(4)}",
            f"555-010-{digits(4)}",
            f"0044 20 {digits(4)} {digits(4)}",
            f"555.010.{digits(4)}",
            f"+1 (555) 010-{digits(4)}",
            f"+49 (0)30 {digits(7)}",
            f"+4930{digits(8)}",
            f"1-800-555-{digits(4)}",
            f"01 {digits(2)} {digits(2)} {digits(2)} {digits(2)}",
            f"020 {digits(4)} {digits(4)}",
            f"07911 {digits(6)}",
            f"07911{digits(6)}",
            f"0301/555{digits(4)}",
            f"(030) 555 {digits(4)}",
            f"555-010-{digits(4)} ext. {digits(2)}",
            f"(555)010{digits(4)}",
            f"+44\t20 {digits(4)} {digits(4)}",
        )
    )
    return rng.choice((own, common))


def _own_name(rng: random.Random, first: str, last: str) -> str:
    plain = str.maketrans("áàâäãåçéèêëíïîñóôöòúùûü", "aaaaaaceeeeiiinoooouuuu")
    form = rng.choice(
        (
            f"{first} {last}",
            f"{last}, {first}",
            f"{first[0]}. {last}",
            f"{first[0]} {last}",
            f"{first}\n{last}",
            f"{first}  {last}",
            first,
            last,
            f"{first} {last[0]}.",
            f"{first} {last}".replace("'", "\u2019"),
            f"{first} {last}".replace("'", ""),
            f"{first}{rng.randint(1, 99)}",
            f"{first}{last}{rng.randint(1, 99)}",
        )
    )
    return rng.choice((form, form.upper(), form.lower(), form.translate(plain)))


def _own_address(rng: random.Random, street: str, number: str, word: str, postcode: str, city: str) -> str:
    short = street.replace("Street", "St.").replace("Avenue", "Ave").replace("Road", "Rd").replace("Drive", "Dr")
    form = rng.choice(
        (
            f"{number} {street}",
            f"{street} {number}",
            f"{number}, {street}",
            f"{number} {short}",
            f"{number}\n{street}",
            street,
            postcode,
            postcode.replace(" ", ""),
            f"{street} {number}, {city}",
        )
    )
    return rng.choice((form, form.upper(), form.lower()))
