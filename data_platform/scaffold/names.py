"""Names as the house writes them, made of those of a delivery."""

from __future__ import annotations

from collections.abc import Sequence

from data_platform.contracts.consistency import LONGEST_NAME
from data_platform.contracts.model import RESERVED
from data_platform.contracts.names import snake_case
from data_platform.contracts.parts import NAME
from data_platform.failures import InputError

LONGEST_COLUMN = 50  # `_hash` may follow, and Postgres cuts at 63


def check_name(name: str, what: str) -> str:
    """The name, if it is one.

    Raises:
        InputError: when it is not lower_snake_case, or too long.
    """
    like = snake_case(name)[:LONGEST_NAME].strip("_") or "orders"
    if not NAME.match(name) or len(name) > LONGEST_NAME:
        raise InputError(
            f"{what} {name!r} is not lower_snake_case of at most {LONGEST_NAME} characters", hint=f"call it {like}"
        )
    if "__" in name and what in {"source", "dataset"}:
        raise InputError(
            f"{what} {name!r} holds two underscores, which part the two in stg_<source>__<dataset>",
            hint=f"call it {like}",
        )
    return name


def column_names(delivered: Sequence[str], taken: Sequence[str] = ()) -> list[str]:
    """Names for columns: each another, none of the platform's own."""
    names: list[str] = []
    for position, text in enumerate(delivered, start=1):
        name = snake_case(text)[:LONGEST_COLUMN].strip("_") or f"column_{position}"
        if not name[0].isalpha():
            name = f"c_{name}"
        if name in RESERVED:
            name = f"{name}_delivered"
        stem, number = name, 2
        while name in names or name in taken:
            name, number = f"{stem}_{number}", number + 1
        names.append(name)
    return names


def in_words(name: str) -> str:
    """A name for people."""
    return name.replace("_", " ").strip().capitalize()
