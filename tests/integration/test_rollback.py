"""A rollback: what a publication's deliveries brought is taken back everywhere, held, and comes again when released."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from data_platform import orchestrate, staleness
from data_platform.difference import changed_rows, count_changes
from data_platform.failures import InputError
from data_platform.intervals import ONE_DAY, Interval
from data_platform.rollback import hold, plan_rollback, release, roll_back
from data_platform.warehouse.connection import query, transaction
from tests.conftest import SHOP_DAYS, Platform
from tests.landing import add_purchases, purchase
from tests.state import newest_publication, published, published_and_online, stale, told_by_history

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("spark_server")]
START, END = SHOP_DAYS.start, SHOP_DAYS.end
LAST = END - ONE_DAY


def work() -> list[str]:
    return [f"{s.table} {s.what}: {s.reason}" for s in stale() if staleness.is_work(s)]


def held() -> list[str]:
    return [s.what for s in stale() if not staleness.is_work(s)]


def test_a_correction_is_taken_back_held_and_comes_again(shop: Platform) -> None:
    day = START + 3 * ONE_DAY
    before = published_and_online()
    add_purchases(shop.landing, day, purchase(day, "7.77"))
    orchestrate.run_all(None)
    corrected = published_and_online()
    assert corrected != before
    bad = newest_publication()
    with transaction() as connection:
        counts = {c["table_name"]: (c["added"], c["changed"], c["removed"]) for c in count_changes(connection, bad)}
        (added,) = changed_rows(connection, bad, "raw.purchases", 10)
        features = changed_rows(connection, bad, "features.ftr_customer__purchases", 10)
    assert counts["raw.purchases"] == counts["marts.fct_purchases"] == (1, 0, 0)
    assert (added.operation, added.before, added.after["amount_usd"]) == ("added", None, 7.77)
    assert {"amount_usd_lifetime", "order_count_lifetime"} <= set(features[-1].columns())

    roll_back(bad, "a price of 7.77 is nonsense")
    assert published_and_online() == before
    assert work() == []
    assert held() == [str(day)]

    add_purchases(shop.landing, day, purchase(day, "8.88"))
    orchestrate.run_all(Interval(START, END), rebuild=True)
    assert published_and_online() == before, "later deliveries of a held day wait, also when it is asked for"

    with transaction() as connection:
        assert release(connection, bad) == 1
    assert work()
    orchestrate.run_all(None)
    assert len(published_and_online()["raw.purchases"]) == len(before["raw.purchases"]) + 2
    assert (work(), held()) == ([], [])


def test_history_tells_nothing_of_what_was_undone_but_what_is_still_true(shop: Platform) -> None:
    """An extract is corrected, so that the next brings nothing new; then one comes between them and does so too."""
    first, between, second = (START + days * ONE_DAY for days in (0, 4, 7))
    folder = shop.landing / "shop" / "customers"
    tell_country(folder / f"{second}.csv", b"FR")
    orchestrate.run_all(None)
    tell_country(folder / f"{first}.csv", b"FR")
    orchestrate.run_all(None)
    bad = newest_publication()
    shutil.copy(folder / f"{second}.csv", folder / f"{between}.csv")
    orchestrate.run_all(None)
    profile = "features.ftr_customer__profile"
    assert bad in publications_told(profile)

    roll_back(bad, "the first extract was right")
    told = told_by_history()
    assert told == {table: rows for table, rows in published().items() if table in told}
    assert {row[1] for row in told[profile] if row[0] == "00001"} == {first, between}
    assert bad not in publications_told(profile)
    with transaction() as connection:
        release(connection, bad)
    orchestrate.run_all(None)
    told = told_by_history()
    assert told == {table: rows for table, rows in published().items() if table in told}
    assert bad not in publications_told(profile), "what is taken in again is told by another publication"
    with transaction() as connection:
        assert query(connection, f"select from {profile}_history where publication_id = %s", (bad,)), "the log keeps it"


def tell_country(extract: Path, country: bytes) -> None:
    text, count = re.subn(rb"(?m)^(00001,.*),[A-Z]{2},", rb"\1," + country + b",", extract.read_bytes())
    assert count == 1
    extract.write_bytes(text)


def publications_told(table: str) -> set[int]:
    with transaction("training") as connection:
        return {r["id"] for r in query(connection, f"select distinct publication_id as id from {table}_history")}


def test_rows_are_known_again_since_they_were_before_though_not_by_what_they_are_made_of(shop: Platform) -> None:
    """What a removal left is known since the removal, and is so again when a later correction is taken back."""
    day = START + 3 * ONE_DAY
    file = shop.landing / "shop" / "purchases" / f"{day}.txt"
    add_purchases(shop.landing, day, purchase(day, "3.33"), purchase(day, "4.44"))
    orchestrate.run_all(None)
    file.write_bytes(file.read_bytes().replace(purchase(day, "4.44"), b""))
    orchestrate.run_all(None)
    before = published_and_online()
    add_purchases(shop.landing, day, purchase(day, "7.77"))
    orchestrate.run_all(None)
    assert published_and_online() != before
    roll_back(newest_publication(), "a price of 7.77 is nonsense")
    assert published_and_online() == before


def test_what_came_later_is_built_on_the_restored_state(shop: Platform) -> None:
    day, other = START + 3 * ONE_DAY, START + 5 * ONE_DAY
    add_purchases(shop.landing, day, purchase(day, "7.77"))
    orchestrate.run_all(None)
    bad = newest_publication()
    add_purchases(shop.landing, other, purchase(other, "1.11"))
    orchestrate.run_all(None)
    roll_back(bad, "only the first correction was wrong")
    after = published_and_online()
    amounts = [row[-2] for row in after["raw.purchases"]]
    assert sum(str(row).count("Decimal('1.11')") for row in after["raw.purchases"]) == 1, amounts
    assert not any("Decimal('7.77')" in str(row) for row in after["raw.purchases"])
    with transaction() as connection:
        connection.cursor().execute("update ops.published_tables set code_hash = 'of an older version'")
    orchestrate.run_all(None)
    assert published_and_online() == after, "a build of everything from what is held gives the same"


def test_a_rollback_that_was_killed_is_finished_by_the_next_run(shop: Platform) -> None:
    before = published_and_online()
    day = LAST
    add_purchases(shop.landing, day, purchase(day, "7.77"))
    orchestrate.run_all(None)
    with transaction() as connection:
        hold(connection, plan_rollback(connection, newest_publication()), "the machine goes down now")
    assert any("was rolled back" in line for line in work())
    orchestrate.run_all(None)
    assert published_and_online() == before


def test_rolling_back_a_first_delivery_empties_its_days(shop: Platform) -> None:
    newest = newest_publication()
    roll_back(newest, "the last day was delivered by mistake")
    with transaction() as connection:
        rows = query(connection, "select count(*) as n from raw.purchases where purchased_on = %s", (LAST,))
        facts = query(connection, "select count(*) as n from marts.fct_purchases where purchased_on = %s", (LAST,))
    assert (rows[0]["n"], facts[0]["n"]) == (0, 0)
    assert str(LAST) in held()


def test_what_cannot_be_rolled_back_is_refused(shop: Platform) -> None:
    with transaction() as connection:
        with pytest.raises(InputError, match="there is no publication 999"):
            plan_rollback(connection, 999)
        connection.cursor().execute("update ops.published_tables set code_hash = 'x' where table_name like 'marts.%'")
    orchestrate.run_all(None)
    with transaction() as connection, pytest.raises(InputError, match="brought no delivery"):
        plan_rollback(connection, newest_publication())
    first = newest_publication() - 1
    roll_back(first, "once")
    with pytest.raises(InputError, match="rolled back already"):
        roll_back(first, "twice")
    with transaction() as connection:
        release(connection, first)
        assert plan_rollback(connection, first), "nothing has been taken in again yet"
    orchestrate.run_all(None)
    again = newest_publication()
    with pytest.raises(InputError, match=f"publication {again} brought its days anew"):
        roll_back(first, "its deliveries are there again")
