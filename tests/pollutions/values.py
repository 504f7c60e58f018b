"""Delimited text with numbers, days and absent values as people and programs write them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.pollutions import FIRST, SECOND, THIRD, Group
from tests.pollutions.rows import WHOLE, second, with_note

GERMAN = {"separator": ";", "decimal": ",", "thousands": "."}


def with_weight(text: str, separator: str = ",") -> str:
    """The file, with the second row's weight as it is written here."""
    return WHOLE.replace(",", separator).replace("0.001", text)


def weighing(weight: str) -> tuple[str, str | None, str, str]:
    """The second row with another weight."""
    return (*SECOND[:2], str(Decimal(weight).quantize(Decimal("0.001"))), SECOND[3])


numbers = Group("Numbers")


def _fits(name: str, text: str, weight: str, **dialect: Any) -> None:
    numbers.loaded(name, with_weight(text), FIRST, weighing(weight), THIRD, dialect=dialect)


def _does_not_fit(name: str, text: str, **dialect: Any) -> None:
    numbers.quarantined(f"{name}: {text}", with_weight(text), {3: "type"}, FIRST, THIRD, dialect=dialect)


_fits("a sign before it", "+0.5", "0.5")
_fits("a zero with a sign", "-0.000", "0")
_fits("zeros before it", "000000000000000000000000000000000000000000001.5", "1.5")
_fits("thousands by comma, in quotes", '"1,234.5"', "1234.5", thousands=",")
_fits("thousands by blank", "12 345", "12345", thousands=" ")
_fits("thousands by a narrow blank", "-1\u202f234.5", "-1234.5", thousands="\u202f")
_fits("thousands by apostrophe, as in Switzerland", "1'234.5", "1234.5", thousands="'")
_fits("a number without groups where some have them", "1234.5", "1234.5", thousands="'")
_does_not_fit("groups that are not of three digits", "12'34.5", thousands="'")
_does_not_fit("groups after the decimals", "0.123'456", thousands="'")
_does_not_fit("thousands where the contract says nothing", '"1,234.5"')
_does_not_fit("the other decimal sign", '"0,5"')
_does_not_fit("more decimals than the contract has", "0.0001")
_does_not_fit("more digits than the contract has", "1234567.5")
_does_not_fit("an exponent", "1e-3")
_does_not_fit("no number", "NaN")
_does_not_fit("infinity", "Infinity")
_does_not_fit("the sign behind it", "5-")
_does_not_fit("brackets for a minus", "(5.00)")
_does_not_fit("a currency", "£5")
_does_not_fit("a percent sign", "5%")
_does_not_fit("a unit", "5 kg")
_does_not_fit("a typographic minus", "\u22125")
_does_not_fit("digits of another script", "٣")
_does_not_fit("an underscore", "1_000")
_does_not_fit("hexadecimal", "0x1F")
_does_not_fit("Excel's failure", "#DIV/0!")
_does_not_fit("Excel's narrow column", "########")
_does_not_fit("a hard blank before it", "\u00a05")
numbers.loaded(
    "decimals by comma, thousands by point",
    WHOLE.replace(",", ";").replace(".", ",").replace("0,001", "1.234,5"),
    FIRST,
    weighing("1234.5"),
    THIRD,
    dialect=GERMAN,
)
numbers.quarantined(
    "decimals by point where the contract says comma",
    WHOLE.replace(",", ";"),
    {2: "type", 3: "type", 4: "type"},
    dialect=GERMAN | {"thousands": None},
)

days = Group("Days")
for _name, _text in (
    ("a day that does not exist", "1998-02-30"),
    ("day first", "30/01/1998"),
    ("month first", "01/30/1998"),
    ("a year of two digits", "98-01-30"),
    ("without zeros", "1998-1-30"),
    ("a day of zeros", "0000-00-00"),
    ("with a time", "1998-01-30 00:00:00"),
    ("Excel's number of a day", "35825"),
    ("a month by name", "30 Jan 1998"),
    ("a year of five digits", "11998-01-30"),
):
    days.quarantined(
        f"{_name}: {_text}", WHOLE.replace("0.001,1998-01-30", f"0.001,{_text}"), {3: "type"}, FIRST, THIRD
    )

absent = Group("Absent values")
absent.loaded("an empty text", with_note(""), FIRST, second(None), THIRD)
absent.loaded(
    "words that the contract names",
    with_note("n/a"),
    FIRST,
    second(None),
    THIRD,
    dialect={"nullValues": ["", "NULL", "n/a"]},
)
absent.loaded("words that the contract does not name are text", with_note("NULL"), FIRST, second("NULL"), THIRD)
absent.quarantined("an empty number that is required", with_weight(""), {3: "required"}, FIRST, THIRD)
absent.quarantined(
    "a named word for a number that is required",
    with_weight("NULL"),
    {3: "required"},
    FIRST,
    THIRD,
    dialect={"nullValues": ["", "NULL"]},
)
absent.quarantined(
    "a word for a number that the contract does not name", with_weight("NULL"), {3: "type"}, FIRST, THIRD
)
absent.quarantined("a code that lost its zeros", WHOLE.replace("00018", "18"), {3: "pattern"}, FIRST, THIRD)
absent.quarantined("a code that became a number: 18.0", WHOLE.replace("00018", "18.0"), {3: "pattern"}, FIRST, THIRD)

GROUPS = (numbers, days, absent)
