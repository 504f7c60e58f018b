"""Delimited text whose rows and fields are hard to tell apart, or are no rows."""

from __future__ import annotations

from tests.pollutions import CLEAN, FIRST, SECOND, THIRD, Group, Row

HEADER = "id,note,weight,sent\n"
ONE, TWO, THREE = (",".join(map(str, row)) + "\n" for row in CLEAN)
WHOLE = HEADER + ONE + TWO + THREE


def second(note: str | None) -> Row:
    """The second row with another note."""
    return (SECOND[0], note, *SECOND[2:])


def with_note(written: str) -> str:
    """The file, with the second row's note as it is written here."""
    return HEADER + ONE + f"00018,{written},0.001,1998-01-30\n" + THREE


separators = Group("Separators")
for _name, _sign in (
    ("semicolon", ";"), ("tab", "\t"), ("pipe", "|"), ("caret", "^"), ("tilde", "~"), ("colon", ":"),
    ("one blank", " "), ("Hive's \\x01", "\x01"), ("unit separator \\x1f", "\x1f"),
):  # fmt: skip
    separators.loaded(f"{_name}, as the contract says", WHOLE.replace(",", _sign), dialect={"separator": _sign})
separators.loaded("runs of blanks and tabs", WHOLE.replace(",", " \t "), dialect={"separator": "blanks"})
separators.refused("semicolons where the contract says comma", WHOLE.replace(",", ";"), "missing: id, note")
separators.refused("tabs where the contract says comma", WHOLE.replace(",", "\t"), "missing: id, note")
separators.refused("two signs where the contract has one", WHOLE.replace(",", ",,"), "(a name that is empty)")
separators.quarantined("a row with another separator", HEADER + ONE + TWO.replace(",", ";"), {3: "fields"}, FIRST)
separators.quarantined("a separator in unquoted text", with_note("a, b"), {3: "fields"}, FIRST, THIRD)
separators.loaded("a separator in quoted text", with_note('"a, b"'), FIRST, second("a, b"), THIRD)
separators.loaded("nothing but separators in quoted text", with_note('",,,"'), FIRST, second(",,,"), THIRD)
separators.refused("a separator at each line's end", WHOLE.replace("\n", ",\n"), "(a name that is empty)")
separators.quarantined("a separator at a row's end", HEADER + ONE + TWO[:-1] + ",\n", {3: "fields"}, FIRST)
separators.loaded(
    "blanks around numbers and days", WHOLE.replace(",0.001,1998-01-30", ", 0.001 , 1998-01-30 ")
)  # fmt: skip
separators.quarantined("blanks around a text that has a pattern", HEADER + ONE + " " + TWO, {3: "pattern"}, FIRST)
separators.loaded("blanks around free text", with_note(" a b "), FIRST, second(" a b "), THIRD)

