"""Texts as YAML writes them."""

from __future__ import annotations

import re
from typing import Any

import yaml


def scalar(value: Any) -> str:
    """A text as YAML writes it within a line, in quotes where it needs them."""
    plain = isinstance(value, str) and re.fullmatch(r"[A-Za-z_/*][\w /*.'();!?-]*", value) and value == value.strip()
    if plain and yaml.safe_load(value) == value:
        return str(value)
    style = "'" if str(value).isprintable() else '"'
    return str(yaml.safe_dump(str(value), default_style=style, width=1 << 20, allow_unicode=True)).strip()
