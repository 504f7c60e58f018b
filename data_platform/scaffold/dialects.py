"""The dialect of delimited text: each candidate is scored by how alike it makes the rows, and how sensible the cells.

After G. van den Burg, A. Nazábal, C. Sutton, "Wrangling messy CSV files by detecting row and type patterns" (2019).
The best few are then tried by the reader that ingestion will use; what it takes all rows of wins.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from data_platform.scaffold.columns import NULLS

SEPARATORS = (",", ";", "\t", "|", "^", "~", ":", "\x1f", "blanks")
QUOTES = ('"', "'", None)
LINES = 400
EPSILON = 1e-3
LEAST_ROWS = 2
# Cells that mean something. The order of the alternatives does not matter.
SENSIBLE = re.compile(
    r"""\s*(?:
      [+-]?[\d.,]*\d(?:[eE][+-]?\d+)?\s?[%€$£]? | [€$£]\s?[\d.,]+
    | \d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(?:[T\s]\d{1,2}:\d{2}(?::\d{2})?\S*)? | \d{1,2}:\d{2}(?::\d{2})?
    | [\w.+-]+@[\w-]+\.[\w.-]+ | https?://\S+ | [0-9a-fA-F-]{36}
    | n/?a | nan | null | none | true | false | \\N
    | \w[\w\s.&'()/%\#-]*
    )?\s*""",
    re.VERBOSE | re.IGNORECASE,
)
TYPED = re.compile(
    r"\s*([+-]?[\d.,]*\d|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}.*|\d{1,2}:\d{2}.*|true|false|\S+@\S+)\s*", re.IGNORECASE
)
NAME_LIKE = re.compile(r"\s*[^\W\d][\w .\-/()%#&$€£:?]{0,62}\s*")
# One word, or several in small letters. What else a first line holds may be somebody's: `Anna Miller`, `Millerweg 1`.
IDENTIFIER = re.compile(r"[^\W\d]\w*|[^\W\d_A-Z]+([ ./-][^\W\d_A-Z]+)+")


@dataclass(frozen=True)
class Guess:
    """A dialect, and how well it fits; ``rows`` are of the sample."""

    separator: str
    quote: str | None
    score: float
    rows: tuple[tuple[str, ...], ...]

    @property
    def width(self) -> int:
        """Number of fields that most rows have."""
        return Counter(map(len, self.rows)).most_common(1)[0][0] if self.rows else 0


def guess_dialects(text: str) -> list[Guess]:
    """Dialects that the text may be written in, the best first; it ends with a whole line."""
    text = "".join(text.replace("\r\n", "\n").splitlines(keepends=True)[:LINES])
    guesses = [guess for separator in SEPARATORS for quote in QUOTES if (guess := _guess(text, separator, quote))]
    guesses.sort(key=lambda guess: -guess.score)
    return guesses or [Guess(",", '"', 0.0, tuple((line,) for line in text.splitlines() if line))]


def _guess(text: str, separator: str, quote: str | None) -> Guess | None:
    if (quote == "'" and "'" not in text) or (separator != "blanks" and separator not in text):
        return None
    rows = tuple(_rows(text, separator, quote))
    if not rows:
        return None
    score = _alike(rows) * _sensible(rows)
    if separator == "blanks":
        score *= _fits_blanks(rows)
    if quote == '"':
        score *= 1.01  # of equals, the usual one
    return Guess(separator, quote, score, rows)


def _rows(text: str, separator: str, quote: str | None) -> Iterator[tuple[str, ...]]:
    if separator == "blanks":
        if quote != '"':  # read alike
            return
        yield from (tuple(line.split()) for line in text.splitlines() if line.strip())
        return
    options: dict[str, Any] = {"quotechar": quote} if quote else {"quoting": csv.QUOTE_NONE}
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator, **options):
            if row:
                yield tuple(row)
    except csv.Error:
        return


def _alike(rows: Sequence[tuple[str, ...]]) -> float:
    """The score of row patterns: many rows of one pattern, few patterns, many fields."""
    widths = Counter(map(len, rows))
    return (
        sum(count * max(EPSILON, width - 1) / width for width, count in widths.items()) / len(widths) ** 2 / len(rows)
    )


def _sensible(rows: Sequence[tuple[str, ...]]) -> float:
    cells = [cell for row in rows for cell in row]
    good = sum(bool(SENSIBLE.fullmatch(cell)) and not (cell[:1] in "\"'" and len(cell) > 1) for cell in cells)
    return max(EPSILON, good / len(cells))


def _fits_blanks(rows: Sequence[tuple[str, ...]]) -> float:
    """Words of a sentence are apart by blanks, too: there all rows have as many, and some column holds no words."""
    body = rows[1:] or rows
    if len({len(row) for row in rows}) > 1 or len(rows[0]) < 2:
        return EPSILON
    typed = any(all(TYPED.fullmatch(row[at]) for row in body) for at in range(len(body[0])))
    return 0.9 if typed else EPSILON


def is_identifier(name: str) -> bool:
    """Whether a text of a first line is written like a column's name, and unlike a value."""
    return bool(IDENTIFIER.fullmatch(name))


@dataclass(frozen=True)
class Header:
    """Whether the first row names the columns, and why that may be wrong; empty where something tells it for sure."""

    is_there: bool
    doubt: str = ""


def find_header(rows: Sequence[tuple[str, ...]], first_rows: Sequence[tuple[str, ...]]) -> Header:
    """Whether the first row names the columns.

    Args:
        rows: of one file.
        first_rows: the first row of each of several files.
    """
    names = [name.strip() for name in rows[0]]
    if any(TYPED.fullmatch(name) for name in names) or len(set(names)) < len(names) or not any(names):
        return Header(is_there=False)
    if not all(NAME_LIKE.fullmatch(name) and name not in NULLS for name in names if name):
        return Header(is_there=False)
    if len(first_rows) > 1:
        return Header(is_there=len(set(first_rows)) == 1)
    body = [row for row in rows[1:] if len(row) == len(names)]
    columns = list(zip(*body, strict=True))
    filled = [[cell for cell in column if cell.strip()] for column in columns]
    if any(column and all(TYPED.fullmatch(cell) for cell in column) for column in filled):
        doubt = "" if all(map(is_identifier, filter(None, names))) else "some names look like values"
        return Header(is_there=True, doubt=doubt)
    if any(name in column for name, column in zip(names, columns, strict=False)):
        return Header(is_there=False)
    return Header(is_there=sum(map(is_identifier, names)) > len(names) / 2, doubt="all columns are texts")
