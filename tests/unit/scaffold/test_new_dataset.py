"""`dp new dataset`: what it finds in files, what it refuses, and what it never shows."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from data_platform.contracts.lint import lint
from data_platform.contracts.load import load_contract
from data_platform.contracts.model import Contract
from data_platform.failures import InputError
from data_platform.scaffold.dataset import draft_of_files
from data_platform.scaffold.personal import is_word
from data_platform.scaffold.write import write_new
from tests.unit.scaffold.conftest import Dp

PEOPLE = """Kunden-Nr;Vorname;E-Mail;Tel;Geburtsdatum;Straße;IBAN;Karte;IP;Notiz;Umsatz
00001;Ann;ann@x.test;+49 30 1234567;31.01.1980;Weg 1;DE89370400440532013000;4111111111111111;10.0.0.1;ok;1,50
00002;Bob;bob@x.test;+49 30 7654321;28.02.1975;Gasse 2;GB82WEST12345698765432;2223003122003222;10.0.0.2;eve@x.test!;2,00
"""
SECRETS = (
    "Ann",
    "Bob",
    "x.test",
    "1234567",
    "1980",
    "1975",
    "Weg",
    "Gasse",
    "DE89",
    "WEST",
    "4111",
    "2223",
    "10.0.0",
    "eve",
)


def written(folder: Path, **files: str | bytes) -> str:
    """Writes files and returns the pattern of their names."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        data = content.encode() if isinstance(content, str) else content
        (folder / name.replace("__", ".").replace("_", "-")).write_bytes(data)
    return str(folder / "*")


def contract_of(dp: Dp, project: Path, pattern: str, *words: str, name: str = "things") -> Contract:
    done = dp("dataset", name, "--source", "shop", "--from", pattern, *words)
    assert done.exit_code == 0, done.output
    assert lint(project / "contracts") == []
    return load_contract(project / "contracts" / "sources" / "shop" / f"{name}.odcs.yaml", project / "contracts")


def types(contract: Contract) -> dict[str, str]:
    return {c.name: c.physical_type for c in contract.columns}


def test_personal_data_is_found_and_stands_nowhere(dp: Dp, project: Path, tmp_path: Path) -> None:
    contract = contract_of(dp, project, written(tmp_path / "in", kunden__csv=PEOPLE * 1), name="kunden")
    policies = {c.name: c.privacy.policy for c in contract.columns if c.privacy}
    assert policies == {
        "vorname": "drop",
        "e_mail": "hash",
        "tel": "hash",
        "geburtsdatum": "generalise",
        "strasse": "drop",
        "iban": "hash",
        "karte": "hash",
        "ip": "hash",
        "notiz": "drop",
    }
    pages = list((tmp_path / "state" / "reports" / "profiles").glob("*.html"))
    assert [page.name for page in pages] == ["shop__kunden.html"]
    files = [*(f for f in project.rglob("*") if f.is_file()), *pages]
    assert len(files) == 3
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert [secret for secret in SECRETS if secret in text] == [], file
    assert "http" not in pages[0].read_text(encoding="utf-8")


def test_what_is_printed_shows_no_personal_value(dp: Dp, tmp_path: Path) -> None:
    pattern = written(tmp_path / "in", kunden__csv=PEOPLE)
    for words in (["--json"], ["--dry-run"], ["--dry-run", "--json"]):
        name = f"kunden{len(words)}{words[0].strip('-')[0]}"
        done = dp("dataset", name, "--source", "shop", "--from", pattern, *words)
        assert done.exit_code == 0
        assert [secret for secret in SECRETS if secret in done.output] == []
        if "--json" in words:
            assert json.loads(done.output)["rows"] == 2


def test_a_dry_run_writes_nothing(dp: Dp, project: Path, tmp_path: Path) -> None:
    done = dp("dataset", "kunden", "--source", "shop", "--from", written(tmp_path / "in", a__csv=PEOPLE), "--dry-run")
    assert done.output.startswith("# Drafted by")
    assert not project.exists()
    assert not (tmp_path / "state").exists()


