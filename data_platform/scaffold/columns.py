"""What a column's values are: read once, in batches of texts, without keeping them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data_platform.scaffold.moments import Form, forms

BLANKS = " \t\r\n"
# Texts that may mean: no value. Of the first kind nobody doubts it.
PLAIN_NULLS = ("", "\\N", "NULL", "null", "#N/A")
NULLS = (*PLAIN_NULLS, "NA", "N/A", "n/a", "NaN", "nan", "None", "none", "-", "--", "?", "nil", "(null)", "<NA>")
INTEGER, POINT, COMMA, DOUBLE = "integer", "point", "comma", "double"
NUMBERS = {
    INTEGER: r"^[+-]?[0-9]+$",
    POINT: r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)$",
    COMMA: r"^[+-]?([0-9]+(,[0-9]*)?|,[0-9]+)$",
    DOUBLE: r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$",
}
OTHERS = {
    "boolean": r"^(?i:true|false|t|f|yes|no|y|n)$",
    "uuid": r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
}
PARTS = {INTEGER: r"^[+-]?(?P<whole>[0-9]+)(?P<rest>)$", POINT: r"^[+-]?(?P<whole>[0-9]*)\.?(?P<rest>[0-9]*)$"}
PARTS[COMMA] = PARTS[POINT].replace(r"\.", ",")
CODE = r"^[+-]?0[0-9]"
KEPT = 20_000  # values of a column that patterns are looked for in, and numbers that a histogram is made of
MOST_COUNTED = 2_000


@dataclass
class Column:
    """A column as found. Counts are of rows; digits those of the longest number.

    Attributes:
        path: its name in the delivery; of objects the way to it.
        nulls: text that may mean no value → how often.
        counts: value → how often, while there are few; else empty.
        kept: some values, from all over.
        codes: a number begins with a zero that is not its only digit.
        signs: values begin with a plus.
    """

    path: str
    rows: int = 0
    absent: int = 0
    nulls: Counter[str] = field(default_factory=Counter)
    values: int = 0
    possible: set[str] = field(default_factory=lambda: {*NUMBERS, *OTHERS})
    forms: list[Form] = field(default_factory=forms)
    whole: dict[str, int] = field(default_factory=dict)
    decimals: dict[str, int] = field(default_factory=dict)
    only_zero_decimals: bool = True
    codes: bool = False
    signs: int = 0
    finite: bool = True
    lowest: float = np.inf
    highest: float = -np.inf
    lengths: tuple[int, int] = (1 << 30, 0)
    total_length: int = 0
    counts: Counter[str] | None = field(default_factory=Counter)
    kept: list[str] = field(default_factory=list)
    numbers: list[NDArray[np.float64]] = field(default_factory=list)
    hashes: list[NDArray[np.uint64]] = field(default_factory=list)
    distinct: int = 0
    json_kinds: set[str] = field(default_factory=set)

    def take(self, texts: pa.Array, *, with_hashes: bool) -> None:
        """Looks at more rows."""
        self.rows += len(texts)
        self.absent += texts.null_count
        if with_hashes:
            self.hashes.append(hashes_of(texts))
        present = texts.drop_null()
        trimmed = pc.utf8_trim(present, BLANKS)
        may_be_null = pc.is_in(trimmed, pa.array(NULLS))
        self.nulls.update(_counted(present.filter(may_be_null)))
        values = present.filter(pc.invert(may_be_null))
        if not len(values):
            return
        trimmed = trimmed.filter(pc.invert(may_be_null))
        self._take_texts(values)
        self._take_numbers(trimmed)
        for name in self.possible & set(OTHERS):
            if not _all_like(trimmed, OTHERS[name]):
                self.possible.discard(name)
        if any(form.alive for form in self.forms):
            repeated = pc.value_counts(trimmed)
            for form in self.forms:
                if form.alive:
                    form.take(repeated.field("values"), repeated.field("counts"))

    def _take_texts(self, values: pa.Array) -> None:
        self.values += len(values)
        lengths = pc.min_max(pc.utf8_length(values)).as_py()
        self.lengths = min(self.lengths[0], lengths["min"]), max(self.lengths[1], lengths["max"])
        self.total_length += pc.sum(pc.utf8_length(values)).as_py()
        if self.counts is not None:
            self.counts.update(_counted(values))
            if len(self.counts) > MOST_COUNTED:
                self.counts = None
        if len(self.kept) < KEPT:
            step = max(1, len(values) // max(1, KEPT // 20))
            self.kept += values[::step].to_pylist()

    def _take_numbers(self, values: pa.Array) -> None:
        alive = self.possible & set(NUMBERS)
        for kind in alive:
            if not _all_like(values, NUMBERS[kind]):
                self.possible.discard(kind)
        alive &= self.possible
        if not alive:
            return
        self.codes |= _any_like(values, CODE)
        self.signs += pc.sum(pc.starts_with(values, "+")).as_py()
        for kind in alive & set(PARTS):
            parts = pc.extract_regex(values, PARTS[kind])
            whole, rest = parts.field(0), parts.field(1)
            self.whole[kind] = max(self.whole.get(kind, 0), pc.max(pc.binary_length(whole)).as_py())
            self.decimals[kind] = max(self.decimals.get(kind, 0), pc.max(pc.binary_length(rest)).as_py())
            if self.only_zero_decimals and kind != INTEGER:
                self.only_zero_decimals = bool(pc.all(pc.match_substring_regex(rest, "^0*$")).as_py())
        with_point = pc.replace_substring(values, ",", ".") if COMMA in alive and POINT not in alive else values
        numbers = pc.cast(pc.utf8_ltrim(with_point, "+"), pa.float64()).to_numpy(zero_copy_only=False)
        self.finite &= bool(np.isfinite(numbers).all())
        self.lowest, self.highest = min(self.lowest, numbers.min()), max(self.highest, numbers.max())
        self.numbers.append(numbers[:: max(1, len(numbers) // max(1, KEPT // 10))])

    @property
    def form(self) -> Form | None:
        """The first form of days or times that all values have."""
        return next((form for form in self.forms if form.alive), None) if self.values else None

    @property
    def is_ambiguous(self) -> bool:
        """Whether day and month may also stand the other way round."""
        return self.form is not None and bool(self.form.spark) and sum(form.alive for form in self.forms) > 1

    def all_hashes(self) -> NDArray[np.uint64]:
        """A hash a row, in the order of reading."""
        return np.concatenate(self.hashes) if self.hashes else np.empty(0, np.uint64)


def hashes_of(texts: pa.Array) -> NDArray[np.uint64]:
    """A hash a value; of no value 0."""
    from pandas.util import hash_array

    encoded = texts.dictionary_encode()
    words = hash_array(
        np.append(encoded.dictionary.to_numpy(zero_copy_only=False), "").astype(object), categorize=False
    )
    words[-1] = 0
    found: Any = words[pc.fill_null(encoded.indices, len(words) - 1).to_numpy(zero_copy_only=False)]
    return found


def _counted(values: pa.Array) -> dict[str, int]:
    found = pc.value_counts(values)
    return dict(zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True))


def _all_like(values: pa.Array, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(values, pattern)).as_py())


def _any_like(values: pa.Array, pattern: str) -> bool:
    return bool(pc.any(pc.match_substring_regex(values, pattern)).as_py())
