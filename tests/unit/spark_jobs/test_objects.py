"""Rows from objects, in JSON, Parquet and ORC: each value as it stands, each row accounted for, nothing guessed."""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.orc
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs import table_files, text_files
from spark_jobs.corrections import read_text
from spark_jobs.file_schemas import compare_schema
from spark_jobs.records import MAX_RECORD_BYTES, Layout, UnreadableFileError
from spark_jobs.text_files import read_file

HOW = Layout(
    columns=("id", "page.url", "page.view.ms", "tags", "id", "rest"),
    names=("id", "url", "duration_ms", "tags", "id_again", "rest"),
    header=False,
    format="json",
    unknown="rest",
    drift="evolve",
)
STRICT = Layout(columns=("id", "page.url"), names=("id", "url"), header=False, format="json", drift="quarantine")


def read(tmp: Path, content: bytes, how: Layout = HOW, **options: Any) -> list[dict[str, Any]]:
    file = tmp / "x.jsonl"
    file.write_bytes(content)
    parts = list(read_file(file, how, name="landing/x.jsonl", **options))
    rows = [row for part in parts if part.batch is not None for row in part.batch.to_pylist()]
    assert sum(part.records for part in parts) == len(rows)
    return sorted(rows, key=lambda row: row["line"])


def read_table(tmp: Path, table: pa.Table, form: str, how: Layout = HOW) -> list[dict[str, Any]]:
    file = tmp / f"x.{form}"
    if form == "parquet":
        pyarrow.parquet.write_table(table, file, row_group_size=2)
    else:
        pyarrow.orc.write_table(table, file)
    parts = list(table_files.read_file(file, with_format(how, form), name="x"))
    assert sum(part.records for part in parts) == len(table)
    return [row for part in parts if part.batch is not None for row in part.batch.to_pylist()]


def with_format(how: Layout, form: str) -> Layout:
    return Layout(**{**vars(how), "format": form})


def one(tmp: Path, text: str, how: Layout = HOW) -> dict[str, Any]:
    (row,) = read(tmp, text.encode("utf-8", "surrogatepass"), how)
    return row


def test_nested_fields_are_columns_and_the_rest_is_kept(tmp_path: Path) -> None:
    row = one(
        tmp_path,
        '{"id": 7, "page": {"url": "/a", "view": {"ms": 12.50}, "ref": null}, "tags": ["x", {"y": 1}],'
        ' "new": {"a": true}}',
    )
    assert row["error"] is None
    assert (row["id"], row["id_again"], row["url"], row["duration_ms"]) == ("7", "7", "/a", "12.50")
    assert row["tags"] == '["x",{"y":1}]'
    assert json.loads(row["rest"]) == {"new": {"a": True}}
    assert row["line"] == 1


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ('{"id": 1, "page": null}', None),
        ('{"id": 1}', None),
        ('{"id": 1, "page": {"url": null}}', None),
        ('{"id": 1, "page": {"url": ""}}', ""),
        ('{"id": 1, "page": {"url": false}}', "false"),
        ('{"id": 1, "page": {"url": {"b": 1, "a": [0.1]}}}', '{"a":[0.1],"b":1}'),
    ],
)
def test_what_is_absent_and_what_is_text(text: str, url: str | None, tmp_path: Path) -> None:
    row = one(tmp_path, text)
    assert (row["error"], row["url"], row["rest"]) == (None, url, None)


