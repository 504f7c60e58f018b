"""The landed company, held to the log's known figures and to its own manifest."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from pyarrow import parquet

from data_platform.contracts.load import get_contracts
from sample_company import cdnow
from sample_company.company import all_canaries, canaries, company
from sample_company.landing import Landed
from sample_company.manifest import Entry
from sample_company.planted import CUSTOMER_KINDS, PURCHASE_KINDS
from sample_company.scan import CanaryScanner
from tests.unit.sample_company import naive
from tests.unit.sample_company.conftest import REAL_DAYS

pytestmark = pytest.mark.no_cover  # it compares files; what writes them is covered by its fixture
Company = tuple[Path, Landed]
LAST_EXTRACT = date(1998, 6, 24)


def entries(landed: Landed, dataset: str) -> list[Entry]:
    return [entry for entry in landed.manifest if entry.path.split("/")[1] == dataset]


def good_purchases(company: Company) -> list[bytes]:
    """Good rows with their line ends, day by day, without what was planted."""
    landing, landed = company
    rows = []
    for entry in sorted(entries(landed, "purchases"), key=lambda e: e.path):
        broken = {line.line for line in entry.broken_lines}
        lines = (landing / entry.path).read_bytes().splitlines(keepends=True)
        assert lines[0] == b" customer_id  date number_of_cds  dollar_value\r\n"
        rows += [line for number, line in enumerate(lines, start=1) if number > 1 and number not in broken]
    return rows


def test_purchases_are_the_log_byte_for_byte(landed_company: Company) -> None:
    rows = good_purchases(landed_company)
    log = cdnow.source_file().read_bytes().splitlines(keepends=True)[1:]
    assert rows == sorted(log, key=lambda row: row.split()[1]), "each day's rows in the order of the log"


def test_purchases_add_up_to_the_known_figures(landed_company: Company) -> None:
    rows = [row.split() for row in good_purchases(landed_company)]
    assert len(rows) == 69_659
    assert len({row[0] for row in rows}) == 23_570
    assert len({row[1] for row in rows}) == 546
    assert sum(Decimal(row[3].decode()) for row in rows) == Decimal("2500315.63")
    assert sum(row[3] == b"0.00" for row in rows) == 80
    assert len(rows) - len({tuple(row) for row in rows}) == 255


def test_each_day_is_one_file_but_september_1997(landed_company: Company) -> None:
    names = {Path(entry.path).stem for entry in entries(landed_company[1], "purchases")}
    september = {f"{day}" for day in REAL_DAYS if (day.year, day.month) == (1997, 9)}
    assert names == {f"{day}" for day in REAL_DAYS} - september | {"1997-09"}


def test_extracts_are_weekly_from_the_first_day(landed_company: Company) -> None:
    names = [Path(entry.path).stem for entry in entries(landed_company[1], "customers")]
    assert names == [f"{date(1997, 1, 1) + timedelta(weeks=week)}" for week in range(78)]


def test_each_kind_is_planted_six_times(landed_company: Company) -> None:
    for dataset, kinds in (("purchases", PURCHASE_KINDS), ("customers", CUSTOMER_KINDS)):
        planted = sum((Counter(entry.broken) for entry in entries(landed_company[1], dataset)), Counter())
        assert planted == dict.fromkeys(kinds, 6)


@pytest.mark.parametrize("dataset", ["purchases", "customers"])
def test_manifest_agrees_with_a_naive_reading(landed_company: Company, dataset: str) -> None:
    """Every purchase file; of the extracts, which take long, one with each kind of broken record."""
    landing, landed = landed_company
    contract, checked = get_contracts()[dataset], entries(landed, dataset)
    if dataset == "customers":
        checked = list({kind: entry for entry in checked for kind in entry.broken}.values())
        assert len(checked) == len(CUSTOMER_KINDS)
    for entry in checked:
        read = list(naive.records(contract, (landing / entry.path).read_bytes()))
        faults = {line: fault for line, fields in read if (fault := naive.fault(contract, fields))}
        assert len(read) == entry.rows, entry.path
        assert faults == {line.line: line.rule or naive.ROW_FAULT for line in entry.broken_lines}, entry.path


def test_no_file_exceeds_what_its_contract_tolerates(landed_company: Company) -> None:
    for dataset in ("purchases", "customers"):
        share = get_contracts()[dataset].tolerated_broken_share
        assert all(len(entry.broken_lines) <= share * entry.rows for entry in entries(landed_company[1], dataset))


def test_headers_and_paths_are_the_contracts(landed_company: Company) -> None:
    landing, landed = landed_company
    for dataset, separator in (("purchases", None), ("customers", ",")):
        contract = get_contracts()[dataset]
        form = re.escape(contract.location or "").replace(r"\{extract_day\}", "[^/]+").replace(r"\*", "[^/]+")
        for entry in entries(landed, dataset):
            assert re.fullmatch(form, f"landing/{entry.path}")
            with (landing / entry.path).open("rb") as file:
                header = file.readline().decode().strip().split(separator)
            assert header == [column.delivered_name for column in contract.columns]


def test_deliveries_arrive_after_their_last_day_and_within_the_delay(landed_company: Company) -> None:
    for entry in landed_company[1].manifest:
        dataset, stem = Path(entry.path).parts[1], Path(entry.path).name.partition(".")[0]
        last_day = date(1997, 9, 30) if stem == "1997-09" else date.fromisoformat(stem)
        end = datetime.combine(last_day + timedelta(days=1), time(), UTC)
        assert end < entry.arrived_at <= end + get_contracts()[dataset].arrival_delay


# --- customers ----------------------------------------------------------------------------------------------------


def extract(company: Company, day: date) -> dict[str, list[bytes]]:
    data = (company[0] / f"shop/customers/{day}.csv").read_bytes()
    contract = get_contracts()["customers"]
    read = [fields for _, fields in naive.records(contract, data) if naive.fault(contract, fields) is None]
    return {fields[0].decode(): fields for fields in read if fields}


def customer_ids(company: Company, day: date) -> set[str]:
    """Ids of the good records of an extract, without reading the rest of them."""
    entry = company[1].manifest.get(f"shop/customers/{day}.csv")
    assert entry is not None
    broken = {line.line for line in entry.broken_lines}
    lines = enumerate((company[0] / entry.path).read_bytes().splitlines(), start=1)
    return {line[:5].decode() for number, line in lines if number not in broken and re.match(rb"\d{5},", line)}


def test_every_purchaser_has_a_profile_by_his_first_purchase(landed_company: Company) -> None:
    first: dict[str, date] = {}
    for row in good_purchases(landed_company):
        first.setdefault(row[1:6].decode(), datetime.strptime(row[7:15].decode(), "%Y%m%d").date())
    assert max(first.values()) < date(1997, 4, 1)
    seen: set[str] = set()
    for week in range(13):
        day = date(1997, 1, 1) + timedelta(weeks=week)
        seen |= customer_ids(landed_company, day)
        due = {customer for customer, bought in first.items() if bought < day + timedelta(days=7)}
        assert due <= seen, f"without a profile before {day + timedelta(days=7)}: {sorted(due - seen)[:5]}"


def test_customers_change_and_vanish_and_none_is_there_before_he_signed_up(landed_company: Company) -> None:
    early, late = extract(landed_company, date(1997, 4, 2)), extract(landed_company, LAST_EXTRACT)
    assert 20_000 < len(early) <= 23_570
    assert all(fields[9].decode() <= "1997-04-02" for fields in early.values())
    vanished, stayed = early.keys() - late.keys(), early.keys() & late.keys()
    assert 500 < len(vanished) < 1_500
    changed = Counter(
        name for c in stayed for name, old, new in zip(range(10), early[c], late[c], strict=True) if old != new
    )
    assert set(changed) == {2, 3, 5, 6, 8}, "e-mail, phone, street, city and country change; nothing else does"
    assert 0.05 < changed.total() / len(stayed) < 0.5


def test_extracts_look_like_people_wrote_them(landed_company: Company) -> None:
    rows = list(extract(landed_company, LAST_EXTRACT).values())
    assert 0.025 < sum(not fields[4] for fields in rows) / len(rows) < 0.035, "3% of the birth dates are missing"
    assert {fields[7] for fields in rows} == {b"f", b"m", b"x", b""}
    assert {fields[8] for fields in rows} == {b"US", b"CA", b"GB", b"DE", b"FR"}
    streets = [fields[5] for fields in rows]
    assert all(sum(sign in street for street in streets) > 100 for sign in (b",", b'"', b"\n"))
    assert sum(not fields[1].isascii() for fields in rows) > 1_000


def test_canaries_stand_in_the_extract_and_belong_to_one_customer(landed_company: Company) -> None:
    everyone = all_canaries()
    assert len({canary.text for canary in everyone}) == len(everyone) > 3 * 23_570
    data = (landed_company[0] / f"shop/customers/{LAST_EXTRACT}.csv").read_bytes()
    found = CanaryScanner(everyone).scan(data)
    assert {canary.customer_id for canary in found} >= extract(landed_company, LAST_EXTRACT).keys()
    now = {(c.field, c.text) for c in found if c.customer_id == "00001"}
    assert now == set(canaries("00001", LAST_EXTRACT).items())


# --- catalogue, web site, support desk ------------------------------------------------------------------------------


def test_a_hundredth_of_the_events_comes_up_to_five_days_late(landed_company: Company) -> None:
    landing, landed = landed_company
    lags: Counter[int] = Counter()
    for entry in entries(landed, "web_events"):
        arrived = date.fromisoformat(Path(entry.path).name[:10])
        broken = {line.line for line in entry.broken_lines}
        lines = gzip.decompress((landing / entry.path).read_bytes()).splitlines()
        events = [json.loads(line) for number, line in enumerate(lines, 1) if number not in broken]
        lags.update((arrived - date.fromisoformat(event["at"][:10])).days for event in events)
        assert all(("device" in event) == (event["at"] >= "1998") for event in events)
    assert lags.total() > 50_000
    assert lags.keys() == set(range(6))
    assert 0.008 < 1 - lags[0] / lags.total() < 0.012


def test_catalogues_come_monthly_and_differ(landed_company: Company) -> None:
    landing, landed = landed_company
    extracts = [parquet.read_table(landing / entry.path).to_pylist() for entry in entries(landed, "products")]
    assert len(extracts) == 18
    first, last = ({row["product_id"]: row for row in extract} for extract in (extracts[0], extracts[-1]))
    assert first.keys() < last.keys()
    assert 100 < sum(first[product] != last[product] for product in first) < 1_000
    assert all(row["released_on"] < date(1998, 6, 1) and row["formats"] for row in last.values())


def test_people_write_what_is_theirs_into_tickets(landed_company: Company) -> None:
    landing, landed = landed_company
    text = b"".join((landing / entry.path).read_bytes() for entry in entries(landed, "tickets"))
    found = CanaryScanner(all_canaries()).scan(text)
    assert {canary.field for canary in found} == {"email", "phone", "street"}
    assert len(found) > 1_000


def test_landing_again_writes_nothing(landed_company: Company) -> None:
    landing, landed = landed_company
    before = {file: file.stat().st_mtime_ns for file in landing.rglob("*")}
    again = company().land(landing, REAL_DAYS)
    assert (again.written, again.unchanged) == ((), len(landed.manifest))
    assert {file: file.stat().st_mtime_ns for file in landing.rglob("*")} == before
