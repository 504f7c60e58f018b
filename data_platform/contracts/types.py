"""Order among physical types: which one holds every value of another, unchanged."""

from __future__ import annotations

import re

DIGITS = {"smallint": 5, "integer": 10, "bigint": 19}
NUMERIC = re.compile(r"numeric\((\d{1,2}),(\d{1,2})\)")  # digits, and how many of them are decimals


def is_widening(old: str, new: str) -> bool:
    """Whether each value of ``old`` is one of ``new`` too, without change of meaning."""
    if old in DIGITS and new in DIGITS:
        return DIGITS[old] <= DIGITS[new]
    if old in DIGITS and new == "double precision":
        return DIGITS[old] <= DIGITS["integer"]  # a double holds 53 bits
    if target := NUMERIC.fullmatch(new):
        before = _before_and_after_point(old)
        whole, decimals = int(target[1]) - int(target[2]), int(target[2])
        return before is not None and before[0] <= whole and before[1] <= decimals
    return old == new


def _before_and_after_point(physical_type: str) -> tuple[int, int] | None:
    if physical_type in DIGITS:
        return DIGITS[physical_type], 0
    if match := NUMERIC.fullmatch(physical_type):
        return int(match[1]) - int(match[2]), int(match[2])
    return None
