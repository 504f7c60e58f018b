"""How the shape of a file, its names and types, differs from what the contract says, and how that is told."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

NOT_SHOWN = "(not shown)"
FORM = re.compile(r"[\s_\-\"']+")
ALIKE = 0.6
MOST_SHOWN = 20
LONGEST_SHOWN = 100
MOST_COMPARED = 200  # each with each; more names are no renamed columns
HINT = "correct the file, or change the contract if the source has changed; docs/drift.md tells what `schemaDrift` does"


class ShapeDiffersError(Exception):
    """An object on ``line`` is not as the contract has it, and so its file does not count."""

    def __init__(self, line: int, difference: Difference) -> None:
        super().__init__(line, difference)
        self.line, self.difference = line, difference


@dataclass(frozen=True)
class Difference:
    """What is other than in the contract, by names as delivered.

    Attributes:
        renamed: pairs of a missing name and of the unknown one that it may have become.
        retyped: names with what is wrong with their types, in words.
    """

    missing: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()
    retyped: tuple[str, ...] = ()
    twins: tuple[str, ...] = ()
    reordered: bool = False

    def in_words(self, *, confidential: bool) -> str:
        """All of it in a line; unknown names may be values, and those of a confidential dataset are not shown."""
        shown = {name: NOT_SHOWN if confidential else printable_name(name) for name in self.unknown}
        parts = {
            "missing": self.missing,
            "not in the contract": list(shown.values()),
            "perhaps renamed": [f"{old} → {shown.get(new, NOT_SHOWN)}" for old, new in self.renamed],
            "of another type": self.retyped,
            "standing twice": [shown.get(name, name) for name in self.twins],
        }
        told = [f"{what}: {listed(names)}" for what, names in parts.items() if names]
        return "; ".join(told + ["the order differs"] * self.reordered)


def compare(found: Sequence[str], expected: Sequence[str]) -> Difference:
    """The difference between two lists of names; ``found`` in the file's order, ``expected`` in the contract's."""
    missing = [name for name in expected if name not in found]
    unknown = [name for name in dict.fromkeys(found) if name not in expected]
    twins = tuple(name for name, times in Counter(found).items() if name and times > 1)
    return Difference(
        missing=tuple(missing),
        unknown=tuple(unknown),
        renamed=tuple(_renames(missing, unknown, found, expected)),
        twins=twins,
        reordered=not (missing or unknown or twins) and list(found) != list(expected),
    )


def compare_ways(found: Sequence[str], expected: Sequence[str]) -> Difference:
    """The difference between two lists of ways into objects, whose order is none."""
    no_objects = [way for way in found if any(other.startswith(f"{way}.") for other in expected)]
    difference = compare([way for way in found if way not in no_objects], expected)
    return replace(difference, retyped=tuple(f"{way} is no object" for way in no_objects), reordered=False)


def plain_form(name: str) -> str:
    """A name without case, blanks, underscores, hyphens and quotes: what variants of it have in common."""
    return FORM.sub("", name).casefold()


def legible(text: str) -> str:
    """A text as one line that a terminal can show and a database can hold: what cannot be printed is written out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def printable_name(name: str) -> str:
    """A name as a message shows it: of one line, and not longer than it need be."""
    shown = name if len(name) <= LONGEST_SHOWN else f"{name[: LONGEST_SHOWN - 1]}…"
    return legible(shown) or "(a name that is empty)"


def listed(names: Sequence[str]) -> str:
    """Names in a message, which need not show all of them."""
    more = len(names) - MOST_SHOWN
    return ", ".join(names[:MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _renames(
    missing: Sequence[str], unknown: Sequence[str], found: Sequence[str], expected: Sequence[str]
) -> list[tuple[str, str]]:
    """Pairs of names that are alike, the most alike first; of what is left, those that stand in the same place."""
    likeness = {
        (old, new): SequenceMatcher(None, plain_form(old), plain_form(new)).ratio()
        for old in missing[:MOST_COMPARED]
        for new in unknown[:MOST_COMPARED]
        if len(new) <= LONGEST_SHOWN
    }
    candidates = [pair for pair, ratio in sorted(likeness.items(), key=lambda item: -item[1]) if ratio >= ALIKE]
    if len(found) == len(expected):
        candidates += [pair for pair in zip(expected, found, strict=True) if pair in likeness]
    pairs: dict[str, str] = {}
    for old, new in candidates:
        if old not in pairs and new not in pairs.values():
            pairs[old] = new
    return [(old, pairs[old]) for old in missing if old in pairs]
