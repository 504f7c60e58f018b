"""The reader of delimited text, held to Python's csv module, to naive oracles, and to itself by another path."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from spark_jobs import blocks
from spark_jobs.blocks import read_block, read_slowly
from spark_jobs.records import MAX_RECORD_BYTES, Layout, UnreadableFileError
from spark_jobs.text_files import read_file

NAMES = ("a", "b", "c", "d")


def layout(width: int = 3, **options: Any) -> Layout:
    names = NAMES[:width]
    return Layout(columns=tuple(f"the {n}" for n in names), names=names, **{"header": False, **options})


def read(file: Path, how: Layout, **options: Any) -> list[dict[str, Any]]:
    """Rows in the order of the file; the records counted must be the rows that came out."""
    parts = list(read_file(file, how, name="landing/x.csv", **options))
    rows = [row for part in parts if part.batch is not None for row in part.batch.to_pylist()]
    assert sum(part.records for part in parts) == len(rows)
    return sorted(rows, key=lambda row: row["line"])


def values(rows: list[dict[str, Any]], how: Layout) -> list[tuple[str, ...]]:
    return [tuple(row[name] for name in how.names) for row in rows if row["error"] is None]


def written(tmp: Path, content: bytes, name: str = "x.csv") -> Path:
    file = tmp / name
    file.write_bytes(content)
    return file


@st.composite
def tables(draw: st.DrawFn, encoding: str) -> tuple[list[list[str]], dict[str, Any]]:
    """A table, and how to write it: anything that the csv module can write."""
    texts = st.text(st.characters(codec=encoding, exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
    lively = st.text(st.sampled_from("a1 ,;|\t\"'\r\né"), max_size=6)
    width = draw(st.integers(1, 4))
    rows = draw(st.lists(st.lists(texts | lively, min_size=width, max_size=width), max_size=12))
    dialect = {
        "delimiter": draw(st.sampled_from(",;|\t")),
        "quotechar": draw(st.sampled_from("\"'")),
        "quoting": draw(st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL])),
        "lineterminator": draw(st.sampled_from(["\n", "\r\n"])),
    }
    return rows, dialect


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16"])
@settings(max_examples=40)
@given(data=st.data(), chunk=st.sampled_from([1, 3, 7, 64, 1 << 20]), final_newline=st.booleans(), header=st.booleans())
def test_what_the_csv_module_writes_is_read_back(
    encoding: str, data: st.DataObject, chunk: int, final_newline: bool, header: bool, tmp_path_factory: Any
) -> None:
    rows, dialect = data.draw(tables(encoding.removesuffix("-sig")))
    how = layout(
        len(rows[0]) if rows else 2,
        separator=dialect["delimiter"],
        quote=dialect["quotechar"],
        encoding=encoding,
        header=header,
    )
    text = io.StringIO()
    writer = csv.writer(text, **dialect)
    if header:
        writer.writerow(how.columns)
    writer.writerows(rows)
    content = text.getvalue()
    # The csv module writes a bare \r unquoted where lines end with \n; its own reader then takes it for a line end.
    if dialect["quoting"] == csv.QUOTE_MINIMAL:
        assume(not any("\r" in value for row in rows for value in row))
    if not final_newline:
        content = content.removesuffix(dialect["lineterminator"])
    file = written(tmp_path_factory.mktemp("x"), content.encode(encoding))

    found = read(file, how, chunk_bytes=chunk)

    assert [row["error"] for row in found] == [None] * len(rows)
    assert values(found, how) == [tuple(row) for row in rows]
    assert [row["line"] for row in found] == begin_lines(content, dialect, header)


@pytest.mark.parametrize("quoting", [csv.QUOTE_ALL, csv.QUOTE_NONE])
@settings(max_examples=60)
@given(
    rows=st.lists(st.lists(st.text("an1 ,\t\\\"'\r\né", min_size=1, max_size=6), min_size=3, max_size=3), max_size=8),
    chunk=st.sampled_from([1, 7, 1 << 20]),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_what_the_csv_module_escapes_is_read_back(
    quoting: Any, rows: list[list[str]], chunk: int, end: str, tmp_path_factory: Any
) -> None:
    text = io.StringIO()
    quote = {"quotechar": '"'} if quoting == csv.QUOTE_ALL else {"quotechar": None}
    csv.writer(text, escapechar="\\", doublequote=False, quoting=quoting, lineterminator=end, **quote).writerows(rows)
    # Where lines end with \n the csv module does not escape \r, which then stands for nothing, or breaks the row.
    assume(quoting == csv.QUOTE_ALL or not any("\r" in value for row in rows for value in row))
    how = layout(escape="\\", quote='"' if quoting == csv.QUOTE_ALL else None)
    file = written(tmp_path_factory.mktemp("x"), text.getvalue().encode())

    found = read(file, how, chunk_bytes=chunk)

    assert values(found, how) == [tuple(row) for row in rows]


def begin_lines(content: str, dialect: dict[str, Any], header: bool) -> list[int]:
    """Lines on which the csv module's records begin."""
    reader = csv.reader(
        io.StringIO(content, newline=""), delimiter=dialect["delimiter"], quotechar=dialect["quotechar"]
    )
    lines, text = [1], io.StringIO(newline="")
    for record in reader:
        csv.writer(text, **dialect).writerow(record)
        lines.append(text.getvalue().count("\n") + 1)
    return lines[int(header) : -1]