@pytest.mark.parametrize(
    "number", ["0", "-1", "12345678901234567890123456789", "0.1000", "123456789.123456789", "1E+400", "-0.0"]
)
def test_no_digit_of_a_number_is_lost(number: str, tmp_path: Path) -> None:
    row = one(tmp_path, f'{{"id": {number}, "unknown": {number}}}')
    assert row["id"] == number
    kept = json.loads(row["rest"], parse_float=Decimal)["unknown"]
    assert Decimal(kept) == Decimal(number)


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ('{"id": 1', "json"),
        ('{"id": 1}}', "json"),
        ('{"id": 1} {"id": 2}', "json"),
        ("[1, 2]", "json"),
        ('"text"', "json"),
        ("null", "json"),
        ("{'id': 1}", "json"),
        ('{"id": NaN}', "json"),
        ('{"id": 1e9999999999999999999}', "json"),
        ('{"tags": ["\\u0000"]}', "encoding"),
        ('{"new": {"a\\u0000b": 1}}', "encoding"),
        ('{"id": -Infinity}', "json"),
        ('{"id": 1, "id": 2}', "json"),
        ('{"page": {"url": 1, "url": 1}}', "json"),
        ('{"id": ' + "9" * 5000 + "}", "json"),
        ('{"id": ' + "[" * 100_000 + "}", "json"),
        ('{"id": ' + "[" * 5000 + "]" * 5000 + "}", "json"),
        ('{"id": "\\u0000"}', "encoding"),
        ('{"id": "\\ud800"}', "encoding"),
        ('{"who knows": "\\udc80"}', "encoding"),
    ],
)
def test_a_broken_line_is_one_broken_row_and_its_neighbours_are_whole(line: str, rule: str, tmp_path: Path) -> None:
    rows = read(tmp_path, f'{{"id": "a"}}\n{line}\r\n\n{{"id": "b"}}'.encode())
    assert [(row["line"], row["error"]) for row in rows] == [(1, None), (2, rule), (4, None)]
    assert [row["id"] for row in rows] == ["a", None, "b"]
    assert rows[1]["raw"] == line


def test_undecodable_bytes_break_their_line_only(tmp_path: Path) -> None:
    rows = read(tmp_path, b'{"id": "a"}\n{"id": "\xff"}\n{"id": "b"}\n')
    assert [row["error"] for row in rows] == [None, "encoding", None]
    assert rows[1]["raw"] == r'{"id": "\xff"}'


def test_a_value_that_cannot_be_written_names_its_column_and_spares_the_others(tmp_path: Path) -> None:
    row = one(tmp_path, '{"id": 3, "page": {"url": "\\u0000"}}')
    assert (row["error"], row["error_column"], row["id"], row["url"]) == ("encoding", "url", "3", None)


@pytest.mark.parametrize(
    ("line", "column"),
    [
        ('{"id": 1, "page": {"ref": {"a": 1}}}', "page.ref.a"),
        ('{"id": 1, "page": "/a"}', "page"),
        ('{"id": 1, "somebody@shop.example ": 1}', None),
        ('{"id": 1, "page": {"two words": {"x": 1}}}', None),
    ],
)
def test_without_a_column_for_them_unknown_fields_break_the_row(line: str, column: str | None, tmp_path: Path) -> None:
    row = one(tmp_path, line, STRICT)
    assert (row["error"], row["error_column"], row["id"]) == ("unknown_field", column, None)


@pytest.mark.parametrize("rest", ["", ', "new": null, "page": {"ref": null}', ', "new": {"a": {"b": null}}'])
def test_a_null_field_that_nobody_knows_is_none(rest: str, tmp_path: Path) -> None:
    for how in (HOW, STRICT, FROZEN):
        row = one(tmp_path, f'{{"id": "a"{rest}}}', how)
        assert (row["error"], row["id"], row.get("rest")) == (None, "a", None)
    row = one(tmp_path, '{"id": "a", "new": {"a": null, "b": {}, "c": [null]}}')
    assert row["rest"] == '{"new":{"b":{},"c":[null]}}'


@pytest.mark.parametrize("form", ["parquet", "orc"])
def test_a_table_s_new_column_says_nothing_of_rows_without_a_value_in_it(form: str, tmp_path: Path) -> None:
    table = pa.table({"id": ["a", "b"], "new": pa.array([None, 7]), "more": pa.array([{"x": None}, {"x": None}])})
    table = table.cast(pa.schema([("id", pa.string()), ("new", pa.int64()), ("more", pa.struct([("x", pa.int64())]))]))
    assert [row["rest"] for row in read_table(tmp_path, table, form)] == [None, '{"new":7}']
    assert [row["error"] for row in read_table(tmp_path, table, form, STRICT)] == ["unknown_field"] * 2


def test_the_name_of_an_unknown_field_is_not_told_beside_personal_data(tmp_path: Path) -> None:
    confidential = Layout(**{**vars(STRICT), "confidential": True})
    assert one(tmp_path, '{"anna": 1}', confidential)["error_column"] is None


