"""Delimited text in whatever encoding, with whatever stands around its rows."""

from __future__ import annotations

from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE

from tests.pollutions import FIRST, SECOND, THIRD, Group
from tests.pollutions.rows import HEADER, ONE, THREE, TWO, WHOLE, second, with_note

ROWS = ONE + TWO + THREE
HEADLESS = {"header": False}

preambles = Group("Lines before the header")
preambles.loaded(
    "a title and a blank line, as the contract says", "Parcels of January\n\n" + WHOLE, dialect={"skipLines": 2}
)
preambles.loaded("a title with an open quote", 'Parcels of "January\n' + WHOLE, dialect={"skipLines": 1})
preambles.loaded("a title after a byte-order mark", "\ufeffParcels\n" + WHOLE, dialect={"skipLines": 1})
preambles.loaded("Excel's sep=; line", "sep=;\n" + WHOLE.replace(",", ";"), dialect={"skipLines": 1, "separator": ";"})
preambles.loaded("a title and no header", "Parcels\n" + ROWS, dialect={"skipLines": 1, "header": False})
preambles.loaded("comments", "# Parcels\n# of January\n" + WHOLE, dialect={"comment": "#"})
preambles.loaded(
    "comments between rows, with quotes",
    HEADER + '# an "open\n' + ONE + '#"\n' + TWO + "#\n" + THREE,
    dialect={"comment": "#"},
)
preambles.loaded(
    "a comment's sign in a text of two lines",
    with_note('"a\n# b"'),
    FIRST,
    second("a\n# b"),
    THIRD,
    dialect={"comment": "#"},
)
preambles.loaded(
    "a comment's sign within a line", with_note("a # b"), FIRST, second("a # b"), THIRD, dialect={"comment": "#"}
)
preambles.loaded(
    "comments whose quotes would enclose a row",
    HEADER + '#,"\n' + ONE + '#",\n' + TWO + THREE,
    dialect={"comment": "#"},
)
preambles.quarantined("a comment where the contract says nothing", HEADER + "# by hand\n" + ONE, {2: "fields"}, FIRST)
preambles.refused("a title where the contract says nothing", "Parcels of January\n" + WHOLE, ":1: the header differs")
preambles.refused(
    "a line fewer than the contract says", "Parcels\n" + WHOLE, ":3: the header differs", dialect={"skipLines": 2}
)
preambles.refused(
    "a line more than the contract says",
    "Parcels\nof January\n\n" + WHOLE,
    ":2: the header differs",
    dialect={"skipLines": 1},
)
preambles.refused(
    "a file that ends before the header",
    "Parcels\n",
    "ends within the 2 lines that skipLines passes over",
    dialect={"skipLines": 2},
)

FOOTER = {"footer": r"^TOTAL,(?P<rows>\d+)"}
footers = Group("Lines after the rows")
footers.loaded("a total that counts the rows, as the contract says", WHOLE + "TOTAL,3,13.501\n", dialect=FOOTER)
footers.loaded("a total without a line break", WHOLE + "TOTAL,3", dialect=FOOTER)
footers.loaded("a total, a blank line and a signature", WHOLE + '\nTOTAL,3\n\nprinted by "tool\n', dialect=FOOTER)
footers.loaded("a total before DOS's end-of-file sign", WHOLE.replace("\n", "\r\n") + "TOTAL,3\r\n\x1a", dialect=FOOTER)
footers.loaded("a trailer without a number", WHOLE + "-- end --\n", dialect={"footer": "^-- end --$"})
footers.refused(
    "a total of another number of rows", WHOLE + "TOTAL,4\n", "its footer tells of 4 rows, and it has 3", dialect=FOOTER
)
footers.refused("no total where the contract says one", WHOLE, "is the footer", dialect=FOOTER)
footers.refused("a file that is cut off before its total", WHOLE[:-20], "so it is cut off", dialect=FOOTER)
footers.refused(
    "a row like the total among the last",
    WHOLE.replace("second", "Total recall") + "Total 3\n",
    "2 of its last 20 lines are like the footer",
    dialect={"footer": "Total"},
)
footers.refused(
    "two deliveries in one file, each with its trailer",
    (HEADER + ONE + TWO + "# end\n") + (HEADER + THREE + "# end\n"),
    "2 of its last 20 lines are like the footer",
    dialect={"footer": "^# end"},
)
footers.refused(
    "two deliveries in one file, the second cut off before its total",
    HEADER + ONE + "TOTAL,1\n" + TWO + THREE,
    "rows stand after its footer",
    dialect=FOOTER,
)
footers.refused(
    "a row with an open quote after the total",
    WHOLE + 'TOTAL,3\n00020,"a,1,1998-01-31\n',
    "rows stand after",
    dialect=FOOTER,
)
footers.quarantined(
    "a row like the total far from the end",
    HEADER + "TOTAL,1,1,1\n" + ONE * 30 + "TOTAL,31\n",
    {2: "pattern"},
    *[FIRST] * 30,
    dialect=FOOTER,
)
footers.quarantined(
    "a total where the contract says nothing", WHOLE + "TOTAL,,13.501,\n", {5: "pattern"}, FIRST, SECOND, THIRD
)
footers.quarantined(
    "a count of rows where the contract says nothing", WHOLE + "(3 rows)\n", {5: "fields"}, FIRST, SECOND, THIRD
)
footers.quarantined("DOS's end-of-file sign", WHOLE + "\x1a", {5: "fields"}, FIRST, SECOND, THIRD)
footers.quarantined("NUL bytes up to a block's end", WHOLE + "\0" * 512, {5: "fields"}, FIRST, SECOND, THIRD)

