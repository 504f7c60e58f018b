"""Tokens, the vault, and texts that are redacted by it, on a small help desk with a real Spark and a real Postgres."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import product
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from typer.testing import CliRunner

from data_platform import unknown_keys
from data_platform.cli.main import build_app
from data_platform.clock import due_day
from data_platform.contracts.model import Contract
from data_platform.contracts.parts import Extract
from data_platform.extraction import failed_extracts
from data_platform.failures import InputError, TransientFailure
from data_platform.ledger import discover, input_version, to_ingest
from data_platform.local.secrets import pick_port
from data_platform.orchestrate import open_work
from data_platform.runs import StepLog
from data_platform.settings import get_settings
from data_platform.staleness import VAULT_CHANGED, find_stale, source_contracts
from data_platform.steps import perform
from data_platform.vault import add_records, find_values, outdated_deliveries
from data_platform.vault_records import Record
from data_platform.warehouse.connection import execute, open_connection, query, transaction
from spark_jobs import ingest, transform
from spark_jobs.protection import Protection, protection_of
from tests.conftest import Platform, forget_settings
from tests.contracts import change_contract
from tests.forked import run_forked

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("spark_server")]
PROJECT = Path(__file__).parent / "help_desk"
DAY = date(1998, 1, 5)
ANN = ("00001", "Ann-Zoë Quillfeather", "ann.quill@postbox.example", "+44 161 5550142", "12 Bababobo Street\nLeeds")
BOB = ("00002", "Bob Zandervane", "bob@wavemail.example", "(555) 010-9911", "7 Dadadedo Lane, Austin")
LETTER = (
    "Dear desk, order 10234 of 1998-01-03 over 25.99 USD has not come to 12 bababobo st. Call 0161 555 0142,"
    " or write to ann.quill@postbox.example. My card 4111-1111-1111-1111, IBAN DE89 3704 0044 0532 0130 00,"
    " from 192.168.10.4. Yours, A. QUILLFEATHER"
)
PLAIN = ("Quillfeather", "QUILLFEATHER", "ann.quill", "Bababobo", "bababobo", "5550142", "555 0142", "4111-1111")


class Desk:
    """What lands at the desk, and its nights."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self._folder = platform.landing / "desk"

    def members(self, day: date, *people: tuple[str, ...], hour: int = 1) -> None:
        """An extract of the members, which arrives on the day after its own."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("customer_id", "full_name", "email", "phone", "address"))
        writer.writerows(people)
        self._land(f"members/{day}.csv", text.getvalue(), datetime(day.year, day.month, day.day + 1, hour, tzinfo=UTC))

    def letters(self, day: date, *letters: tuple[str | None, str]) -> None:
        """A file of a day's letters (customer, text), which arrives on the next."""
        rows = [
            {"letter_id": n, "customer_id": c, "written_on": str(day), "sender": f"Sender{n}@x.example", "body": text}
            for n, (c, text) in enumerate(letters, start=1 if day == DAY else 101)
        ]
        arrived_at = datetime(day.year, day.month, day.day + 1, 1, tzinfo=UTC)
        self._land(f"letters/{day}.jsonl", "".join(json.dumps(r) + "\n" for r in rows), arrived_at)

    def withdraw(self, name: str) -> None:
        """The source takes a file back."""
        self._say(name, withdrawn=True)

    def _land(self, name: str, text: str, arrived_at: datetime) -> None:
        file = self._folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        os.utime(file, ns=(0, arrived_at.timestamp().__int__() * 10**9))
        self._say(name, arrived_at=arrived_at.isoformat())

    def _say(self, name: str, **words: Any) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "manifest.jsonl").open("a") as manifest:
            manifest.write(json.dumps({"path": f"desk/{name}", **words}) + "\n")

    def stale(self) -> dict[str, str]:
        """What is stale, and why."""
        with transaction() as connection:
            discover(connection, source_contracts())
            return {stale.what: stale.reason for stale in find_stale(connection, due_day())}

    def night(self) -> dict[str, StepLog]:
        """Reads and publishes what is stale; there are no models to build."""
        run = open_work(None).run
        assert run
        logs = {step: perform(run.run_id, step) for step in ("ingest", "gate:ingest", "stage", "gate:stage")}
        with transaction() as connection:
            unknown_keys.write_context(connection, run)
        return logs | {"publish": perform(run.run_id, "publish")}


