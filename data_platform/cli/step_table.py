"""What the steps of a run did, as a table that is read at 100 columns: a step, what it worked on, what it says of that.

A message stands below its subject, so that it has the width of both; beside them it would be folded word by word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

NUMBERS = {"rows_read": "read", "rows_live": "live", "rows_quarantined": "quarantined", "rows_changed": "changed"}
INDENT = 2


def step_table(title: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    """A table of steps; columns of numbers that no row has are left out.

    Args:
        rows: lines of ``ops.run_steps``, those of a step together. One without subject is of the step as a whole.
    """
    numbers = [name for name in NUMBERS if any(row[name] is not None for row in rows)]
    table = Table(
        title=title,
        title_justify="left",
        header_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("rows of", overflow="fold", min_width=30)
    for name in numbers:
        table.add_column(NUMBERS[name], justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("seconds", justify="right", no_wrap=True)
    for step, lines in groupby(rows, key=lambda row: row["step"]):
        whole, *parts = sorted(lines, key=lambda row: row["subject"] != "")
        if whole["subject"]:
            whole, parts = {"step": step}, [whole, *parts]
        for row in (whole, *parts):
            cells = ["" if row.get(name) is None else f"{row[name]:,}" for name in numbers]
            table.add_row(_named(row), *cells, row.get("verdict") or "", _seconds(row.get("seconds")))
    return table


def _named(row: Mapping[str, Any]) -> RenderableType:
    subject = row.get("subject")
    name = Padding(Text(subject), (0, 0, 0, INDENT)) if subject else Text(row["step"], style="bold")
    if not row.get("message"):
        return name
    return Group(name, Padding(Text(row["message"], style="dim"), (0, 0, 0, 2 * INDENT)))


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
