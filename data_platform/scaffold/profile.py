"""The profile of a new dataset: one page, without a network, that shows each column's values; of personal ones none."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from data_platform.scaffold.columns import Column
from data_platform.scaffold.draft import Draft, DraftColumn
from data_platform.scaffold.personal import is_word
from data_platform.settings import get_settings

TEMPLATES = Path(__file__).parent / "templates"
WIDTH, HEIGHT, BINS = 300, 64, 30
BARS, LONGEST_LABEL = 6, 28
FEWEST_OF_VALUE = 5  # so often must a text stand there to be shown as it is
EPOCH = date(1970, 1, 1).toordinal()


def page_path(draft: Draft) -> Path:
    """Where the page stands."""
    return get_settings().reports_dir / "profiles" / f"{draft.source}__{draft.dataset}.html"


def render(draft: Draft) -> str:
    """The page as HTML, self-contained."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    pages = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    columns = [_shown(c, draft) for c in draft.columns]
    reviews = [*draft.remarks, *(f"{c.name}: {remark}" for c in draft.columns for remark in c.remarks)]
    return pages.get_template("profile.html.j2").render(
        draft=draft, columns=columns, reviews=reviews, width=WIDTH, height=HEIGHT
    )


def _shown(column: DraftColumn, draft: Draft) -> dict[str, Any]:
    found = column.found
    hidden = column.personal is not None
    numbers, days = _numbers(found), _days(found)
    is_number = column.kind.logical in {"number", "integer"} and len(numbers) > 0
    is_day = column.kind.logical in {"date", "timestamp"} and bool(days)
    histogram: list[dict[str, Any]] = []
    ends: tuple[str, str] | None = None
    if is_number and not hidden:
        whole = column.kind.logical == "integer"
        histogram, ends = (
            _bins(numbers, None, found.lowest, found.highest, whole=whole),
            (_number(found.lowest), _number(found.highest)),
        )
    elif is_day and not hidden:
        places = np.array(sorted(days))
        first, last = int(places[0]), int(places[-1])
        histogram = _bins(places, np.array([days[p] for p in places.tolist()]), first, last, whole=True)
        ends = (str(_day(first)), str(_day(last)))
    return {
        "name": column.name,
        "path": column.path if column.path != column.name else "",
        "type": column.kind.physical,
        "format": column.kind.format,
        "in_key": column.in_key,
        "is_day": column.name == draft.day,
        "personal": column.personal,
        "missing": column.missing,
        "missing_share": 100 * column.missing / draft.rows if draft.rows else 0,
        "distinct": found.distinct,
        "histogram": histogram,
        "ends": ends,
        "bars": [] if hidden or column.is_free or histogram else _bars(found),
        "examples": [] if histogram else _shapes(found),
        "lengths": found.lengths if found.values and not histogram else None,
        "remarks": column.remarks,
    }


def _numbers(found: Column) -> Any:
    return np.concatenate(found.numbers) if found.numbers else np.empty(0)


def _days(found: Column) -> dict[int, int]:
    return found.form.days if found.form else {}


def _day(number: int) -> date:
    return date.fromordinal(number + EPOCH)


def _bins(values: Any, weights: Any, low: float, high: float, *, whole: bool) -> list[dict[str, Any]]:
    """Bars of a histogram, in the picture's own units; of whole numbers each bar spans as many."""
    values = values[np.isfinite(values)]
    if not len(values) or not np.isfinite(low + high):
        return []
    span = (high - low + 1) if whole else (high - low) or 1
    a_bar = ceil(span / BINS) if whole else span / BINS
    bins = ceil(span / a_bar) if whole else BINS
    counts, _ = np.histogram(values, bins=bins, range=(low, low + bins * a_bar), weights=weights)
    step, top = WIDTH / bins, counts.max()
    return [
        {"x": round(at * step, 1), "w": round(step - 1, 1), "h": round(max(1.0, HEIGHT * n / top), 1), "n": int(n)}
        for at, n in enumerate(counts.tolist())
        if n
    ]


def _bars(found: Column) -> list[dict[str, Any]]:
    """The most frequent words; others, and what stands there seldom, may be somebody's: their shape is shown."""
    if not found.counts:
        return []
    top = found.counts.most_common(BARS)
    shown = [(value, n) for value, n in top if n >= FEWEST_OF_VALUE and is_word(value)]
    if not shown or len(found.counts) > found.values / 2:
        return []
    most = shown[0][1]
    bars = [{"label": _cut(value), "n": n, "w": round(100 * n / most, 1), "is_rest": False} for value, n in shown]
    if rest := found.values - sum(n for _, n in shown):
        label, share = f"{len(found.counts) - len(shown)} others", min(100, 100 * rest / most)
        bars.append({"label": label, "n": rest, "w": round(share, 1), "is_rest": True})
    return bars


def _shapes(found: Column) -> list[str]:
    """What values look like, with letters and digits masked."""
    shapes: dict[str, int] = {}
    for value in found.kept[:2_000]:
        shape = _cut(re.sub(r"[^\W\d_]+", lambda m: "a" * min(8, len(m[0])), re.sub(r"\d", "9", value)))
        shapes[shape] = shapes.get(shape, 0) + 1
    return sorted(shapes, key=lambda s: -shapes[s])[:3]


def _cut(text: str) -> str:
    text = " ".join(text.split()) or "(blanks)"
    return text if len(text) <= LONGEST_LABEL else f"{text[: LONGEST_LABEL - 1]}…"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) and abs(value) < 1e15 else f"{value:,.6g}"


def summary(draft: Draft) -> Sequence[dict[str, Any]]:
    """The columns in words, for a terminal and for programs."""
    return [
        {
            "column": c.name,
            "delivered_as": c.path,
            "type": c.kind.physical,
            "format": c.kind.format,
            "missing": c.missing,
            "distinct": c.found.distinct,
            "key": "key" if c.in_key else "",
            "personal": "" if c.personal is None else c.personal.why,
            "review": "; ".join(c.remarks),
        }
        for c in draft.columns
    ]
