"""The commands of a runbook, to be run as they stand there."""

from __future__ import annotations

import re
import shlex

from data_platform.settings import PROJECT_ROOT


def text_of(name: str) -> str:
    """A runbook in one line."""
    page = (PROJECT_ROOT / "docs" / "runbooks" / f"{name}.md").read_text(encoding="utf-8")
    return " ".join(page.split("\n"))


def commands_of(name: str) -> list[list[str]]:
    """Arguments of each `dp` on its page, in order."""
    found = re.findall(r"`(\.venv/bin/dp [^`]+)`", text_of(name))
    return [shlex.split(command)[1:] for command in found]