@given(
    objects=st.lists(
        st.fixed_dictionaries(
            {"id": st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5)},
            optional={"new": st.integers() | st.booleans()},
        ),
        max_size=6,
    ),
    chunk=st.sampled_from([1, 5, 64, 1 << 20]),
    newline=st.sampled_from(["\n", "\r\n"]),
)
def test_what_json_writes_is_read_back_in_chunks_of_any_size(
    objects: list[dict[str, Any]], chunk: int, newline: str, tmp_path_factory: Any
) -> None:
    content = newline.join(json.dumps(o, ensure_ascii=False) for o in objects)
    rows = read(tmp_path_factory.mktemp("json"), content.encode(), chunk_bytes=chunk)
    assert [row["id"] for row in rows] == [o["id"] for o in objects]
    assert [json.loads(row["rest"] or "{}") for row in rows] == [{k: o[k] for k in o if k == "new"} for o in objects]


def test_gzip_a_byte_order_mark_and_another_encoding(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl.gz"
    file.write_bytes(gzip.compress('\ufeff{"id": "é"}\n'.encode()))
    (part, *_) = read_file(file, HOW, name="x")
    assert part.batch is not None
    assert part.batch.to_pylist()[0]["id"] == "é"
    assert one_encoded(tmp_path, "utf-16") == "é"


def one_encoded(tmp: Path, encoding: str) -> str:
    how = Layout(**{**vars(HOW), "encoding": encoding})
    (row,) = read(tmp, '{"id": "é"}'.encode(encoding), how)
    return str(row["id"])


def test_a_line_without_end_is_no_json_lines_file(tmp_path: Path) -> None:
    content = b'{"id": "' + b"x" * (2 * MAX_RECORD_BYTES + 10)
    with pytest.raises(UnreadableFileError, match="one object a line"):
        read(tmp_path, content, chunk_bytes=1 << 18)


def test_a_corrected_text_is_one_object() -> None:
    assert read_text('{"id": 5}', 9, HOW).to_pylist()[0]["id"] == "5"
    assert read_text('\n{\n  "id": 5\n}\n', 9, HOW).to_pylist()[0]["id"] == "5", "as it stood in an array"
    assert one_in_json("\\\\u0000") == "\\u0000", "a backslash before it makes it a text like any other"
    (row,) = read_text('{"id": 5}\n{"id": 6}', 9, HOW).to_pylist()
    assert (row["line"], row["error"]) == (9, "json")


@pytest.mark.parametrize(("number", "text"), [("1e3", "1000"), ("2.5E-7", "0.00000025"), ("-1.50e1", "-15.0")])
def test_a_number_with_an_exponent_is_written_out(number: str, text: str, tmp_path: Path) -> None:
    assert one(tmp_path, f'{{"id": {number}}}')["id"] == text


@pytest.mark.parametrize("space", ["", " ", "\n  "])
@pytest.mark.parametrize("chunk_bytes", [1, 1 << 20])
def test_an_array_of_objects_is_read_like_lines(space: str, chunk_bytes: int, tmp_path: Path) -> None:
    elements = ['{"id": "a"}', '{"id": 1, "id": 2}', "[1]", '{"id": "\\u0000"}', '{"id": NaN}', '{"id": "é", "new": 1}']
    content = f"{space}[{space}{f'{space},{space}'.join(elements)}{space}]{space}"
    rows = read(tmp_path, content.encode(), chunk_bytes=chunk_bytes)
    assert [(row["id"], row["error"]) for row in rows] == [
        ("a", None), (None, "json"), (None, "json"), (None, "encoding"), (None, "json"), ("é", None)
    ]  # fmt: skip
    assert [row["raw"] for row in rows] == elements
    assert rows[-1]["rest"] == '{"new":1}'
    assert [row["line"] for row in rows] == ([3, 5, 7, 9, 11, 13] if "\n" in space else [1] * 6)


def test_an_empty_array_has_no_rows(tmp_path: Path) -> None:
    assert read(tmp_path, b" [ ]\n") == []


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ('[{"id": 1},\n{"id": 2}', 2),
        ('[{"id": 1},\n{"id": 2', 2),
        ('[{"id": 1}\n{"id": 2}]', 2),
        ('[{"id": 1},]', 1),
        ('[{"id": 1}]\n[{"id": 2}]', 2),
        ("[", 1),
        ("[" * 100_000, 1),
    ],
)
def test_a_broken_array_is_refused_with_its_line(content: str, line: int, tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match=f"landing/x.jsonl:{line}: the array of objects is broken here"):
        read(tmp_path, content.encode())


