"""Migrations: a warehouse that an older version filled loses nothing; one that is cut off leaves the version before."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from data_platform.contracts.load import get_contracts
from data_platform.failures import PermanentFailure
from data_platform.ledger import fingerprints, input_version, live_attempts, to_ingest
from data_platform.local.postgres import EmbeddedPostgres
from data_platform.local.processes import wait_until
from data_platform.staleness import find_stale, stale_days
from data_platform.warehouse.connection import Connection, execute, open_connection, query, transaction
from data_platform.warehouse.migrate import MIGRATIONS, applied_migrations, migrate, read_migrations
from tests.conftest import Platform, make_platform

pytestmark = pytest.mark.integration
NEWEST = len(read_migrations())
DERIVES_STATES, NAMES_KEYS, ROLLS_BACK, DATES_READ_SETS, HIDES_UNDONE = 6, 3, 5, 7, 14
DAY, LATER = date(1998, 1, 5), date(1998, 1, 6)
ARRIVED = datetime(1998, 1, 7, 1, tzinfo=UTC)

# path, content, state, attempt, failure: deliveries as an older version marked them, in the order in which they came.
DELIVERIES = (
    ("single", "a", "live", 1, None),
    ("corrected", "b", "superseded", 1, None),
    ("corrected", "c", "live", 2, None),
    ("broken then corrected", "d", "superseded", None, "line 3: no date"),
    ("broken then corrected", "e", "live", 3, None),
    ("copy of single", "a", "duplicate", None, None),
    ("correction waits", "f", "live", 1, None),
    ("correction waits", "g", "new", None, None),
    ("correction is broken", "h", "live", 1, None),
    ("correction is broken", "i", "failed", None, "line 7: no amount"),
    ("never read", "j", "failed", None, "line 1: no header"),
    ("waits", "k", "new", None, None),
    ("copy of waits", "k", "duplicate", None, None),
    ("withdrawn", "l", "withdrawn", 1, None),
    ("withdrawn before it was read", "m", "withdrawn", None, None),
)


@pytest.fixture
def bare(postgres: EmbeddedPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    """A platform whose warehouse no migration has touched."""
    for platform in make_platform(postgres, tmp_path, monkeypatch, today=date(1998, 1, 7)):
        with transaction() as connection:
            execute(connection, "drop owned by current_user cascade")
        yield platform


def migrations_until(number: int, folder: Path) -> Path:
    """A checkout of an older version, as far as migrations go."""
    folder.mkdir()
    for file in sorted(MIGRATIONS.glob("*.sql"))[:number]:
        shutil.copy(file, folder)
    return folder


def fill(connection: Connection, version: int) -> None:
    """What a platform of that version has after some nights; DAY and LATER are published."""
    _fill_ledger(connection, version)
    execute(
        connection,
        """
        insert into ops.runs (run_id, kind, through_day, state, read_set) values
            ('one', 'run', %(day)s, 'published', '{"raw.purchases": 0}'),
            ('two', 'run', %(later)s, 'failed', '{"raw.purchases": 1}'),
            ('three', 'run', %(later)s, 'open', '{"raw.purchases": 1}');
        insert into ops.run_steps (run_id, step, state, rows_read, rows_live, rows_quarantined, seconds) values
            ('one', 'ingest', 'done', 9, 8, 1, 1.5);
        insert into ops.gate_results
            (run_id, gate, relation, rule_id, severity, passed, rows_checked, expected, reason)
        values ('one', 'stage', 'raw.purchases', 'amount', 'error', true, 8, '>= 0', 'a price is not negative');
        insert into ops.publications (run_id, through_day, read_set, input_files) values
            ('one', %(later)s, '{"raw.purchases": 0}', '{"purchases": [[1, 1]]}');
        insert into ops.publication_tables values (1, 'raw.purchases', 8, 0, 0, 8, '{"amount_usd": 12.50}');
        insert into ops.before_images (publication_id, table_name, op, row_key, before) values
            (1, 'raw.purchases', 'U', '{"row_id": 1}', '{"row_id": 1, "amount_usd": 7.77}');
        insert into ops.published_tables (table_name, publication_id, code_hash, through_day, rows, sums) values
            ('raw.purchases', 1, 'code', %(later)s, 8, '{"amount_usd": 12.50}');
        insert into ops.contracts (dataset, contract_hash, document, publication_id) values ('purchases', 'h', '{}', 1);
        insert into ops.exports (publication_id, target, state) values (1, 'a', 'waiting'), (1, 'b', 'done');
        """,
        {"day": DAY, "later": LATER},
    )
    for day, fingerprint in published(connection, version).items():
        execute(connection, "insert into ops.published_days values ('raw.purchases', %s, %s, 1)", (day, fingerprint))
    if version >= NAMES_KEYS:
        execute(
            connection,
            "insert into ops.unknown_keys values ('raw.customers', %s, '{\"customer_id\": \"7\"}', 1)",
            (DAY,),
        )
    if version >= ROLLS_BACK:
        execute(
            connection, "insert into ops.rollbacks (publication_id, reason, released_at) values (1, 'cents', now())"
        )
        execute(connection, "insert into ops.holds values (1, 'raw.purchases', %s, null)", (DAY,))


def _fill_ledger(connection: Connection, version: int) -> None:
    current = input_version(get_contracts()["purchases"])
    for number, (path, content, state, attempt, failure) in enumerate(DELIVERIES, start=1):
        is_read = attempt is not None
        values: dict[str, Any] = {
            "dataset": "purchases",
            "path": f"landing/shop/{path}",
            "sha256": content,
            "size_bytes": 10,
            "modified_ns": number,
            "arrived_at": ARRIVED,
            "ingest_id": attempt,
            "input_version": current if is_read or failure else None,
            "rows_read": 3 if is_read else None,
            "rows_live": 2 if is_read else None,
            "rows_quarantined": 1 if is_read else None,
            "failure": failure,
        }
        if version < DERIVES_STATES:
            values["state"] = state
        elif failure and not is_read:
            values |= {"failed_version": current, "input_version": None}
        columns = ", ".join(values)
        execute(
            connection,
            f"insert into ops.files ({columns}) values ({', '.join(f'%({name})s' for name in values)})",
            values,
        )
        if is_read:
            days = "insert into ops.file_days values (%(n)s, %(day)s, 1, %(n)s), (%(n)s, %(later)s, 1, %(n)s * 100)"
            execute(connection, days, {"n": number, "day": DAY, "later": LATER})
            row = "insert into quarantine.rows (dataset, file_id, line, rule, raw_text) values (%s, %s, 3, 'r', 'x')"
            execute(connection, row, ("purchases", number))
        if state == "withdrawn" and version >= DERIVES_STATES:
            execute(connection, "insert into ops.withdrawals values (%s, 'wrong till', %s)", (number, ARRIVED))


def published(connection: Connection, version: int) -> dict[date, str]:
    """Day to fingerprint, as the platform of that version published it: of the deliveries that were live."""
    live = [n for n, (_, _, state, _, _) in enumerate(DELIVERIES, start=1) if state == "live"]
    current = input_version(get_contracts()["purchases"])
    return {
        DAY: f"{current}:{len(live)}:{sum(live)}",
        LATER: f"{current}:{len(live)}:{sum(n * 100 for n in live)}",
    }


def contents(connection: Connection) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table that migrations make."""
    tables = query(
        connection,
        """select format('%I.%I', schemaname, tablename) as name from pg_tables
           where schemaname in ('ops', 'quarantine') order by 1""",
    )
    return {t["name"]: query(connection, f"select * from {t['name']} order by 1, 2") for t in tables}


