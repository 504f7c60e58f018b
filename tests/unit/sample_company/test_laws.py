"""What the generator promises: the same bytes whatever the calls, whole files, planted rows that are never good."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_platform.contracts.load import get_contracts
from data_platform.failures import InputError
from data_platform.intervals import Interval
from sample_company import cdnow
from sample_company.company import company
from sample_company.customers import Canary
from sample_company.draws import bits, generator
from sample_company.manifest import NAME, Manifest
from sample_company.people import People, Profile
from sample_company.planted import CUSTOMER_KINDS, PURCHASE_KINDS, Schedule, break_customer, break_purchase
from sample_company.scale import write_purchases
from sample_company.scan import CHUNK_BYTES, CanaryScanner
from sample_company.simulate import CDNOW_PROCESS, History, Population, refit
from sample_company.small import land_small_shop, small_shop
from tests.unit.sample_company import naive
from tests.unit.sample_company.conftest import contents

START, DAYS = date(1997, 1, 1), 20
ONE_DAY = timedelta(days=1)
ROW = b" 00017 19970219  2   27.53"


@pytest.fixture(scope="module")
def small_bytes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    landing = tmp_path_factory.mktemp("small")
    land_small_shop(landing, days=DAYS, start=START)
    return contents(landing)


# --- the same bytes, whatever the calls -----------------------------------------------------------------------------


@settings(max_examples=25)
@given(cuts=st.sets(st.integers(1, DAYS - 1)), data=st.data())
def test_stretches_land_in_any_order_to_the_same_bytes(
    small_bytes: dict[str, bytes], cuts: set[int], data: st.DataObject
) -> None:
    borders = [0, *sorted(cuts), DAYS]
    stretches = data.draw(st.permutations(list(pairwise(borders))))
    shop = small_shop(days=DAYS, start=START)
    with TemporaryDirectory() as folder:
        for first, last in stretches:
            shop.land(Path(folder), Interval(START + first * ONE_DAY, START + last * ONE_DAY))
        assert contents(Path(folder)) == small_bytes


@settings(max_examples=8)
@given(asked=st.lists(st.integers(0, 400), min_size=1, max_size=4))
def test_a_generated_day_does_not_depend_on_what_was_asked_before(asked: list[int]) -> None:
    days = [cdnow.LAST_DAY + ONE_DAY * (1 + number) for number in asked]
    used, fresh = company(), company.__wrapped__()
    lines = {day: used.lines_of(day) for day in days}
    assert fresh.lines_of(days[-1]) == lines[days[-1]]


def test_an_extract_does_not_depend_on_what_was_asked_before() -> None:
    days = [START + timedelta(weeks=week) for week in range(60)]
    book = small_shop(days=400).book
    forwards = [book.content(day) for day in days]
    backwards = [book.content(day) for day in reversed(days)]
    assert forwards == backwards[::-1]
    assert len({content.data for content in forwards}) > 30, "extracts differ from week to week"


def test_another_seed_gives_another_shop(small_bytes: dict[str, bytes], tmp_path: Path) -> None:
    land_small_shop(tmp_path, days=DAYS, start=START, seed=8)
    assert not set(contents(tmp_path).values()) & set(small_bytes.values())


class Killed(Exception):
    """Stands for a kill."""


@settings(max_examples=12)
@given(after=st.integers(1, 22))
def test_killed_between_files_and_called_again_gives_the_same_bytes(small_bytes: dict[str, bytes], after: int) -> None:
    landed: list[str] = []

    def kill(path: str) -> None:
        landed.append(path)
        if len(landed) == after:
            raise Killed

    with TemporaryDirectory() as folder:
        days = Interval(START, START + DAYS * ONE_DAY)
        with pytest.raises(Killed):
            small_shop(days=DAYS, start=START).land(Path(folder), days, on_file=kill)
        left = contents(Path(folder))
        assert NAME not in left, "the manifest comes last"
        assert left == {path: small_bytes[path] for path in landed}, "whole files only"
        land_small_shop(Path(folder), days=DAYS, start=START)
        assert contents(Path(folder)) == small_bytes


def test_a_half_written_or_altered_file_is_made_whole(small_bytes: dict[str, bytes], tmp_path: Path) -> None:
    land_small_shop(tmp_path, days=DAYS, start=START)
    altered, lost = tmp_path / "shop/purchases/1997-01-03.txt", tmp_path / "shop/customers/1997-01-08.csv"
    altered.write_bytes(altered.read_bytes()[:40])
    lost.rename(lost.with_name(f".{lost.name}.part"))
    shop = small_shop(days=DAYS, start=START)
    landed = shop.land(tmp_path, Interval(START, START + DAYS * ONE_DAY))
    assert sorted(landed.written) == ["shop/customers/1997-01-08.csv", "shop/purchases/1997-01-03.txt"]
    assert contents(tmp_path) == small_bytes


# --- manifest -------------------------------------------------------------------------------------------------------


def test_lines_of_others_stay_in_the_manifest(tmp_path: Path) -> None:
    line = '{"path": "shop/purchases/late.txt", "arrived_at": "1997-03-01T08:00:00+00:00"}\n'
    (tmp_path / "shop").mkdir()
    (tmp_path / NAME).write_text(line)
    land_small_shop(tmp_path, days=3)
    assert (tmp_path / NAME).read_text().endswith(line)
    assert len(Manifest.read(tmp_path)) == 4


@pytest.mark.parametrize("line", ["{", "[]", '{"generator": "x", "path": "a"}', '"text"', "1"])
def test_a_broken_manifest_is_reported_with_its_line(tmp_path: Path, line: str) -> None:
    land_small_shop(tmp_path, days=1)
    with (tmp_path / NAME).open("a") as file:
        file.write(line)
    with pytest.raises(InputError, match=r"manifest\.jsonl:3:1: not an entry"):
        Manifest.read(tmp_path)


def test_small_shop_is_read_as_its_manifest_says(tmp_path: Path) -> None:
    planted: set[str] = set()
    for entry in land_small_shop(tmp_path, days=DAYS, start=START):
        contract = get_contracts()[entry.path.split("/")[1]]
        read = list(naive.records(contract, (tmp_path / entry.path).read_bytes()))
        faults = {line: fault for line, fields in read if (fault := naive.fault(contract, fields))}
        assert len(read) == entry.rows > 0
        assert faults == {line.line: line.rule or naive.ROW_FAULT for line in entry.broken_lines}
        assert len(faults) <= contract.tolerated_broken_share * entry.rows
        planted |= {f"{contract.dataset} {kind}" for kind in entry.broken}
    assert planted > {f"purchases {kind}" for kind in PURCHASE_KINDS}, "customers have some too"


def test_small_shop_sells_only_to_who_has_an_account(tmp_path: Path) -> None:
    shop = small_shop(customers=60, days=60)
    shop.land(tmp_path, Interval(START, START + 60 * ONE_DAY))
    assert (shop.book.closes < START.toordinal() + 60).any()
    assert (shop.book.signed_up > START.toordinal()).any()
    for file in (tmp_path / "shop/purchases").iterdir():
        day = date.fromisoformat(file.stem).toordinal()
        has_account = (shop.book.signed_up <= day) & (day < shop.book.closes)
        for line in shop.lines_of(date.fromordinal(day)):
            assert has_account[int(line[1:6]) - 1]


# --- planted rows ---------------------------------------------------------------------------------------------------


@given(kind=st.sampled_from(PURCHASE_KINDS), seed=st.integers(0, 2**32))
def test_no_broken_purchase_reads_as_a_good_one(kind: str, seed: int) -> None:
    contract = get_contracts()["purchases"]
    row, rule = break_purchase(kind, ROW, np.random.default_rng(seed))
    assert b"\n" not in row
    assert b"\r" not in row
    assert naive.fault(contract, ROW.split()) is None
    assert naive.fault(contract, row.split()) == (rule or naive.ROW_FAULT)


@given(kind=st.sampled_from(CUSTOMER_KINDS), customer=st.integers(0, 999), seed=st.integers(0, 2**32))
def test_no_broken_customer_reads_as_a_good_one(kind: str, customer: int, seed: int) -> None:
    contract = get_contracts()["customers"]
    people = People(seed, [f"{c:05d}" for c in range(1000)], [customer % 5] * 1000, [728_000] * 1000)
    fields = people.fields(customer, Profile(customer % 5)) | {"street": "12 Fujerule Lane"}
    good = people.record(customer, Profile(customer % 5))
    record, rule = break_customer(kind, fields, np.random.default_rng(seed))
    (_, read_good), (line, read) = naive.records(contract, b"header\r\n" + good + b"\r\n" + record + b"\r\n")
    assert naive.fault(contract, read_good) is None
    assert line == 3 + good.count(b"\n")
    assert naive.fault(contract, read) == (rule or naive.ROW_FAULT)


def test_unknown_kinds_are_refused() -> None:
    with pytest.raises(ValueError, match="'typo'"):
        break_purchase("typo", ROW, generator(0, "test"))
    with pytest.raises(ValueError, match="'typo'"):
        break_customer("typo", {}, generator(0, "test"))


@given(seed=st.integers(0, 2**32), every=st.integers(8, 100), rounds=st.integers(1, 4))
def test_a_schedule_plants_each_kind_once_a_round(seed: int, every: int, rounds: int) -> None:
    schedule = Schedule(seed, "purchases", PURCHASE_KINDS, every, tolerated_share=0.2)
    planted = [schedule.kind_of(period, rows=5) for period in range(every * rounds)]
    assert planted[0] is None
    assert all(planted.count(kind) == rounds for kind in PURCHASE_KINDS)
    assert {schedule.kind_of(period, rows=4) for period in range(every)} == {None}, "one in four is not tolerated"


# --- the process ----------------------------------------------------------------------------------------------------


def test_the_constants_are_what_the_log_gives() -> None:
    fitted = refit()
    for name, value in vars(CDNOW_PROCESS).items():
        assert vars(fitted)[name] == pytest.approx(value, rel=0.005), name


def test_history_is_what_lifetimes_makes_of_the_log() -> None:
    import pandas as pd
    from lifetimes.utils import summary_data_from_transaction_data

    log = cdnow.log()
    rows = pd.DataFrame(
        {
            "customer": log.customer,
            "day": [date.fromordinal(day) for day in log.day],
            "value": log.amount_usd,
        }
    )
    theirs = summary_data_from_transaction_data(
        rows, "customer", "day", "value", observation_period_end=cdnow.LAST_DAY, freq="D"
    )
    ours = History.of_log(log)
    for mine, name in zip(vars(ours).values(), ("frequency", "recency", "T", "monetary_value"), strict=True):
        np.testing.assert_allclose(mine, theirs[name])


def test_the_days_after_the_log_go_on_like_it() -> None:
    log, shop = cdnow.log(), company()
    june = log.day >= date(1998, 6, 1).toordinal()
    rows = [line.split() for number in range(1, 31) for line in shop.lines_of(cdnow.LAST_DAY + number * ONE_DAY)]
    amounts = np.array([float(row[3]) for row in rows])
    assert 0.85 < len(rows) / june.sum() < 1.15
    assert amounts.mean() == pytest.approx(log.amount_usd[june].mean(), rel=0.15)
    assert {row[0].decode() for row in rows} < set(log.customer_ids)
    contract = get_contracts()["purchases"]
    assert {naive.fault(contract, row) for row in rows} == {None}


def test_customers_die_out_at_the_rate_of_their_process() -> None:
    """Half of a thousand customers with dropout 1/2 are gone after each purchase; together they make two each."""
    size = 4000
    population = Population(
        seed=1,
        customer_ids=[f"{number:05d}" for number in range(size)],
        process=CDNOW_PROCESS,
        steady_rate=np.full(size, 0.05),
        until=START.toordinal() + generator(1, "test").exponential(1 / 0.05, size),
        value_rate=np.full(size, 0.15),
        starts=np.full(size, START.toordinal()),
        closes=np.full(size, START.toordinal() + 1000),
    )
    lines = [len(population.lines_of(START + number * ONE_DAY)) for number in range(400)]
    assert sum(lines) / size == pytest.approx(2 * 1.03, rel=0.05)
    assert sum(lines[200:]) < 10


# --- load files, scanner, draws -------------------------------------------------------------------------------------


def test_load_files_hold_so_many_good_rows(tmp_path: Path) -> None:
    contract = get_contracts()["purchases"]
    write_purchases(tmp_path / "long.txt", 501_000, seed=3)
    write_purchases(tmp_path / "short.txt", 1_000, seed=3)
    long, short = (tmp_path / "long.txt").read_bytes(), (tmp_path / "short.txt").read_bytes()
    assert long.count(b"\n") == 501_001
    assert long.startswith(short), "a longer file begins with the shorter one"
    read = list(naive.records(contract, short))
    assert {naive.fault(contract, fields) for _, fields in read} == {None}
    assert len({fields[0] for _, fields in read if fields}) > 900


@pytest.mark.parametrize("place", [0, 1, 7, CHUNK_BYTES - 13, CHUNK_BYTES - 8, CHUNK_BYTES - 7, CHUNK_BYTES])
def test_the_scanner_finds_a_canary_wherever_it_stands(place: int) -> None:
    hidden, other = Canary("1", "street", "Fujerule Drive"), Canary("2", "street", "Fujerule Lane")
    scanner = CanaryScanner([hidden, other])
    noise = np.random.default_rng(0).bytes(CHUNK_BYTES + 100)
    assert scanner.scan(noise) == set()
    assert scanner.scan(noise[:place] + b"\x41Fujerule Drive" + noise[place:]) == {hidden}
    assert scanner.scan(b"Fujerul") == scanner.scan(b"") == set()


def test_a_scanner_without_canaries_is_refused() -> None:
    with pytest.raises(ValueError, match="no canaries"):
        CanaryScanner([])
    with pytest.raises(ValueError, match="at least 8 bytes"):
        CanaryScanner([Canary("1", "phone", "555")])


@given(numbers=st.lists(st.integers(0, 2**40), min_size=1, max_size=4), other=st.integers(0, 2**40))
def test_draws_differ_where_what_they_are_for_differs(numbers: list[int], other: int) -> None:
    assert 0 <= bits(*numbers) < 2**64
    assert bits(*numbers) == bits(*numbers)
    assert bits(*numbers) != bits(*numbers, other)
    assert generator(1, "a", *numbers).integers(2**62) != generator(1, "b", *numbers).integers(2**62)


def test_asking_for_what_is_not_there_is_refused() -> None:
    book = small_shop().book
    with pytest.raises(InputError, match="no extract on 1997-01-02"):
        book.content(date(1997, 1, 2))
    with pytest.raises(InputError, match="no extract on 1996-12-25"):
        book.canaries("00001", date(1996, 12, 25))
    with pytest.raises(InputError, match="99999 is not in the extract"):
        book.canaries("99999", START)
