"""Rows in quarantine are put right by an override, a corrected file or a changed rule, all on the one path."""

from __future__ import annotations

import csv
import json
import logging
import random
import shutil
import stat
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import psycopg2
import pyarrow.parquet
import pytest
from typer.testing import CliRunner

from data_platform import orchestrate, staleness
from data_platform.cli.main import build_app
from data_platform.contracts.load import get_contracts
from data_platform.failures import InputError, PermanentFailure
from data_platform.intervals import ONE_DAY
from data_platform.ledger import fingerprints
from data_platform.local.postgres import EmbeddedPostgres
from data_platform.steps import perform
from data_platform.warehouse.connection import query, transaction
from spark_jobs import ingest
from tests.conftest import Platform, forget_settings, make_platform
from tests.landing import HEADERS
from tests.projects import two_sources
from tests.runbooks import commands_of, text_of
from tests.state import published

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("spark_server")]
DAY, NEXT = date(1998, 1, 5), date(1998, 1, 6)
PURCHASES, CUSTOMERS = f"landing/shop/purchases/{DAY}.txt", f"landing/shop/customers/{DAY}.csv"
GOOD = [f" {n:05d} {DAY:%Y%m%d}  1   9.99" for n in range(1, 13)]
BROKEN, MENDED, RUBBISH = " 00099 19980105 -2  11.77", " 00099 19980105  2  11.77", " test test test test"
CANARIES = ("Zaphira Quux", "zaphira@quux.example", "+1 555 867 5309", "42 Canary Row")
SECRET = (
    '00099,Zaphira Quux,zaphira@quux.example,+1 555 867 5309,1961-12-31,"42 Canary Row\nFlat 2",Leeds,f,{},1996-05-01'
)
ACCOUNTS = [f"{n:05d},Bob,,,,,,m,US,1997-05-01" for n in range(100, 140)]


@pytest.fixture
def shop(postgres: EmbeddedPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    """An empty platform two days after the day that the tests speak of."""
    yield from make_platform(postgres, tmp_path, monkeypatch, today=NEXT + ONE_DAY)


def land(shop: Platform, dataset: str, *rows: str, day: date = DAY) -> Path:
    file = shop.landing / "shop" / dataset / f"{day}.{'csv' if dataset == 'customers' else 'txt'}"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join([HEADERS[dataset], *rows]) + "\n", encoding="utf-8")
    return file


def read() -> None:
    """Discovers and ingests what is there, and what overrides have changed."""
    run = orchestrate.open_work(None).run
    assert run is not None
    perform(run.run_id, "ingest")