CURLY = "\u201ca\u201d \u2018b\u2019"
quotes = Group("Quotes")
quotes.loaded("all fields quoted", "".join(f'"{line}"\n' for line in WHOLE.replace(",", '","').splitlines()))
quotes.loaded("single quotes", with_note("'it''s, \"x\"'"), FIRST, second('it\'s, "x"'), THIRD, dialect={"quote": "'"})
quotes.loaded("doubled quotes", with_note('"a ""b"" c"'), FIRST, second('a "b" c'), THIRD)
quotes.loaded("doubled quotes at both ends", with_note('"""b"""'), FIRST, second('"b"'), THIRD)
quotes.loaded("a text of one quote", with_note('""""'), FIRST, second('"'), THIRD)
quotes.loaded("an empty text in quotes", with_note('""'), FIRST, second(None), THIRD)
quotes.loaded("blanks in quotes", with_note('"  "'), FIRST, second("  "), THIRD)
quotes.loaded("typographic quotes", with_note(CURLY), FIRST, second(CURLY), THIRD)
quotes.loaded("a header in quotes", '"id","note","weight","sent"\n' + ONE + TWO + THREE)
quotes.loaded(
    "quotes where the contract has none", with_note('6" pipe'), FIRST, second('6" pipe'), THIRD, dialect={"quote": None}
)
quotes.quarantined("a quote in unquoted text", with_note('6" pipe'), {3: "quote"}, FIRST, THIRD)
quotes.quarantined("text after the closing quote", with_note('"a" b'), {3: "quote"}, FIRST, THIRD)
quotes.quarantined("a blank before the opening quote", with_note(' "a, b"'), {3: "quote"}, FIRST, THIRD)
quotes.quarantined("a blank after the closing quote", with_note('"a, b" '), {3: "quote"}, FIRST, THIRD)
quotes.quarantined("quotes inside that are not doubled", with_note('"a "b" c"'), {3: "quote"}, FIRST, THIRD)
quotes.quarantined("a quote that is not closed", with_note('"a'), {3: "quote"}, FIRST, THIRD)
quotes.quarantined(
    "a quote that is not closed in the last row", WHOLE + '00020,"a,1,1998-01-31\n', {5: "quote"}, *CLEAN
)
quotes.quarantined(
    "two rows with an open quote each",
    HEADER + '00020,"a,1,1998-01-31\n' + ONE + '00021,"b,1,1998-01-31\n' + TWO,
    {2: "quote", 4: "quote"},
    FIRST,
    SECOND,
)
quotes.quarantined("a row in quotes as a whole", HEADER + ONE + f'"{TWO[:-1]}"\n', {3: "fields"}, FIRST)
quotes.quarantined(
    'Excel\'s ="…" around a code', HEADER + ONE + '="00018",second,0.001,1998-01-30\n', {3: "quote"}, FIRST
)
quotes.quarantined("an apostrophe before a code", HEADER + ONE + "'" + TWO, {3: "pattern"}, FIRST)
quotes.refused("a header with an open quote", 'id,"note,weight,sent\n' + ONE, "its quoting is broken")

MYSQL = {"separator": "\t", "escape": "\\", "quote": None, "nullValues": ["", "\\N"]}
escapes = Group("Escapes", dialect={"escape": "\\"})
escapes.loaded("a quote by backslash", with_note(r'"a \"b\" c"'), FIRST, second('a "b" c'), THIRD)
escapes.loaded("a quote by backslash and one doubled", with_note(r'"a \"b"" c"'), FIRST, second('a "b" c'), THIRD)
escapes.loaded("a quote by backslash at the text's end", with_note(r'"a \""'), FIRST, second('a "'), THIRD)
escapes.loaded("a separator by backslash", with_note(r"a\, b"), FIRST, second("a, b"), THIRD)
escapes.loaded("a line break by backslash", with_note("a\\\nb"), FIRST, second("a\nb"), THIRD)
escapes.loaded("CR and LF by one backslash", with_note("a\\\r\nb"), FIRST, second("a\r\nb"), THIRD)
escapes.loaded("backslashes by backslash", with_note("C:\\\\dir\\\\"), FIRST, second("C:\\dir\\"), THIRD)
escapes.loaded("three backslashes before a quote", with_note('"a\\\\\\"b"'), FIRST, second('a\\"b'), THIRD)
escapes.loaded("line breaks and tabs by letter", with_note(r"a\nb\tc\rd"), FIRST, second("a\nb\tc\rd"), THIRD)
escapes.loaded("an apostrophe by backslash", with_note(r"it\'s"), FIRST, second("it's"), THIRD)
escapes.loaded("a letter with accent by backslash", with_note("\\é"), FIRST, second("é"), THIRD)
escapes.loaded(
    "another sign than backslash", with_note('"a ^"b^" c"'), FIRST, second('a "b" c'), THIRD, dialect={"escape": "^"}
)
escapes.loaded(
    "a dump of MySQL: tabs, \\N, escaped tab and line break",
    with_note("\\N").replace("first", "a\\,b").replace(",", "\t").replace("a\\\t", "a\\\t"),
    ("00017", "a\tb", *FIRST[2:]),
    second(None),
    THIRD,
    dialect=MYSQL,
)
escapes.quarantined("a letter that means nothing", with_note(r"a\x41"), {3: "escape"}, FIRST, THIRD)
escapes.quarantined("a backslash at the end of the file", HEADER + ONE + TWO[:-1] + "\\", {3: "escape"}, FIRST)
escapes.quarantined("an escaped closing quote", with_note('"a\\"'), {3: "quote"}, FIRST, THIRD)
escapes.quarantined(
    "a quote by backslash where the contract says nothing",
    with_note(r'"a \"b\" c"'),
    {3: "quote"},
    FIRST,
    THIRD,
    dialect={},
)
escapes.loaded(
    "backslashes where the contract says nothing", with_note("C:\\new\\"), FIRST, second("C:\\new\\"), THIRD, dialect={}
)

