"""Corrected texts as the worker reads them, and which overrides meet a row at all."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from data_platform.failures import InputError
from data_platform.ledger import Delivery, QuarantinedRow
from data_platform.overrides import Override, raw_digest
from data_platform.quarantine import Candidate
from data_platform.settings import get_settings
from spark_jobs.accounts import Account
from spark_jobs.corrections import read_text
from spark_jobs.overriding import due_overrides
from spark_jobs.records import Layout
from spark_jobs.row_check import refuse_other_files

LAYOUT = Layout(columns=("a", "b"), names=("a", "b"))
AT = datetime(1998, 1, 6, tzinfo=UTC)
KEY = Fernet.generate_key()


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")), min_size=2, max_size=2))
def test_a_text_is_one_record_with_the_values_that_were_written(values: list[str]) -> None:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="").writerow(values)
    (row,) = read_text(text.getvalue(), 7, LAYOUT).to_pylist()
    assert (row["line"], row["error"], [row["a"], row["b"]]) == (7, None, values)


@pytest.mark.parametrize("text", ["", "\n", "1,2\n3,4", "1,2,3", "1"])
def test_none_or_several_records_are_one_broken_row(text: str) -> None:
    (row,) = read_text(text, 7, LAYOUT).to_pylist()
    assert (row["line"], row["error"], row["a"]) == (7, "fields", None)


def override(line: int, text: str) -> Override:
    return Override(1, 5, line, raw_digest(text, KEY), b"", AT)


@pytest.mark.parametrize(
    ("wanted", "failure", "is_due"),
    [
        (override(3, "raw"), None, True),
        (override(4, "raw"), None, False),
        (override(3, "another text on that line"), None, False),
        (override(3, "raw"), "too many broken rows", False),
    ],
)
def test_an_override_meets_its_own_text_where_it_breaks_a_rule(
    monkeypatch: pytest.MonkeyPatch, wanted: Override, failure: str | None, is_due: bool
) -> None:
    monkeypatch.setenv("QUARANTINE_KEY", KEY.decode())
    get_settings.cache_clear()
    delivery = Delivery(5, "purchases", "landing/x.txt", "", 0, None, AT)
    account = Account(delivery, 1, failure, [QuarantinedRow(3, "range", None, "raw")])
    assert due_overrides([account], [wanted]) == ([wanted] if is_due else [])
    get_settings.cache_clear()


def test_a_text_is_not_checked_by_the_header_of_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANDING_URL", str(tmp_path))
    get_settings.cache_clear()
    file = tmp_path / "x.csv"
    file.write_bytes(b"a,b\n1,x\n")
    candidate = Candidate("1,2", path="landing/x.csv", sha256=sha256(b"a,b\n1,x\n").hexdigest())
    refuse_other_files([candidate])
    file.write_bytes(b"b,a\n1,x\n")
    with pytest.raises(InputError, match=r"landing/x\.csv is no longer the file that the row stands in"):
        refuse_other_files([candidate])
    file.unlink()
    with pytest.raises(InputError, match=r"landing/x\.csv cannot be read"):
        refuse_other_files([candidate])
    get_settings.cache_clear()
