"""Files → lake → staging, with a real Spark, a real Delta table and a real Postgres, on a small shop."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from deltalake import DeltaTable

from data_platform import lake
from data_platform.contracts.load import get_contracts
from data_platform.failures import PermanentFailure
from data_platform.intervals import Interval
from data_platform.ledger import fingerprints
from data_platform.local.postgres import EmbeddedPostgres
from data_platform.orchestrate import open_work
from data_platform.privacy import decrypt, pseudonym, quarantine_key
from data_platform.runs import Run, StepLog
from data_platform.steps import perform
from data_platform.warehouse.connection import query, transaction
from sample_company.manifest import Manifest
from sample_company.scan import CanaryScanner
from sample_company.small import land_small_shop, small_shop
from spark_jobs import ingest
from tests.conftest import Platform, make_platform

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("spark_server")]

START, DAYS = date(1997, 1, 1), 16
END = START + timedelta(days=DAYS)
RULES_OF_KIND = {
    "bad_date": {"type"},
    "missing_key": {"required", "fields"},
    "bad_key": {"pattern"},
    "negative_count": {"range"},
    "out_of_range": {"range"},
    "wrong_field_count": {"fields"},
    "invalid_utf8": {"encoding"},
    "unknown_country": {"allowed"},
    "unknown_gender": {"allowed"},
}


@pytest.fixture
def home(postgres: EmbeddedPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    """An empty platform on the day after the small shop's last."""
    yield from make_platform(postgres, tmp_path, monkeypatch, today=END)


@pytest.fixture
def manifest(home: Platform) -> Manifest:
    """The small shop's files, landed."""
    return land_small_shop(home.landing, days=DAYS)


def open_run(*asked: date) -> Run:
    run = open_work(Interval(*asked) if asked else None, kind="test").run
    assert run is not None
    return run


def take(*steps: str) -> dict[str, StepLog]:
    """Takes steps of a new run."""
    run = open_run()
    return {step: perform(run.run_id, step) for step in steps}


def rows_of(sql: str, *parameters: Any) -> list[dict[str, Any]]:
    with transaction() as connection:
        return query(connection, sql, parameters)


def staged(run: Run, dataset: str, *without: str) -> list[tuple[Any, ...]]:
    rows = rows_of(f"select * from {run.schema}.{dataset}__new order by row_id")
    return [tuple(v for k, v in row.items() if k not in without) for row in rows]


def day_fingerprints(dataset: str) -> dict[date, str]:
    with transaction() as connection:
        return fingerprints(connection, get_contracts()[dataset])


def test_every_planted_row_is_in_quarantine_and_every_row_is_accounted_for(home: Platform, manifest: Manifest) -> None:
    log = take("ingest")["ingest"]

    found = rows_of("select path, line, rule, column_name from quarantine.rows join ops.files using (file_id)")
    planted = {(f"landing/{entry.path}", b.line): b for entry in manifest for b in entry.broken_lines}
    assert len(planted) == len(found) >= 9, "the shop must plant rows, or nothing is tested"
    for row in found:
        broken = planted[row["path"], row["line"]]
        assert row["rule"] in RULES_OF_KIND[broken.kind]
        assert row["column_name"] == broken.rule
    files = {r["path"]: r for r in rows_of("select * from ops.deliveries")}
    for entry in manifest:
        file = files[f"landing/{entry.path}"]
        assert (file["state"], file["rows_read"]) == ("live", entry.rows)
        assert file["rows_live"] == entry.rows - len(entry.broken_lines)
    totals = {line["subject"]: line["rows_live"] for line in log.lines}
    assert sum(totals.values()) == sum(e.rows - len(e.broken_lines) for e in manifest)


def test_quarantine_keeps_the_raw_text_and_encrypts_it_where_it_is_personal(home: Platform, manifest: Manifest) -> None:
    take("ingest")
    for row in rows_of(
        "select path, line, dataset, raw_text, raw_encrypted"
        " from quarantine.rows join ops.files using (dataset, file_id)"
    ):
        file = home.landing / Path(row["path"]).relative_to("landing")
        text = file.read_bytes().decode(errors="backslashreplace")
        if row["dataset"] == "customers":
            raw = decrypt(bytes(row["raw_encrypted"]), quarantine_key())
        else:
            raw = row["raw_text"]
        assert text.split("\n")[row["line"] - 1].rstrip("\r") == raw.split("\n")[0].rstrip("\r")
        assert raw in text