tables = Group("Several tables in a file")
tables.quarantined(
    "files put together, each with its header", WHOLE + HEADER + ONE, {5: "header"}, FIRST, SECOND, THIRD, FIRST
)
tables.quarantined(
    "files put together, each with a byte-order mark",
    "\ufeff" + WHOLE + "\ufeff" + HEADER + ONE,
    {5: "header"},
    FIRST,
    SECOND,
    THIRD,
    FIRST,
)
tables.quarantined(
    "a header on every page", WHOLE + "\f\n" + HEADER + ONE, {5: "fields", 6: "header"}, FIRST, SECOND, THIRD, FIRST
)
tables.quarantined(
    "a table of another width", WHOLE + "\nshop,city\nS1,Bonn\n", {6: "fields", 7: "fields"}, FIRST, SECOND, THIRD
)
tables.quarantined(
    "a table of the same width",
    WHOLE + "\nshop,city,code,since\nS1,Bonn,5,1990-01-01\n",
    {6: "pattern", 7: "pattern"},
    FIRST,
    SECOND,
    THIRD,
)
tables.quarantined(
    "a line of units below the header", HEADER + "-,-,kg,-\n" + ROWS, {2: "pattern"}, FIRST, SECOND, THIRD
)
tables.quarantined("the header twice", HEADER + WHOLE, {2: "header"}, FIRST, SECOND, THIRD)
tables.refused("a line of groups above the header", "parcel,,sending,\n" + WHOLE, ":1: the header differs")

headers = Group("Headers")
headers.loaded("none, as the contract says", ROWS, dialect=HEADLESS)
headers.loaded("blanks around names", " id , note ,weight\t, sent\n" + ROWS)
headers.loaded("blank lines before it", "\n\r\n" + WHOLE)
headers.loaded("it ends with CR and LF, the rows with LF", HEADER[:-1] + "\r\n" + ROWS)
headers.empty("and nothing else", HEADER)
headers.empty("without a line break, and nothing else", HEADER[:-1])
headers.refused("missing", ROWS, "missing: id, note, weight, sent")
headers.refused("a name twice", "id,note,note,weight,sent\n" + ROWS, "standing twice: note")
headers.refused("a name twice in another's place", "id,note,weight,weight\n" + ROWS, "sent; standing twice: weight")
headers.refused("an empty name", "id,,weight,sent\n" + ROWS, "not in the contract: (a name that is empty)")
headers.refused("200,000 names", "id," * 200_000 + "\n" + ROWS, "and 199981 more")
headers.refused("a name of 100,000 letters", "i" * 100_000 + ",note,weight,sent\n" + ROWS, "missing: id")
headers.refused("two megabytes without a line break", "id," * 1_000_000, "the line is longer than")
headers.refused("signs that cannot be printed", "id\x1b[31m,note,weight,sent\n" + ROWS, r"id\x1b[31m")
headers.refused(
    "a page of HTML", "<!DOCTYPE html>\n<html><body>Please sign in</body></html>\n", "found: <!DOCTYPE html>"
)
headers.quarantined("there, where the contract says none", WHOLE, {1: "header"}, FIRST, SECOND, THIRD, dialect=HEADLESS)

