"""Days and times as they are written: which form all values of a column have, in Spark's letters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Y, M, D = r"(?P<y>\d{4})", r"(?P<m>\d{1,2})", r"(?P<d>\d{1,2})"
TIME = r"(?P<H>\d{2}):(?P<i>\d{2}):(?P<s>\d{2})(?P<f>\.\d{1,6})?(?P<z>Z|[+-]\d{2}:\d{2})?"
SHORT_TIME = r" (?P<H>\d{1,2}):(?P<i>\d{2})(?::(?P<s>\d{2}))?"
DAYS_BEFORE_1970 = 719_468  # of a calendar that begins on March 1 of the year 0
EARLIEST, LATEST = 1900, 2100  # for eight digits to be a day


@dataclass
class Form:
    """A form that values may have; ``alive`` as long as all had it.

    Attributes:
        spark: the format in Spark's letters; empty for what the contract's type reads by itself.
        days: day since 1970 → how many values.
        spans: first and last of them, a file.
    """

    pattern: str
    spark: str
    is_time: bool = False
    alive: bool = True
    padded: bool = True
    with_seconds: set[bool] = field(default_factory=set)
    with_zone: bool = False
    with_fraction: bool = False
    days: dict[int, int] = field(default_factory=dict)
    in_file: set[int] = field(default_factory=set)
    spans: list[tuple[int, int]] = field(default_factory=list)

    def end_file(self) -> None:
        """Notes the first and last day of the file that was read."""
        if self.in_file:
            self.spans.append((min(self.in_file), max(self.in_file)))
            self.in_file.clear()

    def take(self, values: pa.Array, counts: pa.Array) -> None:
        """Looks at more values, each there so many times; one that has not the form, or is of no calendar, ends it."""
        parts = pc.extract_regex(values, self.pattern)
        if parts.null_count:
            self.alive = False
            return
        year, month, day = (_numbers(parts, name) for name in "ymd")
        good = _is_day(year, month, day)
        if "yyyyMMdd" in self.spark:
            good &= (year >= EARLIEST) & (year <= LATEST)
        if self.is_time:
            good &= self._take_time(parts)
        if not good.all():
            self.alive = False
            return
        if r"\d{1,2}" in self.pattern:
            self.padded &= all(pc.min(pc.binary_length(parts.field(n))).as_py() == 2 for n in self._short_parts())
        found, places = np.unique(days_since_1970(year, month, day), return_inverse=True)
        rows = np.bincount(places, weights=counts.to_numpy(zero_copy_only=False))
        self.in_file |= set(found.tolist())
        for each, count in zip(found.tolist(), rows.tolist(), strict=True):
            self.days[each] = self.days.get(each, 0) + int(count)

    def _short_parts(self) -> list[int]:
        names = [n for n in ("m", "d", "H") if rf"(?P<{n}>\d{{1,2}})" in self.pattern]
        order = sorted("ymdHis", key=lambda n: self.pattern.find(f"(?P<{n}>") % 1000)
        present = [n for n in order if f"(?P<{n}>" in self.pattern]
        return [present.index(n) for n in names]

    def _take_time(self, parts: pa.Array) -> NDArray[np.bool_]:
        hour, minute, second = (_numbers(parts, name) for name in "His")
        names = [f.name for f in parts.type]
        seconds = pc.not_equal(parts.field(names.index("s")), "")
        self.with_seconds |= set(pc.unique(seconds).to_pylist())
        good = (hour < 24) & (minute < 60) & (second < 60)
        if "f" in names:
            self.with_fraction |= bool(pc.any(pc.not_equal(parts.field(names.index("f")), "")).as_py())
        if "z" in names:
            zones = [z for z in pc.unique(parts.field(names.index("z"))).to_pylist() if z not in {"", "Z"}]
            self.with_zone |= pc.any(pc.not_equal(parts.field(names.index("z")), "")).as_py()
            good &= all(int(z[1:3]) < 14 and int(z[4:]) < 60 for z in zones)
        return good

    @property
    def format(self) -> str:
        """Spark's format; empty where the type reads it by itself."""
        if not self.spark:
            return ""
        text = self.spark
        if "H" in text:
            seconds = {frozenset({True}): ":ss", frozenset({False}): ""}.get(frozenset(self.with_seconds), "[:ss]")
            text = text.replace("HH:mm", f"HH:mm{seconds}")
        if not self.padded:
            text = text.replace("MM", "M").replace("dd", "d").replace("HH", "H")
        return text


def forms() -> list[Form]:
    """All forms that are known; of two that fit, the earlier is meant."""
    return [Form(f"^{pattern}$", spark, is_time) for pattern, spark, is_time in _patterns()]


def _patterns() -> Iterator[tuple[str, str, bool]]:
    iso = r"(?P<y>\d{4})-(?P<m>\d{2})-(?P<d>\d{2})"
    yield iso, "", False
    yield rf"{iso}[T ]{TIME}", "", True
    yield rf"{iso}{SHORT_TIME}", "yyyy-MM-dd HH:mm", True
    yield r"(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})", "yyyyMMdd", False
    for sign in "./-":
        escaped = rf"\{sign}"
        orders = [
            (f"{D}{escaped}{M}{escaped}{Y}", f"dd{sign}MM{sign}yyyy"),
            (f"{M}{escaped}{D}{escaped}{Y}", f"MM{sign}dd{sign}yyyy"),
        ]
        if sign != "-":
            orders.append((f"{Y}{escaped}{M}{escaped}{D}", f"yyyy{sign}MM{sign}dd"))
        for pattern, spark in orders:
            yield pattern, spark, False
            yield f"{pattern}{SHORT_TIME}", f"{spark} HH:mm", True


def _numbers(parts: pa.Array, name: str) -> NDArray[np.int64]:
    position = next(at for at, field_ in enumerate(parts.type) if field_.name == name)
    texts = parts.field(position)
    found: Any = pc.cast(pc.if_else(pc.equal(texts, ""), "0", texts), pa.int64())
    return found.to_numpy(zero_copy_only=False)


def _is_day(year: NDArray[np.int64], month: NDArray[np.int64], day: NDArray[np.int64]) -> NDArray[np.bool_]:
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    lengths = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
    good = (year > 0) & (month >= 1) & (month <= 12) & (day >= 1)
    last = lengths[np.where(good, month, 0)] + (leap & (month == 2))
    return good & (day <= last)


def days_since_1970(year: Any, month: Any, day: Any) -> Any:
    """Days since 1970-01-01 of days of the Gregorian calendar, by arithmetic alone."""
    year = year - (month <= 2)
    era = year // 400
    of_era = year - era * 400
    of_year = (153 * (month + np.where(month > 2, -3, 9)) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - DAYS_BEFORE_1970