lines = Group("Fields of several lines")
lines.loaded("a line feed in quotes", with_note('"a\nb"'), FIRST, second("a\nb"), THIRD)
lines.loaded(
    "CR and LF in quotes",
    with_note('"a\r\nb"').replace("1998-01-30\n", "1998-01-30\r\n"),
    FIRST,
    second("a\r\nb"),
    THIRD,
)
lines.loaded("a carriage return in quotes", with_note('"a\rb"'), FIRST, second("a\rb"), THIRD)
lines.loaded("blank lines in quotes", with_note('"\n\na\n\n"'), FIRST, second("\n\na\n\n"), THIRD)
lines.loaded("what looks like rows in quotes", with_note(f'"{ONE}{TWO}"'), FIRST, second(ONE + TWO), THIRD)
lines.loaded(
    "a thousand lines in one text", with_note('"' + "line\n" * 1000 + '"'), FIRST, second("line\n" * 1000), THIRD
)
lines.loaded(
    "a last text of two lines without a final line break",
    HEADER + ONE + TWO + '00019,third,12.000,"1998-01-31\n"',
    FIRST,
    SECOND,
    THIRD,
)
lines.quarantined("a line feed in unquoted text", with_note("a\nb"), {3: "fields", 4: "fields"}, FIRST, THIRD)
lines.quarantined("a text of two lines and a field too many", with_note('"a\nb",x'), {3: "fields"}, FIRST, THIRD)
lines.refused("a header of two lines", 'id,"no\nte",weight,sent\n' + ONE, "not in the contract: no\\nte")

ragged = Group("Rows of another length")
ragged.quarantined("a field too few", HEADER + ONE + "00018,0.001,1998-01-30\n" + THREE, {3: "fields"}, FIRST, THIRD)
ragged.quarantined(
    "a field too many", HEADER + ONE + "00018,second,x,0.001,1998-01-30\n" + THREE, {3: "fields"}, FIRST, THIRD
)
ragged.quarantined("one field", HEADER + ONE + "00018\n", {3: "fields"}, FIRST)
ragged.quarantined("every row too short", HEADER + "00017,1.5\n00018,0.1\n", {2: "fields", 3: "fields"})
ragged.quarantined("two rows on one line", HEADER + ONE[:-1] + TWO + THREE, {2: "fields"}, THIRD)
ragged.quarantined("a last row that is cut off", HEADER + ONE + TWO[:14], {3: "fields"}, FIRST)
ragged.quarantined("a last row that is cut off in its last field", HEADER + ONE + TWO[:-2], {3: "type"}, FIRST)
ragged.quarantined("a row of empty fields", HEADER + ONE + ",,,\n", {3: "required"}, FIRST)
ragged.quarantined("a line of blanks", HEADER + ONE + "   \n", {3: "fields"}, FIRST)
ragged.loaded("blank lines between rows and at the end", HEADER + "\n" + ONE + "\n\n" + TWO + "\r\n" + THREE + "\n\n")
ragged.loaded(
    "lines of blanks between runs of blanks",
    WHOLE.replace(",", "  ").replace("\n", " \n \t\n"),
    dialect={"separator": "blanks"},
)
ragged.quarantined(
    "300,000 separators in a row", HEADER + ONE + "," * 300_000 + "\n" + THREE, {3: "fields"}, FIRST, THIRD
)
ragged.quarantined(
    "100,000 quoted fields in a row", HEADER + ONE + '"",' * 100_000 + "\n" + THREE, {3: "fields"}, FIRST, THIRD
)

GROUPS = (separators, quotes, escapes, lines, ragged)
