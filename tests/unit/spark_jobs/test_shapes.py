"""Files whose columns are not the contract's: found by name, told in a message, never shifted."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.corrections import read_text
from spark_jobs.differences import compare, plain_form
from spark_jobs.file_schemas import fits
from spark_jobs.headers import Header
from spark_jobs.records import Layout, UnreadableFileError
from spark_jobs.shapes import Shape, json_writer, own_shape, shape_of
from spark_jobs.text_files import read_file, read_shape

COLUMNS = ("id", "Sold on", "price_usd")
NAMES = ("sale_id", "sold_on", "price_usd")
EVOLVE = Layout(
    columns=(*COLUMNS, "rest"), names=(*NAMES, "rest"), drift="evolve", unknown="rest", required=frozenset({"sale_id"})
)
QUARANTINE = Layout(columns=COLUMNS, names=NAMES, drift="quarantine")
FREEZE = Layout(columns=COLUMNS, names=NAMES)


def read(tmp: Path, content: bytes, how: Layout, **options: Any) -> list[dict[str, Any]]:
    file = tmp / "x.csv"
    file.write_bytes(content)
    parts = list(read_file(file, how, name="landing/x.csv", **options))
    rows = [row for part in parts if part.batch is not None for row in part.batch.to_pylist()]
    assert sum(part.records for part in parts) == len(rows)
    return sorted(rows, key=lambda row: row["line"])


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=6)
titles = st.text(st.sampled_from("abcx ,_é"), min_size=1, max_size=5).filter(lambda t: t.strip() == t)


@given(data=st.data(), chunk=st.sampled_from([1, 7, 1 << 20]))
def test_columns_are_found_in_any_order_beside_any_others(
    data: st.DataObject, chunk: int, tmp_path_factory: Any
) -> None:
    forms = {plain_form(column) for column in COLUMNS}
    new = data.draw(st.lists(titles.filter(lambda t: plain_form(t) not in forms), max_size=3, unique=True))
    missing = data.draw(st.sampled_from([None, *COLUMNS]))
    header = data.draw(st.permutations([c for c in COLUMNS if c != missing] + new))
    rows = data.draw(st.lists(st.lists(texts, min_size=len(header), max_size=len(header)), max_size=6))
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([header, *rows])

    found = read(tmp_path_factory.mktemp("x"), text.getvalue().encode(), EVOLVE, chunk_bytes=chunk)

    expected = [dict(zip(header, row, strict=True)) for row in rows]
    assert [tuple(row[name] for name in NAMES) for row in found] == [
        tuple(row.get(column) for column in COLUMNS) for row in expected
    ]
    assert [row["error"] for row in found] == [None] * len(rows)
    for row, delivered in zip(found, expected, strict=True):
        kept = json.loads(row["rest"], parse_float=Decimal) if row["rest"] else {}
        assert kept.keys() == {title for title in new if delivered[title]}
        assert row["rest"] != "{}"


@pytest.mark.parametrize("drift", ["evolve", "quarantine"])
@pytest.mark.parametrize(
    "header",
    [
        b"ID,Sold on,price_usd",
        b'\xef\xbb\xbf"Id" ,SOLD_ON,Price-USD',
        b" id,sold-on , 'price usd'",
        b"price_usd,soldon,iD",
    ],
)
def test_a_header_may_be_written_otherwise(header: bytes, drift: str, tmp_path: Path) -> None:
    how = EVOLVE if drift == "evolve" else QUARANTINE
    header = header.replace(b'"Id" ', b'"Id"')
    reverse = header.startswith(b"price")
    values = b"1.5,1998-01-30,a" if reverse else b"a,1998-01-30,1.5"
    (row,) = read(tmp_path, header + b"\n" + values + b"\n", how)
    assert [row[name] for name in NAMES] == ["a", "1998-01-30", "1.5"]
    with pytest.raises(UnreadableFileError, match="the header differs"):
        read(tmp_path, header + b"\n" + values + b"\n", FREEZE)


def test_two_that_may_be_the_same_column_are_neither(tmp_path: Path) -> None:
    (row,) = read(tmp_path, b"id,sold_on,SOLD ON,price_usd\na,1,2,3\n", EVOLVE)
    assert (row["sold_on"], row["rest"]) == (None, '{"SOLD ON":2,"sold_on":1}')
    (row,) = read(tmp_path, b"id,Sold on,SOLD ON,price_usd\na,1,2,3\n", EVOLVE)
    assert (row["sold_on"], row["rest"]) == ("1", '{"SOLD ON":2}'), "what is called just so is it"


@pytest.mark.parametrize(
    ("header", "says"),
    [
        (b"id,Sold on,id,price_usd", "standing twice: id"),
        (b"id,Sold on,new,new,price_usd", "standing twice: new"),
        (b"17,1998-01-30,3.50", "it names none of the contract's columns"),
        (b"id,,column_2,price_usd", "two columns are called column_2"),
        (b'id,"Sold on,price_usd', "its quoting is broken"),
        (b'id,"Sold on,price_usd\na,1998-01-30,"', "its quoting is broken"),
        (b"id,Sold on\0,price_usd", "it holds NUL bytes"),
        (b"id,Sold on,new\ra,1998-01-30,7\r", "its lines end with carriage returns alone"),
    ],
)
@pytest.mark.parametrize("how", [EVOLVE, QUARANTINE])
def test_what_is_no_header_fails_in_every_mode(how: Layout, header: bytes, says: str, tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match=says):
        read(tmp_path, header + b"\n", how)


@pytest.mark.parametrize("mode", ["evolve", "quarantine"])
@pytest.mark.parametrize(
    ("header", "required", "is_one"),
    [
        (b"a,note,c,d", {"id"}, False),
        (b"a,note,c,d", set(), False),
        (b"id,b,c,d", {"id"}, True),
        (b"id,b,c,d", {"id", "note"}, False),
        (b"a,note,price,d", {"id"}, True),
    ],
)
def test_a_value_that_is_called_like_a_column_makes_no_header(
    header: bytes, required: set[str], mode: Any, *, is_one: bool, tmp_path: Path
) -> None:
    names = ("id", "note", "price", "day")
    kept = ("rest",) if mode == "evolve" else ()
    how = Layout((*names, *kept), (*names, *kept), drift=mode, unknown="".join(kept) or None)
    how = replace(how, required=frozenset(required))
    content = header + b"\n17,x,3.50,1998-01-30\n"
    if is_one:
        assert len(read(tmp_path, content, how)) == 1
        return
    with pytest.raises(UnreadableFileError, match="of the contract's columns it names too few to be a header"):
        read(tmp_path, content, how)


def test_beside_personal_data_no_new_name_is_shown(tmp_path: Path) -> None:
    how = replace(FREEZE, confidential=True)
    with pytest.raises(UnreadableFileError) as error:
        read(tmp_path, b"id,Ann Example,price_usd\n", how)
    assert "Example" not in error.value.message
    assert "perhaps renamed: Sold on → (not shown)" in error.value.message
    (row,) = read(tmp_path, b"id,Ann Example,price_usd\na,b,c\n", replace(QUARANTINE, confidential=True))
    assert (row["error"], row["error_column"]) == ("unknown_field", None)


def test_a_row_that_is_broken_anyhow_keeps_its_rule(tmp_path: Path) -> None:
    content = b"new,id,Sold on,price_usd\nx,a,1,2\nx,a,1\n\xff,b,1,2\nx,\xff,1,2\n"
    found = read(tmp_path, content, QUARANTINE)
    assert [(row["error"], row["error_column"]) for row in found] == [
        ("unknown_field", "new"), ("fields", None), ("encoding", None), ("encoding", "sale_id")
    ]  # fmt: skip
    found = read(tmp_path, content, EVOLVE)
    assert [(row["error"], row["error_column"], row["rest"]) for row in found] == [
        (None, None, '{"new":"x"}'), ("fields", None, None), ("encoding", "rest", None), ("encoding", "sale_id", None)
    ]  # fmt: skip
    assert found[1]["raw"] == "x,a,1"


@pytest.mark.parametrize("how", [EVOLVE, QUARANTINE])
def test_a_header_that_comes_again_breaks_its_row_in_any_order(how: Layout, tmp_path: Path) -> None:
    header = b"price_usd,ID,Sold on" + (b",new" if how is EVOLVE else b"")
    rows = [row + (b",x" if how is EVOLVE else b"") for row in (b"1.5,a,1998-01-30", b"id,price_usd,Sold on")]
    found = read(tmp_path, b"\n".join([header, rows[0], b"\xef\xbb\xbf" + header, *rows, b""]), how)
    assert [(row["line"], row["error"], row["sale_id"]) for row in found] == [
        (2, None, "a"), (3, "header", None), (4, None, "a"), (5, None, "price_usd")
    ]  # fmt: skip


def test_what_stands_around_the_rows_is_no_column(tmp_path: Path) -> None:
    how = replace(EVOLVE, skip_lines=1, comment="#", escape="\\", footer=r"^TOTAL;(?P<rows>\d+)")
    content = b"\xef\xbb\xbfSales\n# by hand\nnew,ID,Sold on,price_usd\na\\,b,a,1998-01-30,1.5\n#\nTOTAL;1\n"
    (row,) = read(tmp_path, content, how)
    assert [row[name] for name in ("line", *NAMES, "rest")] == [4, "a", "1998-01-30", "1.5", '{"new":"a,b"}']
    shape = read_shape(tmp_path / "x.csv", how, name="x")
    assert shape.layout.columns == ("new", "ID", "Sold on", "price_usd")
    with pytest.raises(UnreadableFileError, match=r"x\.csv:3: the header differs"):
        read(tmp_path, content, replace(how, drift="freeze"))
    with pytest.raises(UnreadableFileError, match="its footer tells of 2 rows"):
        read(tmp_path, content.replace(b"TOTAL;1", b"TOTAL;2"), how)
    for row in (b"b,b,1998-01-30,2", b'"b\nb",b,1998-01-30,2', b'b,"b,1998-01-30,2'):
        with pytest.raises(UnreadableFileError, match="rows stand after its footer"):
            read(tmp_path, content + row + b"\n", how)


def test_many_names_and_long_ones_are_told_in_short(tmp_path: Path) -> None:
    header = ",".join(["i" * 100_000, *(f"sold {number}" for number in range(50_000))]).encode()
    with pytest.raises(UnreadableFileError) as error:
        read(tmp_path, header + b"\n", FREEZE)
    assert "and 49981 more" in error.value.message
    assert len(error.value.message) < 1500


@given(
    st.one_of(texts, st.just("true"), st.from_regex(r"[-+]?0?[0-9]{1,4}([.,][0-9]{0,3})?([eE][0-9])?", fullmatch=True))
)
def test_a_new_value_is_json_of_the_same_characters(text: str) -> None:
    """So that no column that turns out to be text has lost a leading zero, or a decimal."""
    written = json_writer(EVOLVE)(text)
    if written is None:
        assert text == ""
        return
    read_back = json.loads(written, parse_float=str, parse_int=str)
    assert read_back == (text if written.startswith('"') else {"true": True}.get(text.strip(), text.strip()))


@pytest.mark.parametrize(
    ("text", "point", "comma"),
    [
        ("12", "12", "12"),
        ("-0.50", "-0.50", '"-0.50"'),
        ("1,5", '"1,5"', '"1,5"'),
        ("1.500", "1.500", '"1.500"'),
        ("007", '"007"', '"007"'),
        ("-0", '"-0"', '"-0"'),
        ("+1", '"+1"', '"+1"'),
        ("1e5", '"1e5"', '"1e5"'),
        (" 7 ", "7", "7"),
        ("true", "true", "true"),
        ("True", '"True"', '"True"'),
        ("NaN", '"NaN"', '"NaN"'),
        ("9" * 39, f'"{"9" * 39}"', f'"{"9" * 39}"'),
        ("NULL", None, None),
        ("", '""', '""'),
    ],
)
def test_how_new_values_are_written(text: str, point: str | None, comma: str | None) -> None:
    how = replace(EVOLVE, nulls=("NULL",))
    assert (json_writer(how)(text), json_writer(replace(how, decimal=","))(text)) == (point, comma)


def test_a_file_as_the_contract_has_it_is_taken_as_it_is() -> None:
    shape = shape_of(Header(COLUMNS), QUARANTINE, "x")
    batch = pa.RecordBatch.from_pydict({"line": [1]})
    assert shape.layout is QUARANTINE
    assert shape.conform(batch) is batch


@pytest.mark.parametrize(
    ("found", "expected", "told"),
    [
        (["id", "price", "day"], ["id", "day", "price"], "the order differs"),
        (["id", "x"], ["id", "note"], "missing: note; not in the contract: x; perhaps renamed: note → x"),
        (
            ["x", "customer_ids"],
            ["customer_id", "b", "c"],
            "missing: customer_id, b, c; not in the contract: x, customer_ids;"
            " perhaps renamed: customer_id → customer_ids",
        ),
        (["id", "new\nline"], ["id"], r"not in the contract: new\nline"),
    ],
)  # fmt: skip
def test_a_difference_in_words(found: list[str], expected: list[str], told: str) -> None:
    assert compare(found, expected).in_words(confidential=False) == told


def test_a_corrected_row_has_the_columns_of_its_own_file(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_bytes(b"price_usd,new,id,Sold on\n1,2,3\n")
    shape = read_shape(file, EVOLVE, name="x")
    (row,) = read_text("1.5,7,a,1998-01-30", 2, EVOLVE, shape).to_pylist()
    assert [row[name] for name in (*NAMES, "rest")] == ["a", "1998-01-30", "1.5", '{"new":7}']
    (row,) = read_text("a,1998-01-30,1.5", 2, EVOLVE).to_pylist()
    assert [row[name] for name in (*NAMES, "rest")] == ["a", "1998-01-30", "1.5", None]
    assert isinstance(own_shape(EVOLVE), Shape)


@pytest.mark.parametrize(
    ("found", "fitting", "other"),
    [
        (pa.int16(), {"smallint", "integer", "bigint", "numeric(8,2)", "double precision"}, {"text", "boolean"}),
        (pa.uint16(), {"integer", "bigint"}, {"smallint"}),
        (pa.int64(), {"bigint", "numeric(22,2)"}, {"integer", "numeric(20,2)", "double precision"}),
        (pa.decimal128(8, 2), {"numeric(8,2)", "numeric(12,4)"}, {"numeric(8,3)", "numeric(7,2)", "double precision"}),
        (pa.float32(), {"double precision"}, {"numeric(38,10)", "integer"}),
        (pa.dictionary(pa.int8(), pa.string()), {"text", "uuid"}, {"date", "boolean", "integer"}),
        (pa.list_(pa.int8()), {"text"}, {"integer", "uuid"}),
        (pa.date32(), {"date"}, {"text", "timestamptz"}),
        (pa.timestamp("us"), {"timestamptz"}, {"date", "text"}),
        (pa.bool_(), {"boolean"}, {"smallint", "text"}),
        (pa.null(), {"boolean", "text", "integer"}, set()),
    ],
)
def test_a_type_of_a_file_fits_where_each_value_does(found: pa.DataType, fitting: set[str], other: set[str]) -> None:
    assert {t for t in fitting | other if fits(found, t, is_formatted=False)} == fitting
    assert fits(pa.string(), "date", is_formatted=True)