def test_an_array_beyond_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_files, "MAX_ARRAY_BYTES", 20)
    with pytest.raises(UnreadableFileError, match="must be in memory whole"):
        read(tmp_path, b'[{"id": 1}, {"id": 2}]')


@pytest.mark.parametrize(("suffix", "codec"), [(".zst", "zstd"), (".gz", "gzip")])
def test_a_compressed_file_is_read_whole_or_not_at_all(suffix: str, codec: str, tmp_path: Path) -> None:
    content = "".join(f'{{"id": "{n}"}}\n' for n in range(20_000)).encode()
    packed = pa.BufferOutputStream()
    with pa.CompressedOutputStream(packed, codec) as stream:
        stream.write(content)
    whole = packed.getvalue().to_pybytes()
    file = tmp_path / f"x.jsonl{suffix}"
    file.write_bytes(whole)
    assert sum(part.records for part in read_file(file, HOW, name="x")) == 20_000
    for broken in (whole[:-20], b"garbage" + whole, b""):
        file.write_bytes(broken)
        with pytest.raises(UnreadableFileError, match=f"x is not a whole {codec} file"):
            list(read_file(file, HOW, name="x"))


@pytest.mark.parametrize("form", ["parquet", "orc"])
def test_a_table_s_rows_are_objects(form: str, tmp_path: Path) -> None:
    columns = {
        "id": pa.array([Decimal("0E-10"), Decimal("12345678.0123456789"), None], pa.decimal128(20, 10)),
        "page": pa.array([{"url": "/a", "view": {"ms": 2**53 + 1}}, {"url": None, "view": None}, None]),
        "tags": pa.array([["x", None], [], None]),
        "at": pa.array([datetime(1998, 1, 30, 23, 59, 59, 123456, tzinfo=UTC)] * 3),
        "on": pa.array([date(1998, 1, 30)] * 3),
        "share": pa.array([0.1, float("nan"), 1e16]),
    }
    first, second, third = read_table(tmp_path, pa.table(columns), form)
    assert (first["id"], second["id"], third["id"]) == ("0.0000000000", "12345678.0123456789", None)
    assert (first["url"], first["duration_ms"], first["tags"]) == ("/a", str(2**53 + 1), '["x",null]')
    assert (second["url"], third["url"], third["error"]) == (None, None, None)
    kept = json.loads(first["rest"])
    assert kept["at"].startswith("1998-01-30T23:59:59.123456")
    assert (kept["on"], kept["share"]) == ("1998-01-30", 0.1)
    assert json.loads(second["rest"])["share"] == "nan"
    assert [row["line"] for row in (first, second, third)] == [1, 2, 3]
    (again,) = read_text(second["raw"], 2, HOW).to_pylist()
    assert again == second, "what quarantine keeps is read like the row"


@pytest.mark.parametrize("form", ["parquet", "orc"])
def test_times_numbers_and_truths_are_texts_that_the_contract_s_types_read(form: str, tmp_path: Path) -> None:
    names = ("at", "on", "share", "big", "flag", "label")
    how = Layout(columns=names, names=names, drift="quarantine")
    table = pa.table(
        {
            "at": pa.array([datetime(1998, 1, 30, 23, 59, 59)]),
            "on": pa.array([date(1998, 1, 30)]),
            "share": pa.array([1e16]),
            "big": pa.array([2**63 - 1]),
            "flag": pa.array([True]),
            "label": pa.array(["a\0b"]),
        }
    )
    (row,) = read_table(tmp_path, table, form, how)
    assert (row["error"], row["error_column"], row["label"]) == ("encoding", "label", None)
    assert (row["on"], row["share"], row["big"], row["flag"]) == ("1998-01-30", "1" + "0" * 16, str(2**63 - 1), "true")
    assert row["at"].startswith("1998-01-30T23:59:59")