def states(connection: Connection) -> list[tuple[str, str, str]]:
    """Path, content and state of each delivery, in the order in which they came."""
    rows = query(connection, "select path, sha256, state from ops.deliveries order by file_id")
    return [(r["path"].removeprefix("landing/shop/"), r["sha256"], r["state"]) for r in rows]


@pytest.mark.parametrize("version", range(1, NEWEST))
def test_a_filled_warehouse_of_any_version_loses_nothing(bare: Platform, tmp_path: Path, version: int) -> None:
    migrate(migrations_until(version, tmp_path / "older"))
    with transaction() as connection:
        fill(connection, version)
        before = contents(connection)
    assert len(migrate()) == NEWEST - version
    with transaction() as connection:
        assert len(applied_migrations(connection)) == NEWEST
        after = contents(connection)
        assert states(connection) == [(path, content, state) for path, content, state, _, _ in DELIVERIES]
        purchases = get_contracts()["purchases"]
        assert fingerprints(connection, purchases) == published(connection, version)
        assert stale_days(connection, purchases) == {}
        assert {a[1] for a in live_attempts(connection, "purchases", [DAY])} == {1, 2, 3}
        assert [d.path for d in to_ingest(connection, purchases)] == [
            "landing/shop/correction waits",
            "landing/shop/waits",
        ]
        held = {s.what for s in find_stale(connection, LATER, ["purchases"]) if s.reason.startswith("held back: line")}
        assert held == {"landing/shop/correction is broken", "landing/shop/never read"}
    for table, rows in before.items():
        for old, new in zip(rows, after[table], strict=True):
            expected = as_migrated(table, old, version)
            assert {name: new[name] for name in expected} == expected, table


def test_the_history_of_an_older_version_is_told_without_what_is_undone_since(bare: Platform, tmp_path: Path) -> None:
    migrate(migrations_until(HIDES_UNDONE - 1, tmp_path / "older"))
    with transaction() as connection:
        fill(connection, HIDES_UNDONE - 1)
        execute(connection, "create table features.ftr_history as select generate_series(1, 2) as publication_id")
        execute(connection, "grant select on features.ftr_history to training")
    migrate()

    def told() -> list[int]:
        with transaction("training") as connection:
            return [r["publication_id"] for r in query(connection, "table features.ftr_history")]

    assert told() == [1, 2]
    with transaction() as connection:
        execute(connection, "update ops.rollbacks set undone_by = 1 where publication_id = 1")
    assert told() == [2]