@settings(max_examples=60)
@given(
    rows=st.lists(st.lists(st.text("ab1é.-", min_size=1, max_size=5), min_size=3, max_size=3), max_size=20),
    data=st.data(),
    chunk=st.sampled_from([1, 5, 1 << 20]),
)
def test_runs_of_blanks_separate_fields_and_blank_lines_are_skipped(
    rows: list[list[str]], data: st.DataObject, chunk: int, tmp_path_factory: Any
) -> None:
    blank = st.text(" \t", min_size=1, max_size=3)
    lines, expected = [], []
    for row in rows:
        lines += data.draw(st.lists(st.text(" \t", max_size=2), max_size=2))
        first, *others = row
        text = data.draw(st.just("") | blank) + first
        text += "".join(data.draw(blank) + field for field in others) + data.draw(st.just("") | blank)
        lines.append(text)
        expected.append((len(lines), tuple(row)))
    file = written(tmp_path_factory.mktemp("x"), data.draw(st.sampled_from(["\n", "\r\n"])).join(lines).encode())
    how = layout(separator=None, quote=None)

    found = read(file, how, chunk_bytes=chunk)

    assert list(zip([row["line"] for row in found], values(found, how), strict=True)) == expected


PIECES = [b"a", b"b", b",", b'"', b"\n", b"\r", b"\r\n", b" ", b"\xff", b"\xc3\xa9", b"\0", b"\\", b"#", b"\n#"]


@pytest.mark.parametrize(
    ("separator", "quote", "escape", "comment"),
    [
        (",", '"', None, None),
        (",", None, None, None),
        (None, None, None, None),
        (None, '"', None, "#"),
        (",", '"', "\\", None),
        (",", None, "\\", "#"),
        (",", '"', None, "#"),
    ],
)
@settings(max_examples=150)
@given(data=st.lists(st.sampled_from(PIECES)))
def test_the_fast_path_finds_what_the_exact_one_finds(
    separator: str | None, quote: str | None, escape: str | None, comment: str | None, data: list[bytes]
) -> None:
    how = layout(2, separator=separator, quote=quote, escape=escape, comment=comment)
    text = b"".join(data)
    fast = blocks._read_fast(text, 5, how, final=True) if text else None
    assume(fast is not None)
    assert fast is not None
    slow = read_slowly(text, 5, how, final=True)

    assert (fast.consumed, fast.records) == (slow.consumed, slow.records)
    assert _rows(fast) == _rows(slow)


def _rows(block: blocks.Block) -> list[dict[str, Any]]:
    rows = [row for batch in block.batches for row in batch.to_pylist()]
    for row in rows:
        row["raw"] = row["raw"].strip("\r\n \t") if row["error"] is None else row["raw"]
    return sorted(rows, key=lambda row: row["line"])