DIALECTS = {
    "semicolons and decimal commas": (
        "datum;wert;name\n01.02.2024;1,5;a\n02.02.2024;-2,75;b\n",
        {"datum": "date", "wert": "numeric(12,2)", "name": "text"},
    ),
    "tabs without a header": (
        "2024-01-01\t7\tx\n2024-01-02\t8\ty\n",
        {"column_1": "date", "column_2": "integer", "column_3": "text"},
    ),
    "pipes and a carriage return": (
        "a|b|c\r\n1|x, y|2024-01-01 10:00:00\r\n2|z, w|2024-01-02 11:00:00\r\n",
        {"a": "integer", "b": "text", "c_on": "date"},
    ),
    "blanks": (
        "  id  day n\n 00001 19970101  1\n 00002 19970112  12\n",
        {"id": "text", "day": "date", "n": "integer"},
    ),
    "commas in quotes, lines in fields": (
        'day,text,n\n2024-01-01,"a, ""b""\nc",1\n2024-01-02,"d;e;f",2\n',
        {"day": "date", "text": "text", "n": "integer"},
    ),
    "one column": ("name\nanna\nbert\n", {"name": "text"}),
    "no value in words": (
        "day,n,flag\n2024-01-01,NA,true\n2024-01-02,7,false\n",
        {"day": "date", "n": "integer", "flag": "boolean"},
    ),
    "numbers with an exponent, and codes": (
        "day,x,plz,big\n2024-01-01,1e-7,01067,123456789012345678901\n2024-01-02,2.5,99999,5\n",
        {"day": "date", "x": "double precision", "plz": "text", "big": "numeric(38,0)"},
    ),
}


