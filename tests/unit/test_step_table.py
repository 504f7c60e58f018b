"""The table of steps is read on a terminal of 100 columns: nothing sticks out, and no message is folded to a thread."""

from __future__ import annotations

from io import StringIO
from typing import Any

from rich.console import Console

from data_platform.cli.step_table import step_table

WIDTH = 100
MESSAGE = "78 deliveries, 0 failed; 0.0034% of rows quarantined; 7 of 7 rules hold"
LINE: dict[str, Any] = dict.fromkeys(
    ("rows_read", "rows_live", "rows_quarantined", "rows_changed", "verdict", "seconds"), None
) | {"message": ""}


def printed(*rows: dict[str, Any]) -> list[str]:
    stream = StringIO()
    Console(file=stream, width=WIDTH, soft_wrap=True).print(step_table("run r1: published", rows))
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def test_it_fits_a_terminal_and_a_message_has_room() -> None:
    counts = {"rows_read": 1_837_462, "rows_live": 1_837_400, "rows_quarantined": 62, "rows_changed": 1_837_462}
    rows = [
        LINE | {"step": "ingest", "subject": "", "seconds": 6.123},
        LINE | counts | {"step": "ingest", "subject": "customers", "verdict": "passed", "message": MESSAGE},
        LINE | {"step": "publish", "subject": ""},
        LINE | {"step": "publish", "subject": "features.ftr_customer__purchases", "rows_changed": 93_222},
    ]
    lines = printed(*rows)
    assert max(map(len, lines)) <= WIDTH
    assert any("features.ftr_customer__purchases" in line for line in lines)
    assert any("customers" in line and "1,837,400" in line for line in lines)
    told = [line.strip() for line in lines[lines.index(next(x for x in lines if "customers" in x)) + 1 :]]
    assert " ".join(told[:3]).startswith(MESSAGE), "within three lines"


def test_a_step_has_its_name_once_and_columns_without_numbers_are_left_out() -> None:
    lines = printed(*(LINE | {"step": "stage", "subject": s, "rows_read": 1} for s in ("customers", "purchases")))
    text = "\n".join(lines)
    assert text.count("stage") == 1
    assert "read" in text
    assert "quarantined" not in text
