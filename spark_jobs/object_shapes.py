"""The shape of an object, in names: ways to its fields, like ``page.url``, beside those of the contract."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from spark_jobs.differences import ShapeDiffersError, compare_ways
from spark_jobs.records import Layout


def innermost(found: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """The ways to the innermost fields of an object, with what stands there."""
    for key, value in found.items():
        if isinstance(value, dict) and value:
            yield from innermost(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def lacks_required(values: Sequence[str | None], layout: Layout) -> bool:
    """Whether a value is missing that every row has."""
    return any(value is None and name in layout.required for name, value in zip(layout.names, values, strict=True))


def refuse_other_shape(found: dict[str, Any], unknown: dict[str, Any], layout: Layout, line: int) -> None:
    """Refuses an object with unknown fields, or without a required one; what may be absent is no difference.

    Raises:
        ShapeDiffersError: with all differences.
    """
    ways = list(dict.fromkeys(layout.columns))
    difference = compare_ways(list(_ways(found, ways)), ways)
    needed = {way for way, name in zip(layout.columns, layout.names, strict=True) if name in layout.required}
    missing = tuple(way for way in difference.missing if way in needed | dict(difference.renamed).keys())
    if missing or unknown:
        if not difference.retyped:  # a key with a full stop in it looks like a way
            difference = replace(difference, unknown=tuple(way for way, _ in innermost(unknown)))
        raise ShapeDiffersError(line, replace(difference, missing=missing))


def _ways(found: dict[str, Any], expected: Sequence[str], before: str = "") -> Iterator[str]:
    """The ways to an object's fields in their order: down to those that are expected, or to the innermost."""
    for key, value in found.items():
        way = f"{before}{key}"
        if isinstance(value, dict) and value and way not in expected:
            yield from _ways(value, expected, f"{way}.")
        elif value is not None or not any(other.startswith(f"{way}.") for other in expected):
            yield way