@pytest.mark.parametrize(("text", "expected"), DIALECTS.values(), ids=DIALECTS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_dialects_and_types(
    text: str, expected: dict[str, str], encoding: str, dp: Dp, project: Path, tmp_path: Path
) -> None:
    contract = contract_of(dp, project, written(tmp_path / "in", things__csv=text.encode(encoding)))
    assert types(contract) == expected
    assert contract.status == "draft"


@pytest.mark.parametrize(
    ("text", "encoding", "found"),
    [
        ("day,text\n2024-01-01,£5 café\n", "cp1252", "cp1252"),
        ("day,text\n2024-01-01,naïve résumé\n", "latin-1", "cp1252"),
        (
            "day,text\n2024-01-01,привет мир это текст на русском\n2024-01-02,ещё одна строка для проверки\n",
            "cp1251",
            "cp1251",
        ),
        ("day,text\n2024-01-01,€\n", "utf-8", "utf-8"),
        ("day,text\n2024-01-01,€ and more\n", "utf-16-le", "utf-16-le"),
    ],
)
def test_encodings(text: str, encoding: str, found: str, tmp_path: Path) -> None:
    draft = draft_of_files("shop", "things", [written(tmp_path, a__csv=text.encode(encoding))])
    assert draft.dialect.encoding == found
    assert not draft.broken


def test_a_rare_letter_at_the_end_tells_the_encoding(tmp_path: Path) -> None:
    rows = "".join(f"2024-01-01,{n}\n" for n in range(60_000))
    draft = draft_of_files(
        "shop", "things", [written(tmp_path, a__csv=f"day,text\n{rows}2024-01-02,£\n".encode("cp1252"))]
    )
    assert draft.dialect.encoding == "cp1252"
    assert draft.rows == 60_001


def test_a_broken_byte_does_not_tell_another_encoding(tmp_path: Path) -> None:
    rows = "".join(f"2024-01-01,{word}\n" for word in ("Müller", "Zoë", "naïve", "smörgåsbord", "señor")).encode()
    draft = draft_of_files("shop", "things", [written(tmp_path, a__csv=b"day,text\n" + rows + b"2024-01-01,caf\xe9\n")])
    assert draft.dialect.encoding == "utf-8"
    assert (draft.rows, draft.broken) == (5, {"encoding": 1})
    assert "a.csv is UTF-8 but for some of its bytes: rows that hold them are broken" in draft.remarks


def test_daily_files_are_events_and_full_extracts_are_snapshots(dp: Dp, project: Path, tmp_path: Path) -> None:
    daily = {f"sales_2024_01_0{d}__csv": f"sold_on,n\n2024-01-0{d},1\n" for d in range(1, 5)}
    events = contract_of(dp, project, written(tmp_path / "daily", **daily), name="sales")
    assert (events.kind, events.day_column, events.location) == ("events", "sold_on", "landing/shop/sales/*.csv")
    people = "".join(f"{n:04d},2019-05-0{1 + n % 9}\n" for n in range(30))
    weekly = {f"members_2024_01_0{d}__csv": f"member_no,joined_on\n{people}" for d in (1, 8)}
    snapshot = contract_of(dp, project, written(tmp_path / "weekly", **weekly), name="members")
    assert (snapshot.kind, snapshot.frequency_days) == ("snapshot", 7)
    assert snapshot.location == "landing/shop/members/members-{extract_day}.csv"
    assert [c.name for c in snapshot.columns if c.primary_key] == ["member_no"]


def test_keys_of_several_columns_and_rows_that_repeat(tmp_path: Path) -> None:
    lines = [f"2024-01-0{1 + n // 10},{n // 3},{n % 3},7\n" for n in range(60)]
    header = "day,order_no,line_no,n\n"
    draft = draft_of_files("shop", "lines", [written(tmp_path / "a", a__csv=header + "".join(lines))])
    assert draft.key == ["order_no", "line_no"]
    draft = draft_of_files("shop", "lines", [written(tmp_path / "b", a__csv=header + "".join([*lines, lines[7]]))])
    assert (draft.key, draft.repeated_rows) == ([], 1)


def test_json_becomes_columns_and_a_place_for_the_rest(dp: Dp, project: Path, tmp_path: Path) -> None:
    objects = [
        {
            "id": f"v{n}",
            "at": f"2024-01-0{n}T10:00:00+02:00",
            "page": {"product": {"price": n / 8}},
            "tags": ["a"],
            "n": "007",
        }
        for n in range(1, 5)
    ]
    packed = gzip.compress("\n".join(map(json.dumps, objects)).encode())
    contract = contract_of(dp, project, written(tmp_path / "in", a__jsonl__gz=packed))
    assert types(contract) == {
        "id": "text",
        "at": "timestamptz",
        "event_on": "date",
        "page_product_price": "numeric(13,3)",
        "tags": "text",
        "n": "text",
        "other_fields": "text",
    }
    assert contract.columns[3].physical_name == "page.product.price"
    assert (contract.format, contract.day_column, contract.unknown_fields) == ("json", "event_on", "other_fields")
    array = contract_of(dp, project, written(tmp_path / "array", a__json=json.dumps(objects)), name="array")
    assert types(array) == types(contract)


def test_parquet_keeps_what_it_declares(dp: Dp, project: Path, tmp_path: Path) -> None:
    from datetime import UTC, datetime
    from decimal import Decimal

    table = pa.table(
        {
            "id": pa.array([1, 2], pa.int64()),
            "price": pa.array([Decimal("1.50"), None], pa.decimal128(9, 2)),
            "share": pa.array([0.5, 0.25]),
            "seen": pa.array([datetime(2024, 1, n, tzinfo=UTC) for n in (1, 2)], pa.timestamp("us", tz="UTC")),
        }
    )
    (tmp_path / "in").mkdir()
    pyarrow.parquet.write_table(table, tmp_path / "in" / "a.parquet")
    contract = contract_of(dp, project, str(tmp_path / "in" / "*"))
    assert types(contract) == {
        "id": "bigint",
        "price": "numeric(9,2)",
        "share": "numeric(12,2)",
        "seen": "timestamptz",
        "seen_on": "date",
        "other_fields": "text",
    }


GOOD = "day,n\n2024-01-01,1\n"
REFUSED: dict[str, tuple[dict[str, str | bytes], str]] = {
    "no file": ({}, "no file matches"),
    "an empty file": ({"a__csv": GOOD, "b__csv": b""}, "b.csv is empty"),
    "nothing but blanks": ({"a__csv": b"\n \n"}, "holds nothing but blanks"),
    "only a header": ({"a__csv": b"day,n,text\n"}, "has no row that can be read"),
    "other headers": ({"a__csv": GOOD, "b__csv": "day,m\n2024-01-01,1\n"}, "b.csv:1: its header differs"),
    "headers in another order": ({"a__csv": GOOD, "b__csv": "n,day\n1,2024-01-01\n"}, "another order"),
    "a column without a name": ({"a__csv": "day,,n\n2024-01-01,1,2\n"}, "column 2 has no name"),
    "binary junk": ({"a__csv": bytes(range(256)) * 40}, "neither text nor Parquet"),
    "an archive": ({"a__csv": b"PK\x03\x04" + bytes(50)}, "a ZIP archive or an Excel workbook"),
    "gzip in gzip": ({"a__csv__gz": gzip.compress(gzip.compress(GOOD.encode()))}, "a.csv.gz is gzip"),
    "half a gzip file": ({"a__csv__gz": gzip.compress(GOOD.encode() * 50)[:40]}, "a.csv.gz cannot be read"),
    "half a Parquet file": ({"a__parquet": b"PAR1" + bytes(50)}, "is not a whole parquet file"),
    "two formats": ({"a__csv": GOOD, "b__parquet": b"PAR1" + bytes(50)}, "b.parquet is parquet"),
    "two encodings": ({"a__csv": GOOD, "b__csv": GOOD.encode("utf-16")}, "b.csv is utf-16"),
    "JSON without fields": ({"a__json": b"[{}, {}]"}, "no JSON objects with fields"),
}


@pytest.mark.parametrize(("files", "says"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_drafted_from_is_said_in_one_message(
    files: dict[str, str | bytes], says: str, dp: Dp, project: Path, tmp_path: Path
) -> None:
    done = dp("dataset", "things", "--source", "shop", "--from", written(tmp_path / "in", **files))
    assert done.exit_code == 2, done.output
    assert says in done.output
    assert "→" in done.output
    assert not project.exists()


@pytest.mark.parametrize(("name", "source"), [("Things", "shop"), ("my__things", "shop"), ("things", "The Shop")])
def test_names_are_lower_snake_case(name: str, source: str, dp: Dp, tmp_path: Path) -> None:
    done = dp("dataset", name, "--source", source, "--from", written(tmp_path / "in", a__csv=GOOD))
    assert done.exit_code == 2
    assert "call it" in done.output


def test_a_contract_is_never_written_over(dp: Dp, project: Path, tmp_path: Path) -> None:
    pattern = written(tmp_path / "in", a__csv=GOOD)
    contract_of(dp, project, pattern)
    file = project / "contracts" / "sources" / "shop" / "things.odcs.yaml"
    file.write_text(file.read_text() + "# mine\n")
    for source in ("shop", "other"):
        done = dp("dataset", "things", "--source", source, "--from", pattern)
        assert done.exit_code == 2
        assert "has a contract: contracts/sources/shop/things.odcs.yaml" in done.output
    assert file.read_text().endswith("# mine\n")


def test_broken_rows_are_counted_and_tolerated(dp: Dp, project: Path, tmp_path: Path) -> None:
    rows = "".join(f"2024-01-01,{n},x\n" for n in range(50))
    contract = contract_of(dp, project, written(tmp_path / "in", a__csv=f"day,n,t\n{rows}2024-01-01,1\n"))
    assert contract.tolerated_broken_share == 0.02


def test_keys_that_may_be_somebodys_are_not_named(dp: Dp, project: Path, tmp_path: Path) -> None:
    lines = [
        json.dumps({"id": n, "day": "2024-01-01", "by": {"Anna Miller": n, "Bob": 1}, "at": {"$n": 1}})
        for n in range(3)
    ]
    contract = contract_of(dp, project, written(tmp_path / "in", a__jsonl="\n".join(lines)))
    assert types(contract) == {"id": "bigint", "day": "date", "by": "text", "at_n": "integer", "other_fields": "text"}
    assert "Anna" not in (project / "contracts" / "sources" / "shop" / "things.odcs.yaml").read_text()
    draft = draft_of_files(
        "shop", "days", [written(tmp_path / "root", a__json='[{"day": "2024-01-01", "Anna Miller": 5}]')]
    )
    assert "1 fields are not called like columns: are their keys names, or values?" in draft.remarks


@pytest.mark.parametrize("word", ["open", "EUR", "in-store", "v1.2", "3", "part_paid"])
def test_words_for_kinds_of_things_are_shown(word: str) -> None:
    assert is_word(word)


@pytest.mark.parametrize(
    "word",
    [
        *("Anna", "Émile", "Anna Miller", "anna miller", "anna.miller", "A.Miller", "Anna-Lena", "anna-lena.miller"),
        *("", "a@b.example", "01715551234", "0171-5551234", "192.168.1.17", "10.0.0.1", "2223003122003222", "123-456"),
    ],
)
def test_what_may_be_a_name_or_a_number_of_somebodys_is_not(word: str) -> None:
    assert not is_word(word)


def test_values_of_small_columns_are_words_or_are_not_shown(dp: Dp, project: Path, tmp_path: Path) -> None:
    lines = [f"{n},{'Anna Miller' if n % 2 else 'Bob Jones'},{'open' if n % 3 else 'paid'}\n" for n in range(40)]
    for name, title in (("tills", "cashier"), ("desks", "served_by")):
        pattern = written(tmp_path / name, a__csv=f"no,{title},state\n{''.join(lines)}")
        contract = contract_of(dp, project, pattern, name=name)
        (who,) = (c for c in contract.columns if c.name == title)
        assert bool(who.privacy) == (title == "cashier")
    files = [*(f for f in project.rglob("*.yaml")), *(tmp_path / "state" / "reports" / "profiles").glob("*.html")]
    assert len(files) == 4
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert "open" in text
        assert [name for name in ("Anna", "Miller", "Bob", "Jones") if name in text] == [], file


def test_a_line_of_values_names_no_columns(dp: Dp, project: Path, tmp_path: Path) -> None:
    people = "Anna Miller,Millerweg a,Ort\nBob Jones,Jonesweg b,Dorf\nEve Stone,Stoneweg c,Stadt\n"
    contract = contract_of(dp, project, written(tmp_path / "in", a__csv=people), name="people")
    assert [c.name for c in contract.columns] == ["column_1", "column_2", "column_3"]
    (file,) = project.rglob("people.odcs.yaml")
    text = file.read_text(encoding="utf-8")
    assert "# review: all columns are texts: is the first line a row" in text
    assert [word for word in ("Anna", "Bob", "Millerweg", "Dorf") if word in text] == []
    named = written(tmp_path / "named", a__csv=f"name,home_street,Town of birth\n{people}")
    assert [c.name for c in contract_of(dp, project, named, name="named").columns][:2] == ["name", "home_street"]


def test_a_line_of_names_and_numbers_may_be_a_row(tmp_path: Path) -> None:
    people = "".join(f"Bob Jones,{n},Dorf\n" for n in range(5))
    question = "is the first line names, as is said here?"
    for first, header, doubts in (
        ("Anna Miller,n/a,Bonn", False, []),
        ("Anna Miller,none given,Bonn", True, [f"some names look like values: {question}"]),
        ("full name,visits,Town", True, []),
    ):
        draft = draft_of_files("shop", "people", [written(tmp_path, a__csv=f"{first}\n{people}")])
        assert (draft.dialect.header, [r for r in draft.remarks if "first line" in r]) == (header, doubts)


def test_a_header_that_differs_may_be_a_row(dp: Dp, tmp_path: Path) -> None:
    rows = "Carl Moor,Moorweg d,7\n"
    pattern = written(tmp_path / "in", a__csv=f"name,street,n\n{rows}", b__csv=f"Anna Miller,street,x\n{rows}")
    done = dp("dataset", "people", "--source", "shop", "--from", pattern)
    assert done.exit_code == 2
    assert "lacks name, n; has x, 1 not shown" in " ".join(done.output.split())
    assert "Anna" not in done.output


def test_a_page_is_never_written_over_and_where_it_cannot_be_nothing_is(dp: Dp, project: Path, tmp_path: Path) -> None:
    words = ("dataset", "things", "--source", "shop", "--from", written(tmp_path / "in", a__csv=GOOD))
    profiles = tmp_path / "state" / "reports" / "profiles"
    profiles.mkdir(parents=True)
    page = profiles / "shop__things.html"
    page.write_text("mine")
    refused = dp(*words)
    assert (refused.exit_code, page.read_text()) == (2, "mine")
    assert "is there already" in refused.output
    page.unlink()
    profiles.rmdir()
    profiles.write_text("a file where a folder should be")
    refused = dp(*words)
    assert refused.exit_code == 2
    assert "nothing was" in " ".join(refused.output.split())
    assert not [file for file in project.rglob("*") if file.is_file()]


def test_all_files_are_written_or_none(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file where a folder should be")
    with pytest.raises(InputError, match=r"a\.sql cannot be written: File exists; nothing was"):
        write_new({tmp_path / "contracts" / "a.yaml": "a", tmp_path / "models" / "a.sql": "b"})
    assert not (tmp_path / "contracts" / "a.yaml").exists()