TEXT = "£5 für José"
encodings = Group("Encodings")
for _codec in (
    "latin-1",
    "cp1252",
    "iso8859-15",
    "cp850",
    "mac-roman",
    "utf-16",
    "utf-16-le",
    "utf-16-be",
    "utf-32",
    "utf-7",
    "cp1140",
):
    _text = TEXT if _codec != "iso8859-15" else TEXT + " €"
    encodings.loaded(
        f"{_codec}, as the contract says",
        with_note(_text).encode(_codec),
        FIRST,
        second(_text),
        THIRD,
        dialect={"encoding": _codec},
    )
for _codec, _text in (
    ("shift_jis", "日本ソ表"),
    ("gb18030", "汉字"),
    ("big5", "功許"),
    ("euc-kr", "한국"),
    ("koi8-r", "Москва"),
    ("cp1251", "Москва"),
):
    encodings.loaded(
        f"{_codec}, as the contract says",
        with_note(_text).encode(_codec),
        FIRST,
        second(_text),
        THIRD,
        dialect={"encoding": _codec},
    )
encodings.loaded(
    "all planes of UTF-8",
    with_note("日本 😀 e\u0301 \u200b\ufffd\uffff"),
    FIRST,
    second("日本 😀 e\u0301 \u200b\ufffd\uffff"),
    THIRD,
)
encodings.loaded(
    "UTF-8 that was encoded twice stays as it was delivered", with_note("JosÃ©"), FIRST, second("JosÃ©"), THIRD
)
encodings.quarantined(
    "Latin-1 where the contract says UTF-8", with_note(TEXT).encode("latin-1"), {3: "encoding"}, FIRST, THIRD
)
encodings.quarantined(
    "one byte that is no UTF-8", with_note("a?").encode().replace(b"?", b"\xff"), {3: "encoding"}, FIRST, THIRD
)
encodings.quarantined(
    "an overlong form", with_note("a?").encode().replace(b"?", b"\xc0\xaf"), {3: "encoding"}, FIRST, THIRD
)
encodings.quarantined(
    "half of a surrogate pair", with_note("a?").encode().replace(b"?", b"\xed\xa0\x80"), {3: "encoding"}, FIRST, THIRD
)
encodings.quarantined(
    "a letter cut off at the end", (HEADER + ONE).encode() + b"00018,x,1,\xe2\x82", {3: "encoding"}, FIRST
)
encodings.quarantined(
    "a byte that cp1252 does not have",
    with_note("a?").encode().replace(b"?", b"\x81"),
    {3: "encoding"},
    FIRST,
    THIRD,
    dialect={"encoding": "cp1252"},
)
encodings.quarantined(
    "UTF-16 that is cut off within a letter",
    (HEADER + ONE + TWO[:-1]).encode("utf-16")[:-1],
    {3: "encoding"},
    FIRST,
    dialect={"encoding": "utf-16"},
)
encodings.refused(
    "UTF-16 where the contract says UTF-8",
    WHOLE.encode("utf-16"),
    "byte-order mark of utf-16, and the contract says utf-8",
)
encodings.refused(
    "UTF-16 without a mark where the contract says UTF-8",
    WHOLE.encode("utf-16-le"),
    "it holds NUL bytes, as text in UTF-16 does",
)
encodings.refused("UTF-32 where the contract says UTF-8", WHOLE.encode("utf-32"), "byte-order mark of utf-32")
encodings.refused("UTF-8 where the contract says UTF-16", WHOLE, "is no text in utf-16", dialect={"encoding": "utf-16"})
encodings.refused(
    "a mark of UTF-8 where the contract says Latin-1",
    "\ufeff" + WHOLE,
    "byte-order mark of utf-8, and the contract says latin-1",
    dialect={"encoding": "latin-1"},
)
encodings.refused("EBCDIC where the contract says UTF-8", WHOLE.encode("cp1140"), "the header differs")

