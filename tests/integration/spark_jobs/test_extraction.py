"""Tables of another database as sources: what is in landing, and then staged, is what the table holds."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from typer.testing import CliRunner

from data_platform import extraction
from data_platform.cli.main import build_app
from data_platform.contracts.load import get_contracts
from data_platform.extraction import Extracted, extract
from data_platform.failures import InputError, TransientFailure
from data_platform.intervals import Interval
from data_platform.local.postgres import EmbeddedPostgres
from data_platform.orchestrate import held_back, open_work
from data_platform.staleness import is_work
from data_platform.steps import perform
from data_platform.warehouse.connection import execute, query, transaction
from tests.conftest import Platform, forget_settings
from tests.contracts import change_contract

pytestmark = [pytest.mark.integration]
PROJECT = Path(__file__).parent / "project"
DAYS = [date(1998, 1, day) for day in range(26, 31)]
TABLE = """
    create schema desk;
    create table desk.calls (
        id bigint primary key, called_at timestamptz, topic text, refund_usd numeric, is_solved boolean,
        updated_at timestamptz not null default clock_timestamp()
    )
"""


@pytest.fixture
def crm(platform: Platform, postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    """The source's database, with its table empty; settings know of it."""
    name = f"{platform.database}_crm"
    administrator = postgres.connect()
    administrator.autocommit = True
    execute(administrator, f"create database {name}")
    password = postgres.superuser_password.get_secret_value()
    url = f"postgresql://postgres:{password}@127.0.0.1:{postgres.port}/{name}"
    monkeypatch.setenv("SOURCE_URLS", json.dumps({"crm": url}))
    monkeypatch.setenv("PROJECT_ROOT", str(PROJECT))
    forget_settings()
    source = psycopg2.connect(url)
    source.autocommit = True
    execute(source, TABLE)
    yield source
    source.close()
    execute(administrator, f"drop database {name} with (force)")
    administrator.close()


def call(crm: Connection, number: int, day: date | None, **more: Any) -> None:
    row = {"topic": "late", "refund_usd": Decimal("1.500"), "is_solved": True} | more
    at = f"{day} 23:59:59.123456+00" if day else None
    execute(
        crm,
        """insert into desk.calls (id, called_at, topic, refund_usd, is_solved) values (%s, %s, %s, %s, %s)
           on conflict (id) do update set called_at = excluded.called_at, topic = excluded.topic,
               refund_usd = excluded.refund_usd, is_solved = excluded.is_solved, updated_at = clock_timestamp()""",
        (number, at, row["topic"], row["refund_usd"], row["is_solved"]),
    )


def take_out(*, compare: bool = False) -> Extracted:
    return extract(get_contracts()["calls"], compare=compare)


def in_landing(platform: Platform) -> dict[str, set[int]]:
    """File to the calls in it."""
    files = sorted((platform.landing / "crm/calls").glob("*.jsonl"))
    return {f.stem: {int(json.loads(line)["call_id"]) for line in f.read_text().splitlines()} for f in files}


def in_table(crm: Connection) -> dict[str, set[int]]:
    rows = query(crm, "select coalesce(called_at::date::text, 'without-day') as day, array_agg(id) as ids"
                      " from desk.calls group by 1")  # fmt: skip
    return {r["day"]: set(r["ids"]) for r in rows}


def not_empty(files: dict[str, set[int]]) -> dict[str, set[int]]:
    return {day: ids for day, ids in files.items() if ids}


@pytest.mark.usefixtures("spark_server")
def test_every_value_comes_as_it_stands(platform: Platform, crm: Connection) -> None:
    odd = ["", "\\N", "null", 'two\nlines "quoted", and a comma', "é\t", None]
    for number, topic in enumerate(odd):
        call(
            crm,
            number,
            DAYS[-1],
            topic=topic,
            refund_usd=Decimal(f"0.{number}00"),
            is_solved=[True, False, None][number % 3],
        )
    call(crm, 99, None)
    run = open_work(Interval.of_day(DAYS[-1])).run
    assert run
    for step in ("ingest", "gate:ingest", "stage", "gate:stage"):
        perform(run.run_id, step)
    with transaction() as connection:
        staged = query(connection, f'select * from "run_{run.run_id}".calls__new order by call_id')
        failed = query(connection, "select path, failure from ops.deliveries where failure is not null")
    assert [row["topic"] for row in staged] == odd
    assert [str(row["refund_usd"]) for row in staged] == [f"0.{n}00" for n in range(6)]
    assert [row["is_solved"] for row in staged] == [True, False, None] * 2
    assert {row["called_at"].isoformat() for row in staged} == {f"{DAYS[-1]}T23:59:59.123456+00:00"}
    assert [r["path"] for r in failed] == ["landing/crm/calls/without-day.jsonl"]
    assert "1 of 1 rows are broken" in failed[0]["failure"]
    assert "rule required of called_at" in failed[0]["failure"]
    mode = (platform.landing / "crm/calls" / f"{DAYS[-1]}.jsonl").stat().st_mode
    assert mode & 0o077 == 0, "it may hold personal data"