def test_the_lake_holds_safe_rows_sorted_by_day_with_statistics_of_days_and_ids_alone(
    home: Platform, manifest: Manifest
) -> None:
    take("ingest")
    for dataset, forbidden in (
        ("customers", {"full_name", "email", "phone", "birth_date", "street", "city"}),
        ("purchases", set()),
    ):
        contract = get_contracts()[dataset]
        table = DeltaTable(lake.table_url(dataset))
        names = {f.name for f in table.schema().fields}
        assert not names & forbidden
        assert {c.name for c in contract.published_columns} < names
        metadata = table.history(1)[0]
        assert {"run_id", "ingest_id"} <= metadata.keys()
        for action in pyarrow.table(table.get_add_actions(flatten=True)).to_pylist():
            bounds = {k.removeprefix("min.") for k in action if k.startswith("min.")}
            assert bounds == {"file_id", "ingest_id", contract.day_column}
            rows = pyarrow.parquet.read_table(f"{lake.table_url(dataset)}/{action['path']}", partitioning=None)
            days = rows.column(contract.day_column).to_pylist()
            assert days == sorted(days)
            assert (min(days), max(days)) == (
                action[f"min.{contract.day_column}"],
                action[f"max.{contract.day_column}"],
            )
            assert {f"{d:%Y-%m}" for d in days} == {action["partition.month"]}
        assert not list(Path(lake.table_url(dataset)).rglob("*month=account/*.parquet"))


def test_customers_are_pseudonyms_and_bands(home: Platform) -> None:
    text = (
        "customer_id,full_name,email,phone,birth_date,street,city,gender,country,signed_up_on\n"
        '00001,Ann Example,Ann@Example.org,+1 555 010 2030,1979-01-09,"1 High St\nFlat 2",Leeds,f,GB,1996-05-01\n'
        "00002,Bob Example,,,,,,,US,1996-05-02\n"
        "00003,Cy Example,cy@x.org,,1979-01-08,,,x,US,1996-05-02\n"
    )
    folder = home.landing / "shop" / "customers"
    folder.mkdir(parents=True)
    (folder / "1997-01-08.csv").write_text(text)

    run = open_run()
    perform(run.run_id, "ingest")
    perform(run.run_id, "stage")

    rows = {r["customer_id"]: r for r in rows_of(f"select * from {run.schema}.customers__new")}
    key = bytes(32)
    assert rows["00001"]["email_hash"] == pseudonym("ann@example.org", key)
    assert rows["00001"]["phone_hash"] == pseudonym("15550102030", key)
    assert [rows[c]["age_band"] for c in ("00001", "00002", "00003")] == ["0-17", "unknown", "18-24"]
    assert rows["00002"]["email_hash"] is None
    assert rows["00002"]["gender"] is None
    assert rows["00001"]["extract_day"] == date(1997, 1, 8)


def test_no_canary_is_left_in_lake_scratch_logs_or_ledger(
    home: Platform, manifest: Manifest, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG):
        logs = take("ingest", "stage")
    scanner = CanaryScanner(small_shop(days=DAYS).book.all_canaries(END))
    landed = b"".join(f.read_bytes() for f in (home.landing / "shop" / "customers").iterdir())
    assert scanner.scan(landed), "the canaries must be in what landed, or the scan finds nothing because of itself"

    for file in (home.home / "state").rglob("*"):
        if file.is_file() and not file.is_relative_to(home.landing) and file.suffix != ".jsa":
            assert not scanner.scan(file.read_bytes()), file
            if file.suffix == ".parquet":
                rows = pyarrow.parquet.read_table(file, partitioning=None).to_pylist()
                assert not scanner.scan(repr(rows).encode()), file
    for table in ("ops.files", "ops.file_days", "ops.run_steps", "quarantine.rows"):
        assert not scanner.scan(
            repr(
                [
                    {k: bytes(v) if isinstance(v, memoryview) else v for k, v in r.items()}
                    for r in rows_of(f"select * from {table}")
                ]
            ).encode()
        )
    said = caplog.text + "".join(capfd.readouterr()) + repr(logs)
    assert not scanner.scan(said.encode())