marks = Group("Byte-order marks")
marks.loaded("of UTF-8", "\ufeff" + WHOLE)
marks.loaded("of UTF-8, twice", "\ufeff\ufeff" + WHOLE)
marks.loaded("before a header in quotes", '\ufeff"id",note,weight,sent\n' + ROWS)
marks.loaded("before rows without a header", "\ufeff" + ROWS, dialect=HEADLESS)
marks.loaded("before a blank line", "\ufeff\n" + WHOLE)
marks.loaded("with the encoding utf-8-sig", "\ufeff" + WHOLE, dialect={"encoding": "utf-8-sig"})
marks.loaded("of UTF-16, little end first", BOM_UTF16_LE + WHOLE.encode("utf-16-le"), dialect={"encoding": "utf-16"})
marks.loaded("of UTF-16, big end first", BOM_UTF16_BE + WHOLE.encode("utf-16-be"), dialect={"encoding": "utf-16"})
marks.loaded(
    "beside a named order of bytes",
    BOM_UTF16_LE + ROWS.encode("utf-16-le"),
    dialect={"encoding": "utf-16-le", "header": False},
)
marks.refused("and nothing else", BOM_UTF8, "is empty, not even a header")

signs = Group("NUL bytes and control signs")
signs.quarantined("NUL in a text", with_note("a\0b"), {3: "encoding"}, FIRST, THIRD)
signs.quarantined("NUL in a number", WHOLE.replace("0.001", "0.\0001"), {3: "encoding"}, FIRST, THIRD)
signs.quarantined("NUL in quotes", with_note('"\0"'), {3: "encoding"}, FIRST, THIRD)
signs.quarantined("a line of NUL", HEADER + ONE + "\0\0\0\n" + TWO, {3: "fields"}, FIRST, SECOND)
signs.refused("NUL in the header", WHOLE.replace("note", "no\0te"), r"no\x00te")
signs.loaded(
    "tabs, form feeds, bells and escapes in a text",
    with_note("a\t\f\v\a\x1b\x1a\x7fb"),
    FIRST,
    second("a\t\f\v\a\x1b\x1a\x7fb"),
    THIRD,
)
signs.loaded(
    "line and paragraph separators of Unicode in a text",
    with_note("a\u2028b\u2029c\x85d"),
    FIRST,
    second("a\u2028b\u2029c\x85d"),
    THIRD,
)

ends = Group("Line breaks")
ends.loaded("CR and LF", WHOLE.replace("\n", "\r\n"))
ends.loaded("some lines CR and LF, some LF", HEADER + ONE[:-1] + "\r\n" + TWO + THREE[:-1] + "\r\n")
ends.loaded("CR twice before LF", WHOLE.replace("\n", "\r\r\n"))
ends.loaded("none after the last row", WHOLE[:-1])
ends.loaded("CR after the last row", WHOLE[:-1] + "\r")
ends.quarantined("LF before CR", HEADER + ONE[:-1] + "\n\r" + TWO, {3: "line_break"}, FIRST)
ends.quarantined("CR within unquoted text", with_note("a\rb"), {3: "line_break"}, FIRST, THIRD)
ends.quarantined("CR between two rows", HEADER + ONE[:-1] + "\r" + TWO + THREE, {2: "line_break"}, THIRD)
ends.refused("CR alone", WHOLE.replace("\n", "\r"), "its lines end with carriage returns alone")
ends.refused("CR alone, in megabytes", HEADER[:-1] + "\r" + (TWO[:-1] + "\r") * 100_000, "carriage returns alone")
ends.quarantined("CR alone, without a header", ROWS.replace("\n", "\r"), {1: "line_break"}, dialect=HEADLESS)

long = Group("Long fields and empty files")
long.loaded("a text of 100,000 letters", with_note("x" * 100_000), FIRST, second("x" * 100_000), THIRD)
long.loaded(
    "a quoted text of 900,000 letters", with_note(f'"{"x, " * 300_000}"'), FIRST, second("x, " * 300_000), THIRD
)
long.quarantined("a number of 500,000 digits", WHOLE.replace("0.001", "1" * 500_000), {3: "type"}, FIRST, THIRD)
long.refused("a text of four megabytes", with_note("x" * 4_000_000), ":3: the line is longer than")
long.refused("an empty file", "", "is empty, not even a header")
long.refused("a file of a line break", "\n", "is empty, not even a header")
long.quarantined("a file of blanks", "   ", {1: "fields"}, dialect=HEADLESS)
long.empty("an empty file without a header", "", dialect=HEADLESS)

GROUPS = (preambles, footers, tables, headers, encodings, marks, signs, ends, long)