@pytest.mark.parametrize("form", ["parquet", "orc"])
def test_what_is_no_whole_table_is_refused(form: str, tmp_path: Path) -> None:
    read_table(tmp_path, pa.table({"id": list(map(str, range(1000)))}), form)
    file = tmp_path / f"x.{form}"
    whole = file.read_bytes()
    for content in (whole[:-10], whole[: len(whole) // 2], whole[10:], b"id,page\n1,2\n", b""):
        file.write_bytes(content)
        with pytest.raises(UnreadableFileError, match=f"x is not a whole {form} file"):
            list(table_files.read_file(file, with_format(HOW, form), name="x"))
        with pytest.raises(UnreadableFileError) as caught:
            list(table_files.read_file(file, replace(with_format(HOW, form), confidential=True), name="x"))
        assert re.fullmatch(rf"x is not a whole {form} file: \w+", caught.value.message), (
            "what Arrow says may be a value"
        )


@pytest.mark.parametrize("place", range(10, 4000, 211))
@pytest.mark.parametrize("form", ["parquet", "orc"])
def test_a_byte_that_was_changed_never_crashes_the_reader(form: str, place: int, tmp_path: Path) -> None:
    """Formats without checksums cannot tell a changed value; but nothing beside an unreadable file may come of it."""
    table = pa.table({"id": [f"value {n}" for n in range(2000)]})
    read_table(tmp_path, table, form)
    file = tmp_path / f"x.{form}"
    content = bytearray(file.read_bytes())
    content[place % len(content)] ^= 0xFF
    file.write_bytes(content)
    try:
        parts = list(table_files.read_file(file, with_format(HOW, form), name="x"))
    except UnreadableFileError:
        return
    assert sum(part.records for part in parts) == 2000


def one_in_json(escaped: str) -> str:
    (row,) = read_text(f'{{"tags": ["{escaped}"]}}', 1, HOW).to_pylist()
    assert row["error"] is None
    return str(json.loads(row["tags"])[0])


def test_times_as_spark_used_to_write_them_do_not_overflow(tmp_path: Path) -> None:
    file = tmp_path / "x.parquet"
    times = [datetime(9999, 12, 31, 23, 59), datetime(1, 1, 1), datetime(1998, 1, 30, 12)]
    table = pa.table({"id": pa.array(times, pa.timestamp("us"))})
    pyarrow.parquet.write_table(table, file, use_deprecated_int96_timestamps=True)
    parts = table_files.read_file(file, with_format(HOW, "parquet"), name="x")
    found = [row["id"] for part in parts if part.batch is not None for row in part.batch.to_pylist()]
    assert found == [time.isoformat() for time in times]


def test_a_value_that_python_cannot_hold_breaks_no_other_row(tmp_path: Path) -> None:
    days = pa.array([0, 2_932_897, 10**6], pa.int32()).cast(pa.date32())
    broken = pa.StringArray.from_buffers(3, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0"), pa.py_buffer(b"a\xffc"))
    table = pa.table({"id": days, "page": pa.StructArray.from_arrays([broken], ["url"])})
    rows = read_table(tmp_path, table, "parquet")
    assert [(row["id"], row["url"], row["error"]) for row in rows] == [
        ("1970-01-01", "a", None), ("10000-01-01", None, "encoding"), ("4707-11-29", "c", None)
    ]  # fmt: skip


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["id", "id"])
    file = tmp_path / "x.parquet"
    pyarrow.parquet.write_table(table, file)
    for confidential, shown in ((False, "id"), (True, "(not shown)")):
        how = replace(with_format(HOW, "parquet"), confidential=confidential)
        with pytest.raises(UnreadableFileError) as caught:
            list(table_files.read_file(file, how, name="x"))
        assert caught.value.message == f"x cannot be read: two columns are called {shown}"


TYPED = replace(
    HOW,
    columns=("id", "page.url", "rest"),
    names=("id", "url", "rest"),
    types=("text", "numeric(8,2)", "text"),
    required=frozenset({"id"}),
)
FROZEN = replace(TYPED, unknown=None, columns=TYPED.columns[:2], names=TYPED.names[:2], drift="freeze")


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (pa.struct([("Ann Example", pa.int64())]), "struct"),
        (pa.list_(pa.struct([("Ann Example", pa.int64())])), "list"),
        (pa.map_(pa.string(), pa.struct([("Ann Example", pa.int64())])), "map"),
        (pa.decimal128(20, 2), "decimal128(20, 2)"),
    ],
)
def test_a_type_that_differs_is_told_without_its_fields(found: pa.DataType, told: str) -> None:
    schema = pa.schema([("id", pa.string()), ("page", pa.struct([("url", found)]))])
    (retyped,) = compare_schema(schema, TYPED).retyped
    assert retyped == f"page.url is {told}, not numeric(8,2)"


