"""The docs name only commands, options, targets and pages that there are."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import typer

from data_platform.cli.main import build_app

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
CODE = re.compile(r"```[a-z]*\n(?P<block>.*?)```|`(?P<inline>[^`]+)`", re.DOTALL)
COMMAND = re.compile(r"^(?:\S+=\S* )*(?:\S*\.venv/bin/)?(dp|dp-warm|make)(?: |$)")
LINK = re.compile(r"\]\(([^)#\s]+)")
DP = typer.main.get_command(build_app())
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def commands(page: str) -> list[list[str]]:
    """Each command of `dp` and `make` on a page, in words."""
    lines: list[str] = []
    for code in CODE.finditer(page):
        lines += code["block"].splitlines() if code["block"] else [" ".join(code["inline"].split())]
    found = [COMMAND.match(part) for line in lines for part in line.split(" && ")]
    return [shlex.split(start.string[start.start(1) :], comments=True) for start in found if start]


def wrong(words: list[str]) -> str:
    """What is wrong with a command; empty when nothing is."""
    program, *rest = words
    if program == "make":
        unknown = [word for word in rest if "=" not in word and word not in TARGETS]
        return f"make has no target {unknown[0]}" if unknown else ""
    command: Any = DP
    while (below := getattr(command, "commands", {})) and rest and not rest[0].startswith(("-", "…")):
        if rest[0] not in below:
            return f"dp has no command {rest[0]}"
        command, rest = below[rest[0]], rest[1:]
    options = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    unknown = [word for word in rest if word.startswith("--") and word.partition("=")[0] not in options]
    return f"{command.name} has no option {unknown[0]}" if unknown else ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_names_commands_and_pages_that_there_are(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    faults = [f"{shlex.join(words)}: {fault}" for words in commands(text) if (fault := wrong(words))]
    faults += [
        f"{link}: there is no such file"
        for link in LINK.findall(text)
        if "://" not in link and not (page.parent / unquote(link)).exists()
    ]
    assert faults == []


def test_what_is_not_there_is_found() -> None:
    page = "`dp stail`, `dp stale --every`, `dp quarantine lost`\n```\n.venv/bin/dp run --dry # x\nmake cheese\n```\n"
    assert [wrong(words) for words in commands(page)] == [
        "dp has no command stail",
        "stale has no option --every",
        "dp has no command lost",
        "run has no option --dry",
        "make has no target cheese",
    ]
    assert [wrong(words) for words in commands("`dp stale --all`, `make test`, `dp …`, `dp runs # the runs`")] == [
        ""
    ] * 4