def test_only_days_that_differ_are_written_again(platform: Platform, crm: Connection) -> None:
    for number, day in enumerate(DAYS):
        call(crm, number, day)
    assert take_out() == Extracted("calls", len(DAYS), len(DAYS))
    assert in_landing(platform) == in_table(crm)
    assert take_out() == Extracted("calls", 0, 0)
    call(crm, 0, DAYS[0], topic="corrected")
    call(crm, 7, DAYS[2])
    assert take_out() == Extracted("calls", 2, 3)
    assert in_landing(platform) == in_table(crm)
    execute(crm, "update desk.calls set updated_at = clock_timestamp()")
    assert take_out() == Extracted("calls", 0, 0), "nothing that the contract names has changed"


def test_deleted_and_moved_rows_are_found_when_all_days_are_compared(platform: Platform, crm: Connection) -> None:
    for number, day in enumerate(DAYS):
        call(crm, number, day)
    take_out()
    execute(crm, "delete from desk.calls where id = 0")
    call(crm, 1, DAYS[4])
    take_out()
    assert in_landing(platform)[str(DAYS[0])] == {0}
    with transaction() as connection:
        execute(connection, "update ops.extracts set compared_at = compared_at - interval '8 days'")
    take_out()
    assert in_landing(platform)[str(DAYS[0])] == set()
    assert not_empty(in_landing(platform)) == in_table(crm)
    execute(crm, "delete from desk.calls")
    done = CliRunner().invoke(build_app(), ["extract", "--dataset", "calls", "--compare", "--json"])
    assert json.loads(done.stdout) == [{"dataset": "calls", "days": 3, "rows": 0}]
    assert not_empty(in_landing(platform)) == {}


def test_a_transaction_that_ends_late_is_seen_within_the_overlap(platform: Platform, crm: Connection) -> None:
    call(crm, 1, DAYS[0])
    execute(
        crm,
        "insert into desk.calls (id, called_at, updated_at) values (2, %s, now() + interval '1 minute')",
        (DAYS[0],),
    )
    take_out()
    call(crm, 3, DAYS[1])
    take_out()
    assert in_landing(platform) == in_table(crm)


@pytest.mark.parametrize("seed", range(4))
def test_under_concurrent_writes_it_converges_to_the_table(
    seed: int, platform: Platform, crm: Connection, postgres: EmbeddedPostgres
) -> None:
    stop = threading.Event()

    def write() -> None:
        luck = random.Random(seed)  # noqa: S311 - not for secrets
        writer = psycopg2.connect(crm.dsn, password=postgres.superuser_password.get_secret_value())
        writer.autocommit = True
        while not stop.is_set():
            number = luck.randrange(60)
            if luck.random() < 0.3:
                execute(writer, "delete from desk.calls where id = %s", (number,))
            else:
                call(writer, number, luck.choice([*DAYS, None]), topic=str(luck.random()))
        writer.close()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(8):
            take_out()
    finally:
        stop.set()
        thread.join()
    take_out(compare=True)
    assert not_empty(in_landing(platform)) == in_table(crm)
    assert take_out(compare=True).days == 0