def dp(*arguments: str, stdin: str = "") -> Any:
    result = CliRunner().invoke(build_app(), [*arguments, "--json"], input=stdin, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def refused(*arguments: str, stdin: str = "") -> str:
    """The message of a command that fails for what its user said."""
    with pytest.raises(InputError) as caught:
        dp(*arguments, stdin=stdin)
    return str(caught.value)


def rows_of(statement: str, *parameters: Any) -> list[dict[str, Any]]:
    with transaction() as connection:
        return query(connection, statement, parameters)


def counts(path: str = PURCHASES) -> tuple[int, int, int]:
    """Rows read, live and in quarantine of the version that counts."""
    (row,) = rows_of(
        "select rows_read, rows_live, rows_quarantined from ops.deliveries where state = 'live' and path = %s", path
    )
    return row["rows_read"], row["rows_live"], row["rows_quarantined"]


def contents(dataset: str) -> dict[date, str]:
    """What the ledger has of each day, whatever it was read with."""
    with transaction() as connection:
        found = fingerprints(connection, get_contracts()[dataset])
    return {day: fingerprint.partition(":")[2] for day, fingerprint in found.items()}


def stale() -> dict[str, str]:
    with transaction() as connection:
        found = staleness.find_stale(connection, NEXT, ["purchases", "customers"])
    return {s.what: s.reason for s in found if s.what.startswith("landing/")}


def states() -> dict[int, str]:
    return {o["override_id"]: o["state"] for o in dp("quarantine", "overrides", "--all")}


def test_an_override_is_applied_revoked_and_never_loses_a_row(shop: Platform) -> None:
    land(shop, "purchases", *GOOD, BROKEN, BROKEN)
    read()
    assert counts() == (14, 12, 2)
    shown = dp("quarantine", "show", PURCHASES, "14")
    assert (shown["raw"], shown["message"]) == (BROKEN, "breaks rule range of cd_count")
    assert dp("quarantine", "fix", PURCHASES, "14", "--to-text", MENDED, "--reason", "typo") == {"overrides": [1]}
    assert {(r["line"], r["state"]) for r in dp("quarantine", "list", "--rows")} == {(14, "overridden"), (15, "open")}
    assert stale() == {PURCHASES: "quarantine fixed"}
    read()
    assert counts() == (14, 13, 1)
    assert (stale(), states()) == ({}, {1: "applied"})
    dp("quarantine", "revoke", "1", "--reason", "no typo")
    assert stale() == {PURCHASES: "quarantine fixed"}
    read()
    assert counts() == (14, 12, 2)
    assert (stale(), states()) == ({}, {1: "revoked"})


def test_override_corrected_file_and_changed_rule_publish_what_a_clean_load_does(
    shop: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    shutil.copytree(two_sources() / "contracts", project / "contracts")
    (project / "dbt_project").symlink_to(two_sources() / "dbt_project")
    monkeypatch.setenv("PROJECT_ROOT", str(project))
    forget_settings()
    land(shop, "customers", *ACCOUNTS)
    land(shop, "purchases", *[row.replace("19980105", "19980106") for row in GOOD], day=NEXT)
    land(shop, "purchases", *GOOD, MENDED)
    orchestrate.run_all(None)
    clean = published()

    land(shop, "purchases", *GOOD, BROKEN)
    orchestrate.run_all(None)
    assert published() != clean
    dp("quarantine", "fix", PURCHASES, "14", "--to-text", MENDED, "--reason", "typo")
    orchestrate.run_all(None)
    assert (published(), states()) == (clean, {1: "applied"})
    (decided,) = rows_of("select arrived_at from quarantine.row_overrides")
    (row,) = rows_of("select known_at from raw.purchases where customer_id = '00099'")
    assert row["known_at"] == decided["arrived_at"], "it could not be known before somebody said so"

    dp("quarantine", "revoke", "1", "--reason", "the source corrects it")
    land(shop, "purchases", *GOOD, MENDED)
    orchestrate.run_all(None)
    assert published() == clean, "by a corrected file"

    contract = project / "contracts" / "sources" / "shop" / "purchases.odcs.yaml"
    lenient = contract.read_text()
    contract.write_text(lenient.replace("maximum: 10000", "maximum: 11"))
    forget_settings()
    orchestrate.run_all(None)
    assert (published() != clean, counts()) == (True, (13, 12, 1))
    contract.write_text(lenient)
    forget_settings()
    assert stale()[PURCHASES] == "delivery not read yet"
    orchestrate.run_all(None)
    assert published() == clean, "by a changed rule"


@pytest.mark.parametrize("seed", range(2))
def test_any_overrides_make_of_broken_files_what_corrected_files_are(shop: Platform, seed: int) -> None:
    """Rows broken in any way, some twice, a few corrected: live rows are those of the files with the corrections in."""
    chance = random.Random(seed)  # noqa: S311 - not to be secret
    kinds = (
        BROKEN,
        RUBBISH,
        " 00077 19980105 1",
        " 00088 19981305 1 1.00",
        " 77 19980105 1 1.00",
        " 00066 1998\x000105 1 1.00",
    )
    files = {
        day: [chance.choice(kinds) if chance.random() < 0.15 else chance.choice(GOOD) for _ in range(60)]
        for day in (DAY, NEXT)
    }
    for day, lines in files.items():
        land(shop, "purchases", *lines, day=day)
    read()
    rows = dp("quarantine", "list", "--rows")
    chosen = chance.sample(rows, len(rows) * 2 // 3)
    corrected = {(r["path"], r["line"]): chance.choice([MENDED, *GOOD]) for r in chosen}
    export = shop.home / "rows.jsonl"
    dp("quarantine", "export", "--to", str(export))
    documents = [json.loads(line) for line in export.read_text().splitlines()]
    export.write_text(
        "".join(json.dumps({**d, "corrected": corrected.get((d["path"], d["line"]), "")}) + "\n" for d in documents)
    )
    numbers = dp("quarantine", "fix", "--from", str(export), "--reason", "the till was broken")["overrides"]
    read()
    assert set(states().values()) == {"applied"}
    for number in chance.sample(numbers, 2):
        dp("quarantine", "revoke", str(number), "--reason", "not that one")
        (at,) = rows_of(
            "select path, o.line from quarantine.row_overrides as o join ops.files using (file_id)"
            " where override_id = %s",
            number,
        )
        del corrected[at["path"], at["line"]]
    read()
    mended = contents("purchases")
    for number, state in states().items():
        if state == "applied":
            dp("quarantine", "revoke", str(number), "--reason", "the source corrects them")
    for day, lines in files.items():
        path = f"landing/shop/purchases/{day}.txt"
        assert sum(counts(path)[1:]) == counts(path)[0] == len(lines)
        land(shop, "purchases", *[corrected.get((path, n), text) for n, text in enumerate(lines, start=2)], day=day)
    read()
    assert contents("purchases") == mended


def test_a_corrected_row_of_an_extract_is_known_again_and_nothing_personal_is_left_in_plain(
    shop: Platform, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    land(shop, "customers", SECRET.format("GB"), *ACCOUNTS)
    read()
    clean = contents("customers")
    land(shop, "customers", SECRET.format("Britain"), *ACCOUNTS)
    with caplog.at_level(logging.DEBUG):
        read()
        assert contents("customers") != clean
        text = tmp_path / "row.txt"
        text.write_text(SECRET.format("Albion") + "\n")
        fix = ("quarantine", "fix", CUSTOMERS, "2", "--reason", "the CRM's owner said so")
        said = [refused(*fix, "--text-file", str(text)), refused(*fix, "--to-text", SECRET.format("GB"))]
        assert "rule allowed of country" in said[0]
        assert "shows in process lists" in said[1]
        dp(*fix, "--text-file", "-", stdin=SECRET.format("GB") + "\r\n")
        read()
    assert contents("customers") == clean
    assert counts(CUSTOMERS) == (41, 41, 0)
    dump = [repr(rows_of(f"select * from quarantine.{t}")) for t in ("rows", "row_overrides", "override_results")]
    output = capfd.readouterr()
    told = "\n".join([*said, *dump, caplog.text, output.out, output.err])
    for file in (shop.home / "state").rglob("*"):
        if file.is_file() and not file.is_relative_to(shop.landing):
            told += file.read_bytes().decode(errors="replace")
            if file.suffix == ".parquet":
                told += repr(pyarrow.parquet.read_table(file, partitioning=None).to_pylist())
    assert any(canary in (shop.landing / "shop/customers" / f"{DAY}.csv").read_text() for canary in CANARIES)
    assert [canary for canary in CANARIES if canary in told] == []


def test_reading_personal_rows_needs_a_reason_and_is_kept(shop: Platform, tmp_path: Path) -> None:
    land(shop, "customers", SECRET.format("Britain"), *ACCOUNTS)
    land(shop, "purchases", *GOOD, BROKEN)
    read()
    assert "customers holds personal data" in refused("quarantine", "show", CUSTOMERS, "2")
    to = tmp_path / "rows.csv"
    assert "customers holds personal data" in refused("quarantine", "export", "--to", str(to))
    assert not to.exists()
    assert dp("quarantine", "show", CUSTOMERS, "2", "--reason", "asked by the CRM")["raw"] == SECRET.format("Britain")
    assert dp("quarantine", "export", "--to", str(to), "--reason", "for the CRM")["rows"] == 2
    assert stat.S_IMODE(to.stat().st_mode) == 0o600
    assert [r["raw"] for r in csv.DictReader(to.open(newline=""))] == [SECRET.format("Britain"), BROKEN]
    assert "cannot be written" in refused("quarantine", "export", "--to", str(to), "--reason", "again")
    kept = rows_of("select what, dataset, line, rows, reason from quarantine.accesses order by access_id")
    assert [tuple(r.values()) for r in kept[:3]] == [
        ("show", "customers", 2, 1, "asked by the CRM"),
        ("export", "customers", None, 1, "for the CRM"),
        ("export", "purchases", None, 1, "for the CRM"),
    ]
    for change in ("delete from quarantine.accesses", "update quarantine.accesses set reason = ''"):
        with pytest.raises(psycopg2.Error, match=r"append-only|permission denied"):
            rows_of(change)
    for role in ("analyst", "developer", "serving", "training"):
        with transaction(role) as connection, pytest.raises(psycopg2.Error, match="permission denied"):
            query(connection, "select * from quarantine.row_overrides")


def test_a_batch_is_taken_whole_or_not_at_all(shop: Platform, tmp_path: Path) -> None:
    land(shop, "purchases", *GOOD, BROKEN, BROKEN, RUBBISH)
    read()
    to = tmp_path / "rows.csv"
    dp("quarantine", "export", "--dataset", "purchases", "--to", str(to))
    rows = list(csv.DictReader(to.open(newline="")))
    fix = ("quarantine", "fix", "--from", str(to), "--reason", "as the till's owner said")

    def write(*corrected: str, **changed: str) -> None:
        with to.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows({**row, **changed, "corrected": text} for row, text in zip(rows, corrected, strict=True))

    assert "has a correction" in refused(*fix)
    write(MENDED, "2 CDs", MENDED.replace("11.77", "1e9"))
    message = refused(*fix)
    assert f"rows.csv, row 2 ({PURCHASES}:15): the corrected text breaks rule fields" in message
    assert f"rows.csv, row 3 ({PURCHASES}:16): the corrected text breaks rule type of amount_usd" in message
    write(MENDED, "", "", raw="something else")
    assert f"{PURCHASES}:14 does not read as in the file any more" in refused(*fix)
    write(MENDED, "", "", line="4")
    assert f"{PURCHASES}:4 is not in quarantine" in refused(*fix)
    write(MENDED, MENDED, "", line="14")
    assert "stands in the file twice" in refused(*fix)
    write(MENDED, "", "", line="fourteen")
    assert "rows.csv, row 1: not as exported: line" in refused(*fix)
    assert dp("quarantine", "overrides", "--all") == [], "none of it was written"
    write(MENDED, "", f"{GOOD[0]}\r")
    assert dp(*fix) == {"overrides": [1, 2]}
    read()
    assert counts() == (15, 14, 1)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("14", "--to-text", BROKEN), "breaks rule range of cd_count"),
        (("14", "--to-text", f"{MENDED}\n{MENDED}"), "breaks rule fields"),
        (("14", "--to-text", ""), "breaks rule fields"),
        (("14",), "say what landing/shop/purchases/1998-01-05.txt:14 should read"),
        (("14", "--to-text", MENDED, "--settle"), "say what"),
        (("4", "--settle"), "1998-01-05.txt:4 is not in quarantine"),
        (("14", "--text-file", "/nowhere/row.txt"), "cannot be read"),
        ((), "say which row"),
    ],
    ids=str,
)
def test_what_cannot_be_fixed_is_refused(broken_shop: None, arguments: tuple[str, ...], says: str) -> None:
    assert says in refused("quarantine", "fix", PURCHASES, *arguments, "--reason", "because")


@pytest.fixture(scope="module")
def broken_shop(
    postgres: EmbeddedPostgres, spark_server: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """A platform with one broken row on line 14, for tests that change nothing."""
    with pytest.MonkeyPatch.context() as patch:
        for platform in make_platform(postgres, tmp_path_factory.mktemp("shop"), patch, today=NEXT + ONE_DAY):
            land(platform, "purchases", *GOOD, BROKEN)
            read()
            yield


def test_a_decision_needs_a_reason(broken_shop: None) -> None:
    assert "needs a reason" in refused("quarantine", "fix", PURCHASES, "14", "--to-text", MENDED)
    assert dp("quarantine", "overrides", "--all") == []


def test_a_correction_that_is_lost_on_the_way_stops_the_step(shop: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    land(shop, "purchases", *GOOD, BROKEN)
    read()
    dp("quarantine", "fix", PURCHASES, "14", "--to-text", MENDED, "--reason", "typo")
    monkeypatch.setattr(ingest, "write_corrections", lambda *_, **__: [])
    read()
    assert stale() == {PURCHASES: "quarantine fixed"}, "nothing counts as applied that was not"
    monkeypatch.undo()
    monkeypatch.setattr(ingest, "corrections_of", lambda *_: [])
    with pytest.raises(PermanentFailure):
        read()
    assert counts() == (13, 12, 1)


def test_each_command_of_the_runbook_works(shop: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    land(shop, "customers", SECRET.format("Britain"), *ACCOUNTS)
    land(shop, "purchases", *[row.replace("19980105", "19980106") for row in GOOD], day=NEXT)
    land(shop, "purchases", *GOOD, BROKEN, RUBBISH)
    read()
    monkeypatch.chdir(tmp_path)
    Path("row.txt").write_text(MENDED + "\n")
    assert f'echo "{MENDED}" > row.txt' in text_of("quarantine")
    commands = commands_of("quarantine")
    for command in commands:
        if "--from" in command:
            correct_export(Path("rows.csv"))
        done = CliRunner().invoke(build_app(), command)
        assert done.exit_code == 0, (command, done.output, done.exception)
    assert states() == {1: "settled", 2: "waiting", 3: "revoked"}


def correct_export(file: Path) -> None:
    rows = list(csv.DictReader(file.open(newline="")))
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "corrected": row["raw"].replace("Britain", "GB")} for row in rows)
