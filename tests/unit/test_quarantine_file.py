"""The file in which rows leave quarantine to be corrected: whatever a row holds comes back as it was."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_platform.failures import InputError
from data_platform.quarantine import BrokenRow, Fix
from data_platform.quarantine_file import read_rows, write_rows

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


def broken(raw: str, line: int = 2) -> BrokenRow:
    return BrokenRow("purchases", "landing/x.txt", line, "range", "cd_count", 1, None, "0f", "digest", 1, raw)


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
@given(raws=st.lists(TEXTS | st.text('a",;\r\n', min_size=1), max_size=5))
def test_rows_come_back_as_they_were(tmp_path_factory: pytest.TempPathFactory, ending: str, raws: list[str]) -> None:
    file = tmp_path_factory.mktemp("rows") / f"rows{ending}"
    write_rows(file, [broken(raw, line) for line, raw in enumerate(raws, start=2)])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    back = [row for _, row in read_rows(file)]
    assert [(row.path, row.line, row.raw, row.corrected) for row in back] == [
        ("landing/x.txt", line, raw, "") for line, raw in enumerate(raws, start=2)
    ]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("x.txt", b"", "neither CSV nor JSON lines"),
        ("x.csv", b"dataset,path,line,raw,corrected,price\na,b,1,c,d,e\n", "row 1: not as exported: price"),
        ("x.csv", b"dataset,path,raw,corrected\na,b,c,d\n", "row 1: not as exported: line"),
        ("x.csv", b"dataset,path,line,raw,corrected\na,b,1,c,d,e\n", "row 1: not as exported"),
        ("x.csv", b"dataset,path,line,raw,corrected\na,b,1,\xff,d\n", "x.csv is no csv in UTF-8"),
        ("x.jsonl", b"{", "x.jsonl is no jsonl"),
        ("x.jsonl", b"[1]\n", "row 1: not as exported"),
    ],
)
def test_a_file_in_another_form_is_refused(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(InputError, match=says):
        list(read_rows(file))


def test_a_missing_file_and_one_that_is_there_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        list(read_rows(tmp_path / "none.csv"))
    (tmp_path / "there.csv").touch(mode=0o644)
    with pytest.raises(InputError, match="cannot be written: File exists"):
        write_rows(tmp_path / "there.csv", [broken("x")])


def test_raw_and_corrected_texts_do_not_show_in_tracebacks() -> None:
    assert "secret" not in repr(Fix(broken("secret"), "secret"))