@pytest.mark.parametrize(
    ("number", "physical_type", "text"),
    [
        ("5.0", "integer", "5"),
        ("-5.000", "bigint", "-5"),
        ("5.5", "integer", "5.5"),
        ("1.5000", "numeric(8,2)", "1.50"),
        ("1.505", "numeric(8,2)", "1.505"),
        ("1.5", "numeric(8,2)", "1.5"),
        ("100", "smallint", "100"),
        ("5.0", "text", "5.0"),
        ("5.0", "double precision", "5.0"),
        ('"5.0"', "integer", "5.0"),
    ],
)
def test_a_number_is_what_it_is_worth(number: str, physical_type: str, text: str, tmp_path: Path) -> None:
    """A text that says 5.0 is no integer; a number that is 5 is one, however its type writes it."""
    how = replace(TYPED, types=("text", physical_type, "text"))
    assert one(tmp_path, f'{{"page": {{"url": {number}}}}}', how)["url"] == text


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"id": "a", "page": {"url": 1, "ref": {"x": 1}}}', "not in the contract: page.ref.x"),
        ('{"page": {"url": 1}}', "missing: id"),
        ('{"key": "a", "page": {"url": 1}}', "missing: id; not in the contract: key; perhaps renamed: id → key"),
        ('{"id": "a", "page": {"uri": 1}}',
         "missing: page.url; not in the contract: page.uri; perhaps renamed: page.url → page.uri"),
        ('{"id": "a", "page": "/1"}', "of another type: page is no object"),
        ('{"id": "a", "page.url": 1}', "not in the contract: page.url"),
    ],
)  # fmt: skip
def test_a_frozen_file_fails_with_its_first_object_that_differs(line: str, told: str, tmp_path: Path) -> None:
    good = '{"id": "a", "page": {"url": 1}}\n{"id": "b", "page": null}\n{"id": null}\n{"id": "d"\n'
    assert [row["error"] for row in read(tmp_path, good.encode(), FROZEN)] == [None, None, None, "json"]
    with pytest.raises(UnreadableFileError) as caught:
        read(tmp_path, f"{good}{line}\n".encode(), FROZEN)
    assert caught.value.message == f"landing/x.jsonl:5: the object differs from the contract; {told}"
    with pytest.raises(UnreadableFileError, match=r"landing/x\.jsonl:1: the object differs"):
        read(tmp_path, f"[{line}]".encode(), FROZEN)
    (row,) = read_text(line, 7, FROZEN).to_pylist()
    assert row["line"] == 7, "a corrected text breaks its own row only"


def test_beside_personal_data_a_frozen_file_tells_no_new_name(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError) as caught:
        read(tmp_path, b'{"id": "a", "Ann Example": 1}', replace(FROZEN, confidential=True))
    assert "not in the contract: (not shown)" in caught.value.message
    assert "Ann" not in str(caught.value)


@pytest.mark.parametrize("form", ["parquet", "orc"])
def test_a_frozen_table_without_rows_fails_too(form: str, tmp_path: Path) -> None:
    table = pa.table({"id": pa.array([], pa.int64()), "new": pa.array([], pa.string())})
    with pytest.raises(UnreadableFileError) as caught:
        read_table(tmp_path, table, form, FROZEN)
    assert caught.value.message == (
        "x: its columns differ from the contract's; missing: page.url; not in the contract: new;"
        " perhaps renamed: page.url → new; of another type: id is int64, not text"
    )