def test_files_in_another_order_or_merged_give_the_same_rows(
    home: Platform, postgres: EmbeddedPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, manifest: Manifest
) -> None:
    first = min((home.landing / "shop" / "purchases").iterdir())
    twice = f" 00001 {first.stem.replace('-', '')}  1   9.99\r\n".encode() * 2
    first.write_bytes(first.read_bytes() + twice)
    run = open_run()
    perform(run.run_id, "ingest")
    perform(run.run_id, "stage")
    expected = {d: (day_fingerprints(d), staged(run, d, "known_at")) for d in ("purchases", "customers")}
    assert any(len({r[1:] for r in rows}) < len(rows) for _, rows in [expected["purchases"]]), "no row equals another"

    for other in make_platform(postgres, tmp_path / "other", monkeypatch, today=END):
        _land_merged_and_reversed(home.landing, other.landing)
        run = open_run()
        perform(run.run_id, "ingest")
        perform(run.run_id, "stage")
        for dataset, (prints, rows) in expected.items():
            assert day_fingerprints(dataset) == prints
            assert staged(run, dataset, "known_at") == rows


def _land_merged_and_reversed(source: Path, target: Path) -> None:
    """All purchases in one file, last line first; each extract of customers with its rows as they were."""
    header, lines = b"", []
    for file in sorted((source / "shop" / "purchases").iterdir()):
        header, *rows = file.read_bytes().splitlines(keepends=True)
        lines += rows
    (target / "shop" / "purchases").mkdir(parents=True)
    (target / "shop" / "purchases" / "everything.txt").write_bytes(header + b"".join(reversed(lines)))
    (target / "shop" / "customers").mkdir()
    for file in (source / "shop" / "customers").iterdir():
        (target / "shop" / "customers" / file.name).write_bytes(file.read_bytes())


PURCHASES_HEADER = " customer_id  date number_of_cds  dollar_value\r\n"


def land_purchases(home: Platform, name: str, *rows: str, header: str = PURCHASES_HEADER) -> None:
    folder = home.landing / "shop" / "purchases"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes((header + "".join(f"{row}\r\n" for row in rows)).encode())


def test_equal_rows_are_all_there_and_known_when_they_arrived(home: Platform) -> None:
    row = "00001 19970101 1 11.77"
    land_purchases(home, "a.txt", row, row)
    land_purchases(home, "b.txt", row, "00002 19970101 2 5.00")
    (home.landing / "shop" / "manifest.jsonl").write_text(
        '{"path": "shop/purchases/a.txt", "arrived_at": "1997-01-01T20:00:00+00:00"}\n'
        '{"path": "shop/purchases/b.txt", "arrived_at": "1997-01-05T09:00:00+00:00"}\n'
    )

    run = open_run()
    perform(run.run_id, "ingest")
    log = perform(run.run_id, "stage")

    rows = rows_of(f"select * from {run.schema}.purchases__new where customer_id = '00001' order by known_at")
    in_time, late = datetime(1997, 1, 2, 2, tzinfo=UTC), datetime(1997, 1, 5, 9, tzinfo=UTC)
    assert [r["known_at"] for r in rows] == [in_time, in_time, late]
    assert len({r["row_id"] for r in rows}) == 3
    assert {r["amount_usd"] for r in rows} == {Decimal("11.77")}
    (line,) = (line for line in log.lines if line["subject"] == "purchases")
    assert (line["rows_read"], line["rows_changed"]) == (4, 4)


def test_a_file_that_cannot_be_read_fails_alone(home: Platform) -> None:
    land_purchases(home, "good.txt", "00001 19970101 1 11.77")
    land_purchases(home, "header.txt", "00001 19970102 1 11.77", header="customer_id day number_of_cds dollar_value\n")
    land_purchases(home, "broken.txt", "00001 19970103 1 11.77", "00002 19970103 x 1.00")

    log = take("ingest")["ingest"]

    states = {r["path"].rsplit("/")[-1]: r for r in rows_of("select * from ops.deliveries")}
    assert {name: row["state"] for name, row in states.items()} == {
        "good.txt": "live",
        "header.txt": "failed",
        "broken.txt": "failed",
    }
    assert (
        "header.txt:1: the header differs from the contract; missing: date; not in the contract: day"
        in (states["header.txt"]["failure"])
    )
    assert "1 of 2 rows are broken, more than the 20.0%" in states["broken.txt"]["failure"]
    assert "line 3, rule type of cd_count" in states["broken.txt"]["failure"]
    failed = {line["subject"]: line["message"] for line in log.lines if line["verdict"] == "failed"}
    assert set(failed) == {"landing/shop/purchases/header.txt", "landing/shop/purchases/broken.txt"}
    assert rows_of("select count(*) as rows from quarantine.rows") == [{"rows": 0}]
    assert list(day_fingerprints("purchases")) == [date(1997, 1, 1)]


