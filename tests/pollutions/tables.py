"""JSON, Parquet and ORC."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.orc
import pyarrow.parquet

from tests.pollutions import CLEAN, FIRST, NAMES, SECOND, THIRD, Group
from tests.pollutions.rows import second

ONE, TWO, THREE = (
    f'{{"id":"{parcel}","note":"{note}","weight":{weight},"sent":"{sent}"}}' for parcel, note, weight, sent in CLEAN
)
LINES = f"{ONE}\n{TWO}\n{THREE}\n"
ARRAY = f"[{ONE},\n{TWO},\n{THREE}]\n"

lines = Group("JSON lines", form="json")


def _reads(name: str, middle: str | bytes, note: str | None = "second", **more: Any) -> None:
    content = middle if isinstance(middle, bytes) else middle.encode("utf-8", "surrogatepass")
    lines.loaded(name, b"\n".join((ONE.encode(), content, THREE.encode())), FIRST, second(note), THIRD, **more)


def _breaks(name: str, middle: str | bytes, rule: str, **more: Any) -> None:
    content = middle if isinstance(middle, bytes) else middle.encode("utf-8", "surrogatepass")
    whole = b"\n".join((ONE.encode(), content, THREE.encode()))
    lines.quarantined(name, whole, {2: rule}, FIRST, THIRD, **more)


def _noted(written: str) -> str:
    return TWO.replace('"second"', written)


lines.loaded("one object a line", LINES)
lines.loaded("CR and LF, blank lines, a byte-order mark", "\ufeff" + LINES.replace("\n", "\r\n\r\n"))
lines.loaded("no line break at the end", LINES[:-1])
lines.loaded("UTF-16, as the contract says", LINES.encode("utf-16"), dialect={"encoding": "utf-16"})
lines.empty("an empty file", "")
lines.empty("a file of line breaks", "\n\n")
_reads("an escaped quote and line break", _noted(r'"a \"b\"\nc"'), 'a "b"\nc')
_reads("letters by number, with both halves of a pair", _noted(r'"\u00e9\ud83d\ude00"'), "é😀")
_reads("null", _noted("null"), None)
_reads("a field that is not there", _noted("0").replace('"note":0,', ""), None)
_reads("an empty text is a text", _noted('""'), "")
_reads("a number for a text", _noted("1.50"), "1.50")
_reads("an object for a text", _noted('{"b":[1,null],"a":"x"}'), '{"a":"x","b":[1,null]}')
_reads("blanks between everything", TWO.replace(":", " : ").replace(",", " , "))
_reads("a number as text", TWO.replace("0.001", '"0.001"'))
_reads("a number with an exponent", TWO.replace("0.001", "1e-3"))
_reads("another order of fields", '{"sent":"1998-01-30","weight":0.001,"note":"second","id":"00018"}')
_breaks("a line that is cut off", TWO[:-5], "json")
_breaks("a text that is not closed", _noted('"a'), "json")
_breaks("something behind the object", TWO + ",", "json")
_breaks("two objects on a line", TWO + TWO, "json")
_breaks("a comma before the bracket", TWO[:-1] + ",}", "json")
_breaks("single quotes", TWO.replace('"', "'"), "json")
_breaks("names without quotes", TWO.replace('"id"', "id"), "json")
_breaks("a comment", TWO + " // by hand", "json")
_breaks("a list", "[1,2]", "json")
_breaks("a text", '"00018"', "json")
_breaks("a number", "18", "json")
_breaks("null for an object", "null", "json")
_breaks("NaN", TWO.replace("0.001", "NaN"), "json")
_breaks("Infinity", TWO.replace("0.001", "-Infinity"), "json")
_breaks("a key twice", TWO[:-1] + ',"id":"00099"}', "json")
_breaks("a number of 5,000 digits", TWO.replace("0.001", "9" * 5_000), "json")
_breaks("a number of 300,000 digits and a point", TWO.replace("0.001", "9" * 300_000 + ".5"), "type")
_breaks("an exponent beyond all bounds", TWO.replace("0.001", "1e9999999999999999999"), "json")
_breaks("a huge exponent", TWO.replace("0.001", "1e999999999"), "type")
_breaks("a number that is too large", TWO.replace("0.001", "12345678901234567890"), "type")
_breaks("more decimals than the contract has", TWO.replace("0.001", "0.0001"), "type")
_breaks("true for a number", TWO.replace("0.001", "true"), "type")
_breaks("a number without its zero", TWO.replace("0.001", ".001"), "json")
_breaks("a list nested 100,000 deep", _noted("[" * 100_000 + "]" * 100_000), "json")
_breaks("objects nested 5,000 deep", _noted('{"a":' * 5_000 + "1" + "}" * 5_000), "json")
_breaks("brackets that are never closed", "[" * 300_000, "json")
_breaks(r"\u0000", _noted(r'"a\u0000b"'), "encoding")
_breaks(r"\u0000 in an object for a text", _noted(r'{"a":"\u0000"}'), "encoding")
_breaks("half of a surrogate pair", _noted(r'"\ud800"'), "encoding")
_breaks("a byte that is no UTF-8", TWO.encode().replace(b"second", b"sec\xffnd"), "encoding")
_breaks("NUL", TWO.replace("second", "sec\0nd"), "json")
_breaks("a tab that is not escaped", TWO.replace("second", "sec\tnd"), "json")
_breaks("a byte-order mark between lines", "\ufeff" + TWO, "json")
_breaks("a field that the contract does not name", TWO[:-1] + ',"colour":"red"}', "unknown_field")
_breaks("a name in capitals", TWO.replace('"note"', '"NOTE"'), "unknown_field")
_breaks("an array around a line", f"{{}},[{TWO}]", "json")
lines.quarantined(
    "a required field that is not there", LINES.replace('"weight":0.001,', ""), {2: "required"}, FIRST, THIRD
)
lines.quarantined("a last line that is cut off", LINES[:-9], {3: "json"}, FIRST, SECOND)
lines.quarantined(
    "one object over several lines", '{\n"id":"00017"\n}\n' + TWO, {1: "json", 2: "json", 3: "json"}, SECOND
)
lines.quarantined("delimited text", "id,note,weight,sent\n00017,first,1.500,1998-01-30\n", {1: "json", 2: "json"})
lines.quarantined("objects put in one object", f'{{"data":[{ONE},{TWO}]}}', {1: "unknown_field"})
lines.refused("a line of four megabytes", LINES.replace("second", "x" * 4_000_000), ":2: the line is longer than")
lines.refused("UTF-16 where the contract says UTF-8", LINES.encode("utf-16"), "byte-order mark of utf-16")

arrays = Group("JSON arrays", form="json")
arrays.loaded("an array of objects", ARRAY)
arrays.loaded("an array on one line, after blanks", "  \n " + ARRAY.replace("\n", ""))
arrays.empty("an empty array", "[ ]")
arrays.quarantined("an element that is no object", ARRAY.replace(TWO, "5"), {2: "json"}, FIRST, THIRD)
arrays.quarantined("a key twice in an element", ARRAY.replace(TWO, TWO[:-1] + ',"id":"1"}'), {2: "json"}, FIRST, THIRD)
arrays.quarantined("NaN in an element", ARRAY.replace("0.001", "NaN"), {2: "json"}, FIRST, THIRD)
arrays.quarantined(
    "a byte that is no UTF-8 in an element",
    ARRAY.encode().replace(b"second", b"sec\xffnd"),
    {2: "encoding"},
    FIRST,
    THIRD,
)
arrays.quarantined(
    "a list nested 100 deep in an element", ARRAY.replace(TWO, "[" * 100 + "]" * 100), {2: "json"}, FIRST, THIRD
)
for _name, _content, _line in (
    ("an array that is cut off", ARRAY[:-3], 3),
    ("an array that is not closed", ARRAY[:-2], 3),
    ("a comma too many", ARRAY[:-2] + ",]", 3),
    ("a comma too few", ARRAY.replace("},\n", "}\n", 1), 2),
    ("text behind the array", ARRAY + "x", 4),
    ("two arrays", ARRAY + ARRAY, 4),
    ("a number that JSON does not know", ARRAY.replace("0.001", ".001"), 2),
    ("a list nested 100,000 deep", "[" * 100_000 + "]" * 100_000, 1),
):
    arrays.refused(_name, _content, f":{_line}: the array of objects is broken here")


def written(form: str, table: pa.Table, **options: Any) -> bytes:
    """A table as a file."""
    file = pa.BufferOutputStream()
    (pyarrow.parquet if form == "parquet" else pyarrow.orc).write_table(table, file, **options)
    return bytes(file.getvalue().to_pybytes())


def table(**columns: Any) -> pa.Table:
    """The clean rows, with some columns as given; those given as None are not there."""
    texts = dict(zip(NAMES, map(list, zip(*CLEAN, strict=True)), strict=True))
    return pa.table({name: values for name, values in {**texts, **columns}.items() if values is not None})


DAYS = [date.fromisoformat(row[3]) for row in CLEAN]
WEIGHTS = [Decimal(row[2]) for row in CLEAN]


def _tables(form: str) -> Group:
    found = Group("Parquet" if form == "parquet" else "ORC", form=form)
    whole = written(form, pa.concat_tables([table()] * 400))
    not_whole = f"is not a whole {form} file"

    def like(name: str, how: Any, **columns: Any) -> None:
        how(name, written(form, table(**columns)))

    found.loaded("texts", written(form, table()))
    like("numbers, days and dates as such", found.loaded, weight=pa.array(WEIGHTS, pa.decimal128(12, 3)), sent=DAYS)
    like("floating-point numbers", found.loaded, weight=[1.5, 0.001, 12.0])
    like("large texts", found.loaded, note=pa.array(["first", "second", "third"], pa.large_string()))
    like("bytes for a text", found.loaded, note=[b"first", b"second", b"third"])
    found.loaded("another order of columns", written(form, table().select(list(reversed(NAMES)))))
    found.loaded("a null", written(form, table(note=["first", None, "third"])), FIRST, second(None), THIRD)
    found.loaded("an empty text is a text", written(form, table(note=["first", "", "third"])), FIRST, second(""), THIRD)
    found.loaded("a column that is not there", written(form, table(note=None)), *((r[0], None, *r[2:]) for r in CLEAN))
    found.empty("no rows", written(form, table().slice(0, 0)))

    def broken(name: str, rule: str, **columns: Any) -> None:
        found.quarantined(name, written(form, table(**columns)), {2: rule}, FIRST, THIRD)

    broken("NaN", "type", weight=[1.5, float("nan"), 12.0])
    broken("infinity", "type", weight=[1.5, float("inf"), 12.0])
    broken("a number that is too large", "type", weight=[1.5, 1e300, 12.0])
    broken("a null that is required", "required", weight=["1.500", None, "12.000"])
    broken("NUL in a text", "encoding", note=["first", "a\0b", "third"])
    broken("bytes that are no UTF-8", "encoding", note=[b"first", b"\xff", b"third"])
    invalid = pa.Array.from_buffers(pa.string(), 3, pa.array([b"first", b"\xff", b"third"]).buffers())
    broken("a text that is no UTF-8", "encoding", note=invalid)
    broken(
        "a day that no calendar of ours has", "type", sent=pa.array([10256, 10**7, 10257], pa.int32()).cast(pa.date32())
    )
    every = {1: "unknown_field", 2: "unknown_field", 3: "unknown_field"}
    found.quarantined("a column that the contract does not name", written(form, table(colour=["red"] * 3)), every)
    found.quarantined(
        "a required column that is not there", written(form, table(weight=None)), dict.fromkeys((1, 2, 3), "required")
    )
    found.quarantined("a column of another name", written(form, table(note=None, NOTE=["a"] * 3)), every)
    found.refused("an empty file", b"", not_whole)
    found.refused("text", b"id,note,weight,sent\n00017,first,1.500,1998-01-30\n", not_whole)
    found.refused("a file that is cut off at its end", whole[:-10], not_whole)
    found.refused("half a file", whole[: len(whole) // 2], not_whole)
    found.refused("a file without its beginning", whole[20:], not_whole)
    found.refused("another sign at the end", whole[:-4] + b"XXXX", not_whole)
    found.refused("a footer of other bytes", whole[:-40] + b"\xff" * 30 + whole[-10:], not_whole)
    found.refused(
        "a footer that is said to be longer than the file", whole[:-8] + b"\xff\xff\xff\x7f" + whole[-4:], not_whole
    )
    found.refused("the other format", written("orc" if form == "parquet" else "parquet", table()), not_whole)
    return found


parquet, orc = _tables("parquet"), _tables("orc")
_noted_in_dictionary = table(note=pa.array(["first", "second", "third"]).dictionary_encode())
parquet.loaded("texts in a dictionary", written("parquet", _noted_in_dictionary))
_checked = written(
    "parquet", pa.concat_tables([table()] * 400), write_page_checksum=True, use_dictionary=False, compression="none"
)
_page = _checked.index(b"second")
parquet.refused(
    "a page with a byte changed, where pages have checksums",
    _checked[:_page] + b"S" + _checked[_page + 1 :],
    "is not a whole parquet file",
)
_packed = written("parquet", pa.concat_tables([table()] * 400), use_dictionary=False, compression="gzip")
parquet.refused(
    "a packed page with bytes changed", _packed[:60] + b"\xff" * 30 + _packed[90:], "is not a whole parquet file"
)
parquet.refused(
    "two columns of one name",
    written("parquet", pa.Table.from_arrays([pa.array(["1"])] * 2, names=["id", "id"])),
    "two columns are called id",
)
for _codec in ("none", "gzip", "zstd", "lz4", "brotli"):
    parquet.loaded(f"packed by {_codec}", written("parquet", table(), compression=_codec))
for _codec in ("zlib", "zstd", "lz4", "snappy"):
    orc.loaded(f"packed by {_codec}", written("orc", table(), compression=_codec))

GROUPS = (lines, arrays, parquet, orc)
