"""The contract's type of values that no contract names: guessed from JSON, to be reviewed by a person."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from data_platform.contracts.model import LOGICAL_OF_PHYSICAL, MOST_DIGITS
from data_platform.contracts.types import NUMERIC

DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
TIME = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(\.\d{1,6})?(Z|[+-]\d{2}:\d{2})?")
USUAL_DIGITS, MOST_DECIMALS = 18, 12


def type_of(value: Any) -> str | None:
    """The narrowest physical type that holds a value of JSON, whose decimals are ``Decimal``; None for null.

    Whole numbers are ``numeric(<digits>,0)``, so that how many were seen is known when others come.
    """
    match value:
        case None:
            return None
        case bool():
            return "boolean"
        case int():
            return _numeric(len(str(abs(value))), 0)
        case Decimal():
            return _type_of_decimal(value)
        case str():
            return _type_of_text(value.strip())
        case _:
            return "text"  # a list, or an object without fields, as JSON


def widest(one: str | None, other: str | None) -> str | None:
    """The type that holds the values of two; text, where no other does."""
    if one is None or other is None or one == other:
        return one or other
    before, after = _digits(one), _digits(other)
    if before and after:
        whole, decimals = max(before[0], after[0]), max(before[1], after[1])
        return _numeric(whole + decimals, decimals)
    return "double precision" if (before or after) and "double precision" in {one, other} else "text"


def suggested(inferred: str) -> str:
    """The physical type to begin a contract's column with; numbers may grow beyond those that were seen."""
    numeric = NUMERIC.fullmatch(inferred)
    if numeric is None:
        return inferred
    digits, decimals = int(numeric[1]), int(numeric[2])
    if not decimals and digits <= USUAL_DIGITS:
        return "bigint"
    return f"numeric({USUAL_DIGITS if digits < USUAL_DIGITS else MOST_DIGITS},{decimals})"


def logical_type(physical_type: str) -> str:
    """What the standard calls a physical type."""
    return LOGICAL_OF_PHYSICAL[physical_type.partition("(")[0]]


def _type_of_decimal(value: Decimal) -> str:
    _, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        return "double precision"
    decimals = max(0, -exponent)
    return _numeric(max(len(digits) + max(0, exponent), decimals), decimals)


def _numeric(digits: int, decimals: int) -> str:
    if decimals > MOST_DECIMALS or digits > MOST_DIGITS:  # as computed numbers are
        return "double precision"
    return f"numeric({digits},{decimals})"


def _type_of_text(text: str) -> str:
    with suppress(ValueError):
        if DAY.fullmatch(text) and date.fromisoformat(text):
            return "date"
        if TIME.fullmatch(text) and datetime.fromisoformat(text):
            return "timestamptz"
    return "boolean" if text.lower() in {"true", "false"} else "text"


def _digits(physical: str) -> tuple[int, int] | None:
    """Digits before and after the point."""
    numeric = NUMERIC.fullmatch(physical)
    return (int(numeric[1]) - int(numeric[2]), int(numeric[2])) if numeric else None