BROKEN = {
    b"1,2": ("fields", None),
    b"1,2,3,4": ("fields", None),
    b'1,"2,3': ("quote", None),
    b'1,2,"3': ("quote", None),
    b'1,"2"x,3': ("quote", None),
    b'1,2"2,3': ("quote", None),
    b"1,\xff,3": ("encoding", "b"),
    b"1,2,\xe93": ("encoding", "c"),
    b"1,\x00,3": ("encoding", "b"),
}
GOOD = (b"x,y,z", b'x,"y ""q"" y",z', b'"x",,""')


@settings(max_examples=150)
@given(
    lines=st.lists(st.sampled_from([*GOOD, *BROKEN]), min_size=1, max_size=15),
    chunk=st.sampled_from([1, 16, 1 << 20]),
    end=st.sampled_from([b"\n", b"\r\n"]),
)
def test_a_broken_row_keeps_its_neighbours_unharmed(
    lines: list[bytes], chunk: int, end: bytes, tmp_path_factory: Any
) -> None:
    """Also when quotes of two broken rows seem to belong together."""
    how = layout()
    file = written(tmp_path_factory.mktemp("x"), end.join(lines) + end)

    found = {row["line"]: row for row in read(file, how, chunk_bytes=chunk)}

    for number, line in enumerate(lines, start=1):
        if line in GOOD:
            assert number in found, f"{line!r} on line {number} was swallowed"
            assert found[number]["error"] is None
        else:
            swallowed_by = max(n for n in found if n <= number)
            if swallowed_by == number:
                assert (found[number]["error"], found[number]["error_column"]) == BROKEN[line]
                assert found[number]["raw"].encode(errors="surrogateescape").startswith(line[:2])
            else:  # Only a broken row may be part of a broken record.
                assert found[swallowed_by]["error"] == "quote" or found[swallowed_by]["error"] == "fields"


def test_an_unterminated_quote_costs_its_own_line_only(tmp_path: Path) -> None:
    good = b"".join(b"%d,ok,fine\n" % n for n in range(50_000))
    file = written(tmp_path, good + b'7,"open,quote\n' + good)

    found = read(file, layout())

    assert len(found) == 100_001
    (broken,) = (row for row in found if row["error"])
    assert (broken["line"], broken["error"], broken["raw"]) == (50_001, "quote", '7,"open,quote')


def test_a_record_of_many_lines_is_one_row(tmp_path: Path) -> None:
    file = written(tmp_path, b'1,"two\r\nlines\n\nand more",3\n4,5,6\n')
    found = read(file, layout())
    assert values(found, layout()) == [("1", "two\r\nlines\n\nand more", "3"), ("4", "5", "6")]
    assert [row["line"] for row in found] == [1, 5]


def test_a_whole_record_of_many_lines_with_a_field_too_many_is_one_broken_row(tmp_path: Path) -> None:
    file = written(tmp_path, b'1,"two\nlines",3,4\n4,5,6\n')
    found = read(file, layout())
    assert [(row["line"], row["error"], row["raw"]) for row in found] == [
        (1, "fields", '1,"two\nlines",3,4'),
        (3, None, "4,5,6"),
    ]


def test_raw_text_of_undecodable_bytes_shows_them(tmp_path: Path) -> None:
    (row,) = read(written(tmp_path, b"1,Jos\xe9,3\n"), layout())
    assert row["raw"] == r"1,Jos\xe9,3"


def test_raw_text_with_a_nul_can_be_kept_by_postgres(tmp_path: Path) -> None:
    (row,) = read(written(tmp_path, b"1,2\x00,3\n"), layout())
    assert (row["error"], row["raw"]) == ("encoding", r"1,2\x00,3")


def test_bytes_that_an_encoding_does_not_know_break_the_row(tmp_path: Path) -> None:
    found = read(written(tmp_path, b"1,\x80,3\n4,\x81,6\n"), layout(encoding="cp1252"))
    assert [(row["b"], row["error"]) for row in found] == [("€", None), (None, "encoding")]
    assert found[1]["error_column"] == "b"


@pytest.mark.parametrize("how", [layout(compression="gzip"), layout()])
def test_gzip_by_contract_or_by_name(how: Layout, tmp_path: Path) -> None:
    name = "x.csv.gz" if how.compression == "infer" else "x.bin"
    file = written(tmp_path, gzip.compress(b"1,2,3\n"), name)
    assert values(read(file, how), how) == [("1", "2", "3")]