def as_migrated(table: str, row: dict[str, Any], version: int) -> dict[str, Any]:
    """A row of an older version as the newest should have it, in the columns that it had."""
    row = dict(row)
    if table == "ops.files" and version < DERIVES_STATES and row.pop("state") == "failed":
        row |= {"failed_version": row["input_version"], "input_version": None}
    if table == "ops.runs" and version < DATES_READ_SETS and row["state"] != "published":
        row["read_set"] = {}
    return row


def test_a_withdrawn_correction_does_not_bring_back_what_it_corrected(bare: Platform, tmp_path: Path) -> None:
    marked = [("wrong, then withdrawn", "a", "superseded", 1), ("wrong, then withdrawn", "b", "withdrawn", 2)]
    migrate(migrations_until(DERIVES_STATES - 1, tmp_path / "older"))
    with transaction() as connection:
        mark(connection, marked)
    migrate()
    with transaction() as connection:
        assert [state for _, _, state in states(connection)] == ["withdrawn", "withdrawn"]


def test_what_was_marked_wrongly_counts_again(bare: Platform, tmp_path: Path) -> None:
    """Rows were lost when a file was corrected that another copied, and when a new contract could not read one."""
    marked = [
        ("first", "a", "superseded", 1),
        ("copy", "a", "duplicate", None),
        ("first", "b", "live", 2),
        ("of an older contract", "c", "failed", 3),
    ]
    migrate(migrations_until(DERIVES_STATES - 1, tmp_path / "older"))
    with transaction() as connection:
        mark(connection, marked)
    migrate()
    with transaction() as connection:
        assert states(connection) == [
            ("first", "a", "live"),
            ("copy", "a", "new"),
            ("first", "b", "live"),
            ("of an older contract", "c", "live"),
        ]


def mark(connection: Connection, deliveries: list[tuple[str, str, str, int | None]]) -> None:
    """Deliveries as a version marked them that kept states."""
    for number, (path, content, state, attempt) in enumerate(deliveries, start=1):
        execute(
            connection,
            """insert into ops.files (dataset, path, sha256, size_bytes, modified_ns, arrived_at, state, ingest_id)
               values ('purchases', %s, %s, 10, %s, %s, %s, %s)""",
            (f"landing/shop/{path}", content, number, ARRIVED, state, attempt),
        )


def test_a_migration_that_is_killed_leaves_the_version_before_it(bare: Platform, tmp_path: Path) -> None:
    """It is killed in the middle: it has made a table, and waits for a lock on another that somebody reads."""
    migrate(migrations_until(DERIVES_STATES - 1, tmp_path / "older"))
    with closing(open_connection()) as reader:
        query(reader, "select from ops.files")
        code = "from data_platform.warehouse.migrate import migrate; migrate()"
        process = subprocess.Popen([sys.executable, "-c", code])
        try:
            assert wait_until(is_waiting, 20)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
    assert wait_until(lambda: not is_waiting(), 20)
    with transaction() as connection:
        assert max(applied_migrations(connection)) == DERIVES_STATES - 1
        (made,) = query(connection, "select to_regclass('ops.withdrawals') as name")
    assert made["name"] is None
    assert len(migrate()) == NEWEST - DERIVES_STATES + 1


def is_waiting() -> bool:
    with transaction() as connection:
        rows = query(
            connection,
            "select from pg_stat_activity where application_name = 'dp migrate' and datname = current_database()",
        )
        waits = query(connection, "select from pg_locks where not granted and relation = to_regclass('ops.files')")
    return bool(rows and waits)


def test_a_warehouse_that_is_newer_than_the_checkout_is_left_alone(platform: Platform, tmp_path: Path) -> None:
    with transaction() as connection:
        before = applied_migrations(connection)
    with pytest.raises(PermanentFailure, match=rf"newer than this checkout, which does not know {NEWEST:04d}_\w+\.sql"):
        migrate(migrations_until(NEWEST - 1, tmp_path / "older"))
    with transaction() as connection:
        assert applied_migrations(connection) == before


def test_a_migration_that_was_edited_is_refused(platform: Platform, tmp_path: Path) -> None:
    edited = migrations_until(NEWEST, tmp_path / "edited")
    first = next(edited.glob("0001_*.sql"))
    first.write_text(first.read_text() + "\n-- on second thoughts\n")
    with pytest.raises(PermanentFailure, match=rf"{first.name} was edited after it was applied"):
        migrate(edited)


def test_numbers_of_migrations_run_without_a_gap(tmp_path: Path) -> None:
    folder = migrations_until(3, tmp_path / "gap")
    next(folder.glob("0002_*.sql")).unlink()
    with pytest.raises(PermanentFailure, match="are not numbered"):
        read_migrations(folder)