def test_the_step_fails_when_every_file_does_and_nothing_is_written(home: Platform) -> None:
    land_purchases(home, "only.txt", header="what is this\n")
    with pytest.raises(PermanentFailure, match=r"none of 1 deliveries can be read; the first: .*only\.txt:1"):
        take("ingest")
    assert not DeltaTable.is_deltatable(lake.table_url("purchases"))


def test_what_a_killed_attempt_left_in_the_lake_is_never_seen(
    home: Platform, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ingest, "mark", die)
        with pytest.raises(KeyboardInterrupt):
            take("ingest")
    assert DeltaTable.is_deltatable(lake.table_url("customers")), "the lake was committed, the ledger was not"
    assert {r["state"] for r in rows_of("select state from ops.deliveries")} == {"new"}

    run = open_run()
    perform(run.run_id, "ingest")
    perform(run.run_id, "stage")

    expected = sum(e.rows - len(e.broken_lines) for e in manifest if "customers" in e.path)
    in_lake = pyarrow.table(DeltaTable(lake.table_url("customers")).get_add_actions(flatten=True))
    assert sum(in_lake.column("num_records").to_pylist()) == 2 * expected
    assert len(staged(run, "customers")) == expected


def test_a_new_version_of_a_file_supersedes_the_old_one(home: Platform) -> None:
    land_purchases(home, "a.txt", "00001 19970101 1 11.77", "00002 19970101 1 1.00")
    take("ingest")
    land_purchases(home, "a.txt", "00001 19970101 1 11.77")

    run = open_run()
    perform(run.run_id, "ingest")
    perform(run.run_id, "stage")

    assert [r["customer_id"] for r in rows_of(f"select customer_id from {run.schema}.purchases__new")] == ["00001"]


def test_rows_that_were_lost_between_reading_and_the_lake_stop_the_step(
    home: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    land_purchases(home, "a.txt", "00001 19970101 1 11.77", "00002 19970101 1 1.00")
    whole = ingest.transform
    monkeypatch.setattr(ingest, "transform", lambda rows, contract: whole(rows, contract).where("line <> 3"))
    with pytest.raises(PermanentFailure, match="2 records were read, but 1 rows are live and 0 quarantined"):
        take("ingest")
    assert {r["state"] for r in rows_of("select state from ops.deliveries")} == {"new"}


def test_a_day_that_was_asked_for_and_is_missing_stops_the_step_before_it_writes(home: Platform) -> None:
    land_purchases(home, "a.txt", "00001 19970101 1 11.77", "00001 19970104 1 11.77")
    run = open_run(date(1997, 1, 1), date(1997, 1, 6))
    perform(run.run_id, "ingest")
    with pytest.raises(PermanentFailure, match=r"purchases has no rows for \[1997-01-02, 1997-01-04\), 1997-01-05"):
        perform(run.run_id, "stage")
    assert not rows_of("select 1 from pg_class where relnamespace = to_regnamespace(%s)", run.schema)


def test_staging_again_starts_clean_and_datasets_without_stale_days_resolve(home: Platform) -> None:
    land_purchases(home, "a.txt", "00001 19970101 1 11.77")
    run = open_run()
    perform(run.run_id, "ingest")
    for _ in range(2):
        log = perform(run.run_id, "stage")
    assert len(staged(run, "purchases")) == 1
    assert rows_of(f"select unit from {run.schema}.purchases__scope") == [{"unit": date(1997, 1, 1)}]
    for relation in ("customers", "customers__new", "customers__scope", "customers__delta"):
        assert rows_of(f"select * from {run.schema}.{relation}") == []
    assert {line["subject"]: line["rows_changed"] for line in log.lines} == {"purchases": 1, "customers": 0}


def test_lake_rows_that_vanished_are_missed(home: Platform) -> None:
    land_purchases(home, "a.txt", "00001 19970101 1 11.77")
    run = open_run()
    perform(run.run_id, "ingest")
    with transaction() as connection:
        query(connection, "update ops.file_days set rows = 2 returning 1")
    with pytest.raises(PermanentFailure, match="the ledger counts 2 live rows for these days, but 1 were staged"):
        perform(run.run_id, "stage")