@pytest.fixture
def desk(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """An empty help desk."""
    monkeypatch.setenv("PROJECT_ROOT", str(PROJECT))
    forget_settings()
    return Desk(platform)


def rows_of(sql: str, *parameters: Any) -> list[dict[str, Any]]:
    with transaction() as connection:
        return query(connection, sql, parameters)


def bodies() -> dict[int, str]:
    return {r["letter_id"]: r["body"] for r in rows_of("select letter_id, body from raw.letters")}


def changed(logs: dict[str, StepLog]) -> dict[str, int]:
    return {line["subject"]: line["rows_changed"] for line in logs["publish"].lines if line["rows_changed"]}


def test_a_text_is_redacted_by_patterns_and_by_what_its_own_subject_is_known_by(desk: Desk) -> None:
    desk.members(DAY, ANN, BOB)
    desk.letters(DAY, ("00001", LETTER), ("00002", "I am no Quillfeather, says bob"), (None, "Bob, b@x.example"))
    desk.night()
    assert bodies() == {
        1: "Dear desk, order 10234 of 1998-01-03 over 25.99 USD has not come to <ADDRESS>. Call <PHONE>,"
        " or write to <EMAIL>. My card <CARD>, IBAN <IBAN>, from <IP>. Yours, <NAME>",
        2: "I am no Quillfeather, says <NAME>",
        3: "Bob, <EMAIL>",
    }
    assert desk.stale() == {}
    assert rows_of("select last_value as attempts from ops.ingest_id") == [{"attempts": 2}], "members came first"


def test_tokens_are_the_same_in_every_dataset_and_the_steward_can_tell_what_they_stand_for(desk: Desk) -> None:
    desk.members(DAY, (*ANN[:2], "sender1@X.example", *ANN[3:]))
    desk.letters(DAY, ("00001", "Good day"))
    desk.night()
    (letter,) = rows_of("select sender_token from raw.letters")
    (member,) = rows_of("select email_token, phone_hash from raw.members")
    assert letter["sender_token"] == member["email_token"]
    assert member["phone_hash"] not in member["email_token"]

    show = ["vault", "show", letter["sender_token"], "--purpose", "a complaint", "--json"]
    shown = CliRunner().invoke(build_app(), show)
    assert shown.exit_code == 0, shown.output
    assert json.loads(shown.output)["values"] == [
        {"column": "email", "value": "sender1@X.example"},
        {"column": "sender", "value": "Sender1@x.example"},
    ]
    (access,) = rows_of("select * from ops.vault_accesses")
    assert (access["token"], access["records"], access["purpose"]) == (letter["sender_token"], 2, "a complaint")
    for change in ("delete from ops.vault_accesses", "update ops.vault_accesses set purpose = ''"):
        with pytest.raises(psycopg2.errors.RaiseException, match="append-only"):
            rows_of(change)
    for wrong, message in ((["tok_none", "--purpose", "x"], "stands for"), ([*show[2:3], "--purpose", " "], "purpose")):
        with pytest.raises(InputError, match=message):
            CliRunner().invoke(build_app(), ["vault", "show", *wrong], catch_exceptions=False)
    assert len(rows_of("select from ops.vault_accesses")) == 1


def test_a_late_profile_makes_its_own_subjects_texts_stale_and_changes_their_rows_alone(desk: Desk) -> None:
    earlier = date(1998, 1, 4)
    desk.members(DAY, BOB)
    desk.letters(earlier, ("00002", "Yours, Bob"), ("00002", "Nobody is named"))
    desk.letters(DAY, ("00001", "Yours, Ann"), ("00001", "No name here"), ("00002", "Ann and Bob"))
    desk.night()
    assert bodies()[1] in {"Yours, Ann", "Yours, <NAME>"}

    late = date(1998, 1, 12)
    desk.members(late, ANN, BOB)
    assert "delivery not read yet" in desk.stale().values()
    desk.night()
    found = rows_of("select body, known_at from raw.letters where written_on = %s order by letter_id", DAY)
    came, arrived = datetime(1998, 1, 6, 6, tzinfo=UTC), datetime(1998, 1, 13, 1, tzinfo=UTC)
    assert [(r["body"], r["known_at"]) for r in found] == [
        ("Yours, <NAME>", arrived),
        ("No name here", came),
        ("Ann and <NAME>", came),
    ]
    assert desk.stale() == {}
    assert rows_of("select count(*) as n from ops.files where dataset = 'letters'") == [{"n": 2}]


def test_what_is_stale_by_the_vault_says_so_and_another_subjects_file_is_left_alone(desk: Desk) -> None:
    earlier = date(1998, 1, 4)
    desk.members(DAY, BOB)
    desk.letters(earlier, ("00002", "Yours, Bob"))
    desk.letters(DAY, ("00001", "Yours, Ann"))
    desk.night()
    desk.members(date(1998, 1, 12), ANN, BOB)
    run = open_work(None, datasets=["members"]).run
    assert run
    perform(run.run_id, "ingest")
    assert desk.stale()[f"landing/desk/letters/{DAY}.jsonl"] == VAULT_CHANGED
    assert f"landing/desk/letters/{earlier}.jsonl" not in desk.stale()
    before = attempts()
    desk.night()
    after = attempts()
    assert {path for path in before if before[path] != after[path]} == {f"landing/desk/letters/{DAY}.jsonl"}
    (desk.platform.landing / f"desk/letters/{DAY}.jsonl").unlink()
    desk.members(date(1998, 1, 12), BOB, hour=2)
    desk.night()
    assert desk.stale() == {
        f"landing/desk/letters/{DAY}.jsonl": f"held back: {VAULT_CHANGED}, but the file has left landing;"
        " land it again with the same content"
    }


def attempts() -> dict[str, int]:
    return {r["path"]: r["ingest_id"] for r in rows_of("select path, ingest_id from ops.files where path ~ 'letters'")}


def test_a_run_of_the_letters_alone_reads_first_what_tells_of_their_writers(desk: Desk) -> None:
    desk.members(DAY, ANN)
    desk.letters(DAY, ("00001", "Yours, Ann"))
    run = open_work(None, datasets=["letters"]).run
    assert run
    perform(run.run_id, "ingest")
    (subject,) = rows_of("select known from ops.file_subjects")
    assert subject["known"], "the vault knew her"
    assert f"landing/desk/letters/{DAY}.jsonl" not in desk.stale(), "nothing is to be read again"


@pytest.mark.usefixtures("desk")
def test_a_run_of_the_letters_alone_takes_out_the_table_that_tells_of_their_writers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    change_contract(monkeypatch, "members", extract=Extract(table="members", cursor="changed_at"))
    open_work(None, datasets=["letters"])
    with transaction() as connection:
        assert list(failed_extracts(connection)) == ["members"], "it was tried: its database is not known"


def test_a_text_that_the_present_contract_cannot_read_is_not_read_again_for_the_vault(desk: Desk) -> None:
    desk.letters(DAY, ("00001", "Yours, Ann"))
    desk.night()
    letters = source_contracts(["letters"])[0]
    with transaction() as connection:
        (delivery,) = query(connection, "select * from ops.files")
        failed = "update ops.files set failed_version = %s, failure = 'it is torn' where file_id = %s"
        execute(connection, failed, (input_version(letters), delivery["file_id"]))
    desk.members(DAY, ANN)
    desk.night()
    with transaction() as connection:
        assert [d["file_id"] for d in outdated_deliveries(connection, "letters")] == [delivery["file_id"]]
        assert to_ingest(connection, letters) == []
    assert desk.stale() == {delivery["path"]: "held back: it is torn"}


def test_tokens_of_a_column_that_is_tokenised_later_can_be_looked_up(desk: Desk) -> None:
    desk.members(DAY, ANN)
    desk.night()
    with transaction() as connection:
        (record,) = query(connection, "select * from vault.records")
        execute(connection, "update vault.records set tokens = '{}'")  # as under a contract that published none
        again = Record(
            record["record"],
            "members",
            record["subject"],
            True,
            tuple(record["tokens"]),
            bytes(record["sealed"]).decode(),
        )
        add_records(connection, [again])
        assert query(connection, "select tokens from vault.records") == [{"tokens": record["tokens"]}]
        assert len(find_values(connection, record["tokens"][0])) == 1


@pytest.mark.usefixtures("desk")
def test_a_record_that_two_workers_have_sealed_is_kept_once() -> None:
    record = Record(7, "members", None, identifies=False, tokens=("tok_a",), sealed="here")
    with transaction() as connection:
        add_records(connection, [record, replace(record, sealed="there")])
        assert query(connection, "select record, tokens from vault.records") == [{"record": 7, "tokens": ["tok_a"]}]


def test_a_worker_that_finds_no_warehouse_fails_for_now_only(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.letters(DAY, ("00001", LETTER))
    run = open_work(None).run
    assert run

    def astray(contract: Contract) -> Protection:
        made = protection_of(contract)
        return replace(made, warehouse={**made.warehouse, "port": pick_port()})

    monkeypatch.setattr(transform, "protection_of", astray)
    with pytest.raises(TransientFailure, match="does not answer"):
        perform(run.run_id, "ingest")
    assert rows_of("select from ops.files where ingest_id is not null or failure is not null") == []


def test_a_corrected_and_a_withdrawn_profile_count_no_longer(desk: Desk) -> None:
    desk.members(DAY, ANN)
    desk.letters(DAY, ("00001", "Ann or Rosalind?"), ("00001", "Quillfeather"))
    desk.night()
    assert bodies() == {1: "<NAME> or Rosalind?", 2: "<NAME>"}
    desk.members(DAY, ("00001", "Rosalind Quillfeather", *ANN[2:]), hour=9)
    logs = desk.night()
    assert bodies() == {1: "Ann or <NAME>?", 2: "<NAME>"}
    assert changed(logs)["raw.letters"] == 2, "a row that goes, and one that comes"
    known = rows_of("select known_at from raw.letters order by letter_id")
    assert [r["known_at"] for r in known] == [datetime(1998, 1, 6, hour, tzinfo=UTC) for hour in (9, 6)]

    desk.withdraw(f"members/{DAY}.csv")
    desk.night()
    assert bodies() == {1: "Ann or Rosalind?", 2: "Quillfeather"}
    assert {r["known_at"].date() for r in rows_of("select known_at from raw.letters")} == {date(1998, 2, 1)}
    assert desk.stale() == {}


def test_a_text_corrected_in_quarantine_is_redacted_too(desk: Desk, tmp_path: Path) -> None:
    desk.members(DAY, ANN)
    desk.letters(DAY, ("00001", "Yours, Ann"))
    file = desk.platform.landing / f"desk/letters/{DAY}.jsonl"
    good = json.loads(file.read_text())
    file.write_text(json.dumps({**good, "letter_id": "two", "body": LETTER}) + "\n" + file.read_text())
    desk.night()
    (broken,) = rows_of("select raw_text, raw_encrypted from quarantine.rows")
    assert broken["raw_text"] is None
    assert b"Quill" not in bytes(broken["raw_encrypted"])
    mended = tmp_path / "row.txt"
    mended.write_text(
        json.dumps({**good, "letter_id": 2, "customer_id": "00001", "body": "Ann again, 4111111111111111"})
    )
    fix = [
        "quarantine",
        "fix",
        f"landing/desk/letters/{DAY}.jsonl",
        "1",
        "--text-file",
        str(mended),
        "--reason",
        "typo",
    ]
    done = CliRunner().invoke(build_app(), fix)
    assert done.exit_code == 0, done.output
    desk.night()
    assert bodies() == {1: "Yours, <NAME>", 2: "<NAME> again, <CARD>"}
    desk.members(date(1998, 1, 12), ("00001", "Rosalind Quillfeather", *ANN[2:]))
    desk.night()
    assert bodies() == {1: "Yours, <NAME>", 2: "<NAME> again, <CARD>"}
    assert desk.stale() == {}


@pytest.mark.usefixtures("desk")
def test_no_role_but_the_steward_reads_the_vault() -> None:
    tables = ("vault.records", "vault.held_records", "vault.live_records", "ops.vault_accesses", "ops.file_subjects")
    for role, table in product(("analyst", "developer", "serving", "training"), tables):
        connection = open_connection(role)
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            query(connection, f"select * from {table}")
        connection.close()
    with transaction("steward") as connection:
        query(connection, "select * from vault.records")


def test_no_plain_value_stands_in_lake_logs_or_warehouse(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.members(DAY, ANN, ("1", *ANN[1:]))
    desk.letters(DAY, ("00001", LETTER), ("00001", "one\u0000" + LETTER))
    desk.night()
    state = get_settings().state_dir
    files = [f for f in state.rglob("*") if f.is_file() and not f.is_relative_to(desk.platform.landing)]
    assert any(f.suffix == ".parquet" for f in files)
    for file in files:
        assert not found_in(file.read_bytes()), file
    assert not list(state.rglob("*month=account/*.parquet"))
    tables = rows_of(
        "select schemaname, tablename from pg_tables where schemaname not in ('pg_catalog', 'information_schema')"
    )
    assert {"schemaname": "vault", "tablename": "records"} in tables
    with transaction() as connection, connection.cursor() as cursor:
        for table in tables:
            text = io.BytesIO()
            cursor.copy_expert('copy (select * from "{schemaname}"."{tablename}") to stdout'.format(**table), text)
            assert not found_in(text.getvalue()), table
    assert not found_in(caplog.text.encode())
    assert len(rows_of("select from vault.records")) == 2


def found_in(data: bytes) -> list[str]:
    return [text for text in PLAIN if text.encode() in data]


def test_with_another_key_nothing_is_redacted_as_if_nothing_were_known(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.members(DAY, ANN)
    desk.night()
    desk.letters(DAY, ("00001", LETTER))
    monkeypatch.setenv("VAULT_KEY", "A" * 43 + "=")
    get_settings.cache_clear()
    run = open_work(None).run
    assert run
    with pytest.raises(InputError, match="another VAULT_KEY"):
        perform(run.run_id, "ingest")
    assert rows_of("select from ops.files where dataset = 'letters' and ingest_id is not null") == []


def test_an_attempt_that_is_killed_before_it_counts_leaves_no_trace(desk: Desk, tmp_path: Path) -> None:
    desk.members(DAY, ANN)
    desk.letters(DAY, ("00001", LETTER))
    run = open_work(None).run
    assert run
    ended = run_forked(die_before_it_counts, run.run_id, said=tmp_path / "said")
    assert ended == -signal.SIGKILL, (tmp_path / "said").read_text()
    assert not found_in((tmp_path / "said").read_bytes())
    assert rows_of("select from vault.records") == []
    assert list(Path(get_settings().lake).rglob("month=account/*.parquet")), "it had been written"
    desk.night()
    assert bodies()[1].endswith("Yours, <NAME>")
    assert len(rows_of("select * from vault.live_records")) == 2
    assert desk.stale() == {}


def die_before_it_counts(run_id: str) -> None:
    """Takes the step `ingest`, and dies in the transaction that makes the first reading count."""

    def die(*_arguments: Any, **_options: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    ingest.mark_live = die
    perform(run_id, "ingest")
