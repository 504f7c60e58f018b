"""A column's type, from all values that were read; what a person must decide is said beside it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from data_platform.contracts.model import LOGICAL_OF_PHYSICAL, MOST_DIGITS
from data_platform.scaffold.columns import COMMA, DOUBLE, INTEGER, PLAIN_NULLS, POINT, Column

# Head-room: a number may grow by some digits before somebody must change the contract.
SPARE_DIGITS, FEWEST_DIGITS = 3, 10
DIGITS_OF_INTEGER, DIGITS_OF_BIGINT = 7, 17
MONEY_DECIMALS = 2
DAY_NAME = re.compile(r"date|day|datum|tag|fecha|dia|jour|data|birth|dob|ymd|_on$|_dt$", re.IGNORECASE)
CODE_NAME = re.compile(r"zip|postal|postcode|plz|phone|telefon|tel$|mobile|fax|sku|ean|isbn|barcode", re.IGNORECASE)
ID_NAME = re.compile(r"(^|_)(id|no|nr|num|number|nummer|code|key)$", re.IGNORECASE)
TYPED_WORDS = {"true", "false"}
CLEAR_PAIRS = ({"yes", "no"}, {"y", "n"}, {"t", "f"})


@dataclass
class Type:
    """What a contract says of a column's values, with remarks for whoever reviews it."""

    physical: str
    format: str = ""
    remarks: list[str] = field(default_factory=list)

    @property
    def logical(self) -> str:
        """The standard's word for it."""
        return LOGICAL_OF_PHYSICAL[self.physical.partition("(")[0]]


def choose_decimal(columns: Iterable[Column]) -> str:
    """What stands before the decimals: most columns that are numbers with one of the two alone say it."""
    commas = sum(COMMA in c.possible and POINT not in c.possible for c in columns if c.values)
    points = sum(POINT in c.possible and COMMA not in c.possible for c in columns if c.values)
    return "," if commas > points else "."


def choose_type(column: Column, name: str, decimal: str, *, quoted: bool = False, declared: str = "") -> Type:
    """The narrowest type that reads all values of a column.

    Args:
        name: the column's name in the contract.
        decimal: the dialect's sign before decimals.
        quoted: the values stood in quotes in JSON, so that digits alone are a code and not a number.
        declared: the type that a file or a database itself declares; it is kept where values allow it.
    """
    if not column.values:
        return Type(declared or "text", remarks=["no value was seen: is the type right?"])
    if declared and declared != "text":
        return Type(declared)
    if _is_boolean(column):
        return Type("boolean")
    if found := _moment(column, name):
        return found
    if "uuid" in column.possible:
        return Type("uuid")
    return _number(column, name, decimal, quoted=quoted) or _text(column)


def _is_boolean(column: Column) -> bool:
    if "boolean" not in column.possible or column.counts is None:
        return False
    words = {word.strip().lower() for word in column.counts}
    return words <= TYPED_WORDS or words in CLEAR_PAIRS


def _moment(column: Column, name: str) -> Type | None:
    form = column.form
    if form is None or (form.spark == "yyyyMMdd" and not DAY_NAME.search(name)):
        return None
    found = Type("timestamptz" if form.is_time else "date", form.format)
    if column.is_ambiguous:
        found.remarks.append(f"all values read as {form.format}, but month and day may stand the other way round")
    if form.is_time and not form.with_zone:
        found.remarks.append("times have no zone and are read as UTC; are they?")
    return found


def _number(column: Column, name: str, decimal: str, *, quoted: bool) -> Type | None:
    possible = column.possible
    if column.codes or CODE_NAME.search(name) or (column.signs == column.values and INTEGER in possible):
        return None
    if INTEGER in possible:
        return None if quoted else _integer(column, name)
    exact = COMMA if decimal == "," else POINT
    if exact in possible:
        whole, decimals = column.whole[exact], column.decimals[exact]
        as_ids = column.only_zero_decimals
        scale = max(decimals, 1) if as_ids else max(decimals, MONEY_DECIMALS)
        if max(whole, 1) + scale <= MOST_DIGITS:
            digits = min(MOST_DIGITS, max(whole + SPARE_DIGITS, FEWEST_DIGITS) + scale)
            remarks = ["whole numbers, written with a decimal like 17850.0"] if as_ids else []
            return Type(f"numeric({digits},{scale})", remarks=remarks)
    if (exact in possible or (DOUBLE in possible and decimal == ".")) and column.finite:
        return Type(
            "double precision",
            remarks=["beyond what a numeric holds exactly, or with an exponent: sums may differ in the last digits"],
        )
    return None


def _integer(column: Column, name: str) -> Type | None:
    digits = column.whole[INTEGER]
    if digits <= DIGITS_OF_INTEGER and not ID_NAME.search(name):
        return Type("integer")
    if digits <= DIGITS_OF_BIGINT:
        return Type("bigint")
    return Type(f"numeric({MOST_DIGITS},0)") if digits <= MOST_DIGITS else None


def _text(column: Column) -> Type:
    if column.codes:
        return Type("text", remarks=["digits with leading zeros: a code, not a number"])
    return Type("text")


def null_texts(
    columns: Sequence[Column], types: Sequence[Type], *, default: tuple[str, ...]
) -> tuple[tuple[str, ...], list[str]]:
    """The texts that mean no value in this delivery, and remarks on columns of texts where they are also found.

    Args:
        default: those that stand for no value in any case.
    """
    meant = dict.fromkeys(default)
    for column, kind in zip(columns, types, strict=True):
        if kind.physical != "text":
            meant |= dict.fromkeys(text.strip(" \t\r\n") for text in column.nulls)
        else:
            meant |= dict.fromkeys(text for text in column.nulls if text in PLAIN_NULLS and (text or "" in default))
    remarks = [
        f"{text!r} is no value in all columns, also {column.nulls[text]} times in text column {column.path}"
        for column, kind in zip(columns, types, strict=True)
        for text in meant
        if kind.physical == "text" and text not in PLAIN_NULLS and column.nulls[text]
    ]
    return tuple(meant), remarks


def missing(column: Column, kind: Type, nulls: Sequence[str]) -> int:
    """Rows that have no value, as the contract will read them."""
    strip = kind.physical != "text"
    return column.absent + sum(
        n for text, n in column.nulls.items() if (text.strip(" \t\r\n") if strip else text) in nulls
    )
