"""Names of columns as contracts write them, made of those of a delivery."""

from __future__ import annotations

import re
import unicodedata

SPELLED = str.maketrans(
    {"ß": "ss", "æ": "ae", "ø": "o", "đ": "d", "ł": "l", "ä": "ae", "ö": "oe", "ü": "ue", "#": " no ", "%": " percent "}
)


def snake_case(text: str) -> str:
    """Letters and digits of a name, with underscores between its words."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", text).lower().translate(SPELLED)
    plain = unicodedata.normalize("NFKD", words).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")
