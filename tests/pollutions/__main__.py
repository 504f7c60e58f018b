"""Writes the table of outcomes."""

from tests.pollutions.page import PAGE, page

PAGE.write_text(page(), encoding="utf-8")
