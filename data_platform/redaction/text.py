"""A text with placeholders in the place of what identifies somebody."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from data_platform.redaction.known import Known
from data_platform.redaction.patterns import Span, find

NOBODY = Known(())
# Between parts of one name or address.
BETWEEN = re.compile(r"[\s,.'\u2019-]{0,3}")


class Redacted(NamedTuple):
    """A text, and when the newest of the known values came that took something out of it; None where none did."""

    text: str
    since: datetime | None


def redact(text: str, known: Known = NOBODY) -> Redacted:
    """The text with placeholders like ``<EMAIL>``; what overlaps gives way to one, of the kind of the longest."""
    own = list(known.find(text))
    spans = _joined(text, merge([*find(text), *(span for span, _ in own)]))
    if not spans:
        return Redacted(text, None)
    parts, end = [], 0
    for span in spans:
        parts += [text[end : span.start], f"<{span.kind}>"]
        end = span.end
    times = [since for _, since in own if since is not None]
    return Redacted("".join([*parts, text[end:]]), max(times, default=None))


def merge(spans: Iterable[Span]) -> list[Span]:
    """Spans in their order, those that overlap made one."""
    merged: list[tuple[Span, int]] = []  # with the length of the one that gave the kind
    for span in sorted(spans, key=lambda s: (s.start, -s.end)):
        length = span.end - span.start
        if merged and span.start < merged[-1][0].end:
            before, longest = merged[-1]
            kind = span.kind if length > longest else before.kind
            merged[-1] = (Span(before.start, max(before.end, span.end), kind), max(length, longest))
        else:
            merged.append((span, length))
    return [span for span, _ in merged]


def _joined(text: str, spans: Sequence[Span]) -> list[Span]:
    """Names and addresses with next to nothing between their parts are one."""
    joined: list[Span] = []
    for span in spans:
        before = joined[-1] if joined else None
        is_part = before and before.kind == span.kind and span.kind in {"NAME", "ADDRESS"}
        if before and is_part and BETWEEN.fullmatch(text, before.end, span.start):
            joined[-1] = Span(before.start, span.end, span.kind)
        else:
            joined.append(span)
    return joined