@pytest.mark.parametrize("killed_after", range(3))
def test_a_kill_in_the_middle_loses_and_doubles_nothing(
    killed_after: int, platform: Platform, crm: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, day in enumerate(DAYS):
        call(crm, number, day)
    take_out()
    for number, day in enumerate(DAYS):
        call(crm, number + 10, day)
    write, written = extraction._write_file, []

    def write_or_die(file: Path, rows: Any) -> None:
        if len(written) == killed_after:
            raise KeyboardInterrupt
        written.append(file)
        write(file, rows)

    with monkeypatch.context() as patch:
        patch.setattr(extraction, "_write_file", write_or_die)
        with pytest.raises(KeyboardInterrupt):
            take_out()
    take_out()
    assert in_landing(platform) == in_table(crm)


def test_a_file_that_was_taken_out_of_landing_comes_again(platform: Platform, crm: Connection) -> None:
    call(crm, 1, DAYS[0])
    take_out()
    (platform.landing / "crm/calls" / f"{DAYS[0]}.jsonl").unlink()
    take_out(compare=True)
    assert in_landing(platform) == in_table(crm)


def test_a_row_that_came_with_a_kill_and_went_before_the_next_run_leaves_no_trace(
    platform: Platform, crm: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    call(crm, 1, DAYS[0])
    take_out()
    call(crm, 2, DAYS[0])

    def note_or_die(connection: Any, contract: Any, days: dict[Any, Any]) -> None:
        if extraction.UNKNOWN not in days.values():
            raise KeyboardInterrupt
        note(connection, contract, days)

    note = extraction._note_days
    with monkeypatch.context() as patch:
        patch.setattr(extraction, "_note_days", note_or_die)
        with pytest.raises(KeyboardInterrupt):
            take_out()
    execute(crm, "delete from desk.calls where id = 2")
    take_out()
    assert in_landing(platform) == in_table(crm)


def test_a_contract_that_names_other_columns_takes_all_days_out_again(
    platform: Platform, crm: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, day in enumerate(DAYS):
        call(crm, number, day)
    take_out()
    contract = get_contracts()["calls"]
    renamed = tuple(c.model_copy(update={"name": "subject", "physical_name": "topic"}) if c.name == "topic" else c
                    for c in contract.columns)  # fmt: skip
    change_contract(monkeypatch, "calls", columns=renamed)
    assert take_out().days == len(DAYS)
    assert "subject" in (platform.landing / "crm/calls" / f"{DAYS[0]}.jsonl").read_text()


def test_a_day_whose_file_and_rows_are_gone_is_emptied(platform: Platform, crm: Connection) -> None:
    call(crm, 1, DAYS[0])
    take_out()
    (platform.landing / "crm/calls" / f"{DAYS[0]}.jsonl").unlink()
    execute(crm, "delete from desk.calls")
    take_out()
    assert in_landing(platform) == {str(DAYS[0]): set()}


def test_times_that_are_none_are_kept_as_the_source_has_them(platform: Platform, crm: Connection) -> None:
    for number, at in enumerate(("infinity", "20260-01-01", "0044-03-15 BC", None)):
        execute(crm, "insert into desk.calls (id, called_at) values (%s, %s)", (number, at))
    take_out()
    assert in_landing(platform) == {"without-day": {0, 1, 2, 3}}
    text = (platform.landing / "crm/calls/without-day.jsonl").read_text()
    assert '"called_at": "infinity"' in text
    assert "20260-01-01" in text
    assert " BC" in text


@pytest.mark.parametrize("cursor", ["id", "updated_at", "called_at"])
def test_a_cursor_may_be_a_number_or_a_time_to_come(
    cursor: str, platform: Platform, crm: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract_by = get_contracts()["calls"].extract
    assert extract_by
    change_contract(monkeypatch, "calls", extract=extract_by.model_copy(update={"cursor": cursor}))
    execute(crm, "insert into desk.calls (id, called_at, updated_at) values (1, '9000-01-01', 'infinity')")
    take_out()
    call(crm, 2, DAYS[0])
    if cursor == "called_at":
        execute(crm, "update desk.calls set called_at = now() where id = 2")
    take_out()
    assert in_landing(platform) == in_table(crm)


def test_what_is_wrong_with_the_source_is_one_message(
    platform: Platform, crm: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute(crm, 'alter table desk.calls rename column topic to "100%%"')
    with pytest.raises(InputError, match=r"source 'crm', desk\.calls: there is no column topic"):
        take_out()
    execute(crm, "drop table desk.calls")
    with pytest.raises(InputError, match=r"desk\.calls: there is no such table that its user may read"):
        take_out()
    for urls, kind, says in (
        ('{"crm": "postgresql://nobody:secret@127.0.0.1:1/crm"}', TransientFailure, "source 'crm' does not answer"),
        ("{}", InputError, "the database of source 'crm' is not known"),
        ('{"crm": "mysql://secret@x/y"}', InputError, "SOURCE_URLS.*crm must look like postgresql"),
        ('{"crm": "postgresql://u:p%zzsecret@x/y"}', InputError, "SOURCE_URLS.*crm must look like postgresql"),
        ('{"crm": "postgresql://u:[secret]@x/y"}', InputError, "SOURCE_URLS.*crm must look like postgresql"),
        ('{"crm": secret}', InputError, "SOURCE_URLS is no JSON object"),
    ):
        monkeypatch.setenv("SOURCE_URLS", urls)
        forget_settings()
        with pytest.raises(kind, match=says) as failure:
            take_out()
        assert "secret" not in str(failure.value)


def test_a_source_that_does_not_answer_holds_back_nothing_but_itself(
    platform: Platform, crm: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_URLS", '{"crm": "postgresql://nobody@127.0.0.1:1/crm"}')
    forget_settings()
    opened = open_work(Interval.of_day(DAYS[0]))
    assert opened.run
    (told,) = [s for s in opened.stale if s.table == "raw.calls" and not is_work(s)]
    assert "held back: the database of source 'crm' does not answer" in told.reason
    with transaction() as connection:
        assert any("does not answer" in said for said in held_back(connection, opened.run))


def test_a_dry_run_takes_nothing_out(platform: Platform, crm: Connection) -> None:
    call(crm, 1, DAYS[0])
    open_work(None, dry_run=True)
    assert in_landing(platform) == {}