WHOLE = gzip.compress(b"".join(b"%d,2,3\n" % n for n in range(1000)))


@pytest.mark.parametrize("content", [WHOLE[:-12], b"no gzip at all", WHOLE[:20] + b"\0\1" + WHOLE[22:]])
def test_a_damaged_gzip_file_fails(content: bytes, tmp_path: Path) -> None:
    file = written(tmp_path, content, "x.csv.gz")
    with pytest.raises(UnreadableFileError, match=r"landing/x\.csv is not a whole gzip file"):
        read(file, layout())


def test_a_missing_file_fails(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match=r"landing/x\.csv cannot be read: No such file"):
        read(tmp_path / "gone.csv", layout())


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"the a,the c,the b", "the order differs"),
        (b"the a,the b", "missing: the c"),
        (b"the a,the b,the c,more", "not in the contract: more"),
        (b"the a,the b,The C", "missing: the c; not in the contract: The C"),
        (b'the a,"the b,the c', "its quoting is broken"),
    ],
)
def test_a_header_that_differs_fails_with_the_difference(header: bytes, message: str, tmp_path: Path) -> None:
    file = written(tmp_path, header + b"\n1,2,3\n")
    with pytest.raises(UnreadableFileError) as error:
        read(file, layout(header=True))
    assert error.value.message.startswith("landing/x.csv:1: the header differs from the contract")
    assert message in error.value.message


def test_a_missing_header_of_personal_data_is_not_shown(tmp_path: Path) -> None:
    file = written(tmp_path, b"Ann Example,ann@example.org,the c\n")
    with pytest.raises(UnreadableFileError) as error:
        read(file, layout(header=True, confidential=True))
    assert "missing: the a, the b" in str(error.value)
    assert "nn" not in str(error.value).split("found: ")[1].split(";")[0].replace("(not shown)", "")


def test_a_header_may_follow_a_byte_order_mark_and_blank_lines(tmp_path: Path) -> None:
    file = written(tmp_path, codecs.BOM_UTF8 + b"\n\nthe a, the b ,the c\n\n1,2,3\n")
    (row,) = read(file, layout(header=True))
    assert row["line"] == 5


def test_an_empty_file_lacks_its_header_and_has_no_rows_without_one(tmp_path: Path) -> None:
    file = written(tmp_path, b"")
    assert read(file, layout()) == []
    with pytest.raises(UnreadableFileError, match="is empty, not even a header"):
        read(file, layout(header=True))


def test_a_line_without_end_fails_and_does_not_fill_the_memory(tmp_path: Path) -> None:
    file = written(tmp_path, b"1,2,3\n" + b"x" * (4 * MAX_RECORD_BYTES))
    with pytest.raises(UnreadableFileError, match=r"landing/x\.csv:2: the line is longer than"):
        read(file, layout())


def test_clean_rows_take_the_fast_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("read record by record")

    monkeypatch.setattr(blocks, "read_slowly", refuse)
    file = written(tmp_path, b'1,"2\n2",3\r\n4,"5"",5",\n\n7,8,9')
    assert len(read(file, layout())) == 3


def test_a_block_that_ends_inside_a_record_leaves_it_for_the_next() -> None:
    block = read_block(b"1,2,3\n4,5", 1, layout(), final=False)
    assert (block.consumed, block.records) == (6, 1)


def test_a_value_called_like_the_only_column_is_a_value(tmp_path: Path) -> None:
    file = written(tmp_path, b"the a\nx\nthe a\n")
    how = layout(1, header=True)
    assert [(row["error"], row["a"]) for row in read(file, how)] == [(None, "x"), (None, "the a")]


def test_a_byte_order_mark_in_a_value_belongs_to_it(tmp_path: Path) -> None:
    file = written(tmp_path, "the a,the b,the c\n\ufeff1,2,3\n4,5,6\n".encode())
    assert values(read(file, layout(header=True)), layout()) == [("\ufeff1", "2", "3"), ("4", "5", "6")]
    file.write_bytes(" \ufeff1 2\t3\n4  5 6\n".encode())
    how = layout(separator=None)
    assert values(read(file, how), how) == [("\ufeff1", "2", "3"), ("4", "5", "6")]
