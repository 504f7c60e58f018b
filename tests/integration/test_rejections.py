"""A gate that fails because of some input changes holds these back, and the rest of the run is published."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner

from data_platform import culprits, orchestrate, staleness
from data_platform.backfill import Backfill, open_backfill, run_backfill
from data_platform.cli import runs as commands
from data_platform.cli.main import build_app
from data_platform.contracts.load import get_contracts
from data_platform.contracts.quality import Quality
from data_platform.culprits import _units
from data_platform.failures import GateFailure, PermanentFailure, TransientFailure
from data_platform.gates import results
from data_platform.gates.rules import Gate
from data_platform.input_changes import InputChange
from data_platform.intervals import ONE_DAY, Interval
from data_platform.ledger import fingerprints
from data_platform.read_set import present_read_set
from data_platform.rejections import Rejection, forget, reject
from data_platform.rollback import roll_back
from data_platform.runs import STEPS, StepLog
from data_platform.staleness import is_work
from data_platform.steps import perform
from data_platform.warehouse.connection import execute, query, transaction
from tests.conftest import SHOP_DAYS, Platform, forget_settings
from tests.landing import HEADERS, add_purchases, purchase
from tests.state import newest_publication, published, stale

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("spark_server")]
START, DUE = SHOP_DAYS.start, SHOP_DAYS.end
LAST = DUE - ONE_DAY
BAD, GOOD = START + ONE_DAY, START + 3 * ONE_DAY


@pytest.fixture(autouse=True)
def rule(shop: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shop never sells for this amount, as the gate after stage knows."""
    add_rule(monkeypatch, "purchases", "never_so_much", "amount_usd = 666")


def add_rule(patch: pytest.MonkeyPatch, dataset: str, name: str, condition: str) -> None:
    contract = get_contracts()[dataset]
    rule = Quality.model_validate(
        {
            "id": name,
            "type": "sql",
            "query": f"select count(*) from {{object}} where {condition}",
            "mustBe": 0,
            "severity": "error",
            "description": "2026-11 a rule of this test.",
        }
    )
    change(patch, dataset, quality=(*contract.quality, rule))


def change(patch: pytest.MonkeyPatch, dataset: str, **changes: Any) -> None:
    patch.setitem(get_contracts()._by_dataset, dataset, get_contracts()[dataset].model_copy(update=changes))


@pytest.fixture
def day_after(shop: Platform, monkeypatch: pytest.MonkeyPatch) -> date:
    """The business date moves on: ``DUE`` is the due day."""
    kept = dict(get_contracts()._by_dataset)
    offset = (datetime.now(UTC).date() - DUE - ONE_DAY).days
    monkeypatch.setenv("BUSINESS_DATE_OFFSET_DAYS", str(offset))
    forget_settings()
    get_contracts()._by_dataset.update(kept)
    return DUE


def land(shop: Platform, name: object, *lines: bytes) -> Path:
    file = shop.landing / "shop/purchases" / f"{name}.txt"
    file.write_bytes(b"".join([HEADERS["purchases"].encode(), b"\r\n", *lines]))
    return file


def correct(shop: Platform, **amounts: date) -> None:
    for amount, day in amounts.items():
        add_purchases(shop.landing, day, purchase(day, amount.removeprefix("usd_").replace("_", ".")))


def held() -> dict[str, str]:
    return {s.what: s.reason for s in stale() if not is_work(s)}


def remembered() -> list[dict[str, Any]]:
    with transaction() as connection:
        return query(connection, "select * from ops.rejections order by dataset, day")


def amounts(table: str = "raw.purchases") -> set[str]:
    with transaction() as connection:
        return {str(r["amount_usd"]) for r in query(connection, f"select amount_usd from {table}")}


def speaks_through() -> date | None:
    with transaction() as connection:
        return staleness.published_through(connection)


def schemas() -> set[str]:
    with transaction() as connection:
        return {r["nspname"] for r in query(connection, "select nspname from pg_namespace where nspname like 'run_%'")}


def reject_by_hand(*days: date, gate: Gate = "stage") -> None:
    """Reads what has come, and rejects what it brought of these days, as a run does after its search."""
    opened = orchestrate.open_work(None)
    assert opened.run
    perform(opened.run.run_id, "ingest")
    with transaction() as connection:
        live = fingerprints(connection, get_contracts()["purchases"])
        said = {day: Rejection(live[day], gate, opened.run.run_id, "a test") for day in days}
        reject(connection, opened.run, present_read_set(connection), {"purchases": said})


def test_one_change_is_held_back_and_the_others_are_published(shop: Platform) -> None:
    correct(shop, usd_666=BAD, usd_1_25=GOOD)
    opened = orchestrate.run_all(None)
    assert opened.run
    assert "1.25" in amounts()
    assert "666.00" not in amounts()
    assert held().keys() == {str(BAD)}
    assert "rejected by the gate after stage of run " in held()[str(BAD)]
    assert "purchases, rule never_so_much: observed 1 of" in held()[str(BAD)]
    assert not [s for s in stale() if is_work(s)]
    with pytest.raises(PermanentFailure, match=f"purchases of {BAD}: rejected by the gate after stage"):
        commands.report(opened.run.run_id)
    with transaction() as connection:
        evidence = {r["rule_id"]: r for r in results.read(connection, remembered()[0]["evidence"]) if not r["passed"]}
        assert results.last_checked_run(connection) == opened.run.run_id
    assert float(evidence["never_so_much"]["examples"][0]["amount_usd"]) == 666
    assert schemas() == set()

    before = newest_publication()
    assert orchestrate.run_all(None).run is None, "what is rejected is no work"
    assert newest_publication() == before

    land(shop, BAD, purchase(BAD, "3.75"))
    orchestrate.run_all(None)
    assert (stale(), remembered()) == ([], [])
    assert amounts() >= {"1.25", "3.75"}


def test_a_run_with_nothing_else_to_publish_fails_as_a_whole_and_remembers_nothing(shop: Platform) -> None:
    before, last = published(), newest_publication()
    correct(shop, usd_666=BAD)
    with pytest.raises(GateFailure, match="the gate after stage stops run"):
        orchestrate.run_all(None)
    assert (published(), newest_publication(), remembered()) == (before, last, [])
    assert str(BAD) in {s.what for s in stale() if is_work(s)}


def test_a_rule_that_no_change_keeps_rejects_none(shop: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    add_rule(monkeypatch, "fct_purchases", "no_such_thing", "no_such_column = 1")
    correct(shop, usd_1_25=BAD, usd_2_25=GOOD)
    with pytest.raises(GateFailure, match="could not be evaluated"):
        orchestrate.run_all(None)
    assert remembered() == []


def test_a_night_without_its_day_publishes_the_rest_is_red_and_opens_again(shop: Platform, day_after: date) -> None:
    correct(shop, usd_1_25=GOOD)
    land(shop, day_after, purchase(day_after, "666"))
    night = orchestrate.run_all(Interval.of_day(day_after), kind=staleness.NIGHT)
    assert night.run
    assert speaks_through() == LAST, "no table speaks of a day whose purchases are not there"
    assert amounts() >= {"1.25"}
    with pytest.raises(PermanentFailure, match=f"purchases of {day_after}: rejected"):
        commands.report(night.run.run_id)
    again = orchestrate.open_work(Interval.of_day(day_after), kind=staleness.NIGHT, unless_done=True)
    assert again.run, "a night whose day waits is not done"

    land(shop, day_after, purchase(day_after, "6.66"))
    orchestrate.run_all(Interval.of_day(day_after), kind=staleness.NIGHT)
    assert speaks_through() == day_after
    assert stale() == []


def test_the_next_night_goes_on_without_the_day_that_is_held_back(
    shop: Platform, day_after: date, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(shop, day_after, purchase(day_after, "8.75"))
    reject_by_hand(day_after)
    monkeypatch.setattr(orchestrate, "business_date", lambda: day_after + 2 * ONE_DAY)
    land(shop, day_after + ONE_DAY, purchase(day_after + ONE_DAY, "4.75"))
    orchestrate.run_all(Interval.of_day(day_after + ONE_DAY), kind=staleness.NIGHT)
    assert speaks_through() == day_after + ONE_DAY
    assert held().keys() >= {str(day_after)}
    assert amounts() >= {"4.75"}
    assert "8.75" not in amounts()


def test_a_bad_file_of_another_dataset_does_not_keep_the_day_from_being_published(
    shop: Platform, day_after: date, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_rule(monkeypatch, "customers", "nobody_is_called_so", "country = 'FR'")
    folder = shop.landing / "shop/customers"
    extract = (folder / f"{START}.csv").read_text().splitlines()
    (folder / f"{day_after}.csv").write_text(
        "\n".join([extract[0], *(row.replace(",US,", ",FR,") for row in extract[1:])])
    )
    land(shop, day_after, purchase(day_after, "5.25"))
    orchestrate.run_all(Interval.of_day(day_after), kind=staleness.NIGHT)
    assert speaks_through() == day_after
    assert amounts() >= {"5.25"}
    assert [r["dataset"] for r in remembered()] == ["customers"]


def test_what_waits_for_a_rejected_day_is_not_judged(
    shop: Platform, day_after: date, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day's purchases are bad, and so is its extract of customers: only what was tried by itself is rejected."""
    add_rule(monkeypatch, "customers", "nobody_is_called_so", "country = 'FR'")
    folder = shop.landing / "shop/customers"
    extract = (folder / f"{START}.csv").read_text().replace(",US,", ",FR,")
    (folder / f"{day_after}.csv").write_text(extract)
    land(shop, day_after, purchase(day_after, "666"))
    correct(shop, usd_1_25=GOOD)
    orchestrate.run_all(None)
    assert [(r["dataset"], r["day"]) for r in remembered()] == [("purchases", day_after)]
    assert speaks_through() == LAST
    assert amounts() >= {"1.25"}


def test_a_change_of_two_days_is_held_back_and_tried_again_as_one(shop: Platform) -> None:
    both = [BAD, BAD + ONE_DAY]
    land(shop, "together", purchase(both[0], "666"), purchase(both[1], "8.75"))
    correct(shop, usd_1_25=GOOD)
    orchestrate.run_all(None)
    assert held().keys() == set(map(str, both))
    assert "8.75" not in amounts(), "half of a change is not published"
    correct(shop, usd_2_25=both[1])
    opened = orchestrate.open_work(None)
    assert opened.run
    perform(opened.run.run_id, "ingest")
    assert {s.what for s in stale() if is_work(s)} == set(map(str, both))
    assert held() == {}


def breaking_off(module: ModuleType, calls: int, patch: pytest.MonkeyPatch) -> None:
    """Lets a module's ``calls``-th step from now on be the last thing that its process does, before it is taken."""
    taken = count(1)

    def perform_or_die(run_id: str, step: str) -> StepLog:
        if next(taken) == calls:
            raise KeyboardInterrupt
        return perform(run_id, step)

    patch.setattr(module, "perform", perform_or_die)
    if module is culprits:
        patch.setattr(culprits, "_end", lambda *_: None)  # nothing is tidied up after a SIGKILL


def test_a_search_and_what_follows_from_it_go_on_wherever_they_broke_off(
    shop: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    correct(shop, usd_666=BAD, usd_1_25=GOOD)
    opened = orchestrate.open_work(None)
    assert opened.run
    orchestrate.take_steps(opened.run.run_id, ["ingest", "gate:ingest", "stage"])
    gate, stage_again, gate_again = 1, 2, 3
    # In the second trial; then, as the search is done anew, before each step that follows from it.
    for module, call in ((culprits, 4), (orchestrate, stage_again), (orchestrate, gate)):
        with monkeypatch.context() as patch:
            breaking_off(module, call, patch)
            with pytest.raises(KeyboardInterrupt):
                orchestrate.take_step(opened.run.run_id, "gate:stage")
        assert len(remembered()) == (module is orchestrate)
    with transaction() as connection:
        assert orchestrate.get_run(connection, opened.run.run_id).plan["again_from"] == "stage"
    with monkeypatch.context() as patch:
        breaking_off(orchestrate, gate_again - gate, patch)
        with pytest.raises(KeyboardInterrupt):
            orchestrate.take_step(opened.run.run_id, "gate:stage")
    with transaction() as connection:
        assert orchestrate.get_run(connection, opened.run.run_id).plan["again_from"] == "gate:stage"
    orchestrate.take_steps(opened.run.run_id, ["gate:stage", "build", "gate:build", "publish", "export"])
    assert held().keys() == {str(BAD)}
    assert amounts() >= {"1.25"}
    with transaction() as connection:
        assert query(connection, "select from ops.runs where state = 'open'") == []


def test_a_transient_failure_in_a_trial_convicts_nobody(shop: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    correct(shop, usd_666=BAD, usd_1_25=GOOD)

    def away(run_id: str, step: str) -> None:
        raise TransientFailure("the warehouse is away")

    with monkeypatch.context() as patch:
        patch.setattr(culprits, "perform", away)
        with pytest.raises(TransientFailure):
            orchestrate.run_all(None)
    assert remembered() == []
    assert schemas() == {f"run_{failed_run()}"}
    orchestrate.take_steps(failed_run(), ["gate:stage", "build", "gate:build", "publish"])
    assert held().keys() == {str(BAD)}


def failed_run() -> str:
    with transaction() as connection:
        rows = query(connection, "select run_id from ops.runs where state = 'failed' and kind <> 'trial'")
    (row,) = rows
    return str(row["run_id"])


def test_a_run_that_is_moved_on_is_made_again_though_it_is_killed_meanwhile(
    shop: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its next attempt would find nothing moved, and publish what it had built on the earlier state."""
    correct(shop, usd_1_25=GOOD)
    opened = orchestrate.open_work(None)
    assert opened.run
    orchestrate.take_steps(opened.run.run_id, STEPS[1:-2])
    correct(shop, usd_2_25=GOOD)
    orchestrate.run_all(None)
    with monkeypatch.context() as patch:
        breaking_off(orchestrate, 2, patch)
        with pytest.raises(KeyboardInterrupt):
            orchestrate.take_step(opened.run.run_id, "publish")
    orchestrate.take_step(opened.run.run_id, "publish")
    assert amounts() >= {"1.25", "2.25"}
    assert stale() == []


def test_a_verdict_after_build_lapses_with_what_another_run_publishes(shop: Platform) -> None:
    correct(shop, usd_3_25=BAD)
    reject_by_hand(BAD, gate="build")
    assert held().keys() == {str(BAD)}
    correct(shop, usd_2_25=GOOD)
    orchestrate.run_all(None)
    assert (amounts() >= {"2.25"}, amounts() >= {"3.25"}) == (True, False)
    assert [s.what for s in stale() if is_work(s)] == [str(BAD)]


def test_what_was_judged_together_stands_together(shop: Platform) -> None:
    both = [BAD, BAD + ONE_DAY]
    file = land(shop, "together", purchase(both[0], "8.75"), purchase(both[1], "9.75"))
    reject_by_hand(*both)
    assert held().keys() == set(map(str, both))
    with transaction() as connection:
        execute(
            connection,
            "insert into ops.withdrawals (file_id, arrived_at, reason)"
            " select file_id, now(), 'a test' from ops.files where path like '%together.txt'",
        )
    file.unlink()
    land(shop, "first", purchase(both[0], "8.50"))
    land(shop, "second", purchase(both[1], "9.75"))
    orchestrate.run_all(None)
    assert stale() == []
    assert amounts() >= {"8.50", "9.75"}


def test_a_run_speaks_again_of_a_day_that_is_rejected_no_more(shop: Platform, day_after: date) -> None:
    correct(shop, usd_1_25=GOOD)
    land(shop, day_after, purchase(day_after, "8.75"))
    reject_by_hand(day_after)
    night = orchestrate.open_work(Interval.of_day(day_after), kind=staleness.NIGHT).run
    assert night
    orchestrate.take_steps(night.run_id, STEPS[1:-2])
    with transaction() as connection:
        assert orchestrate.get_run(connection, night.run_id).through_day == LAST
        forget(connection, "purchases")
    orchestrate.take_steps(night.run_id, STEPS[3:])
    assert speaks_through() == day_after
    assert amounts() >= {"8.75"}


def test_a_change_that_reaches_into_a_rejected_day_is_not_cut(
    shop: Platform, day_after: date, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Purchases are optional here, and customers come daily: one file holds the last day and the rejected one."""
    change(monkeypatch, "purchases", missing_day="empty")
    change(monkeypatch, "customers", missing_day="error")
    folder = shop.landing / "shop/customers"
    extract = (folder / f"{START}.csv").read_text()
    (folder / f"{LAST}.csv").write_text(extract)
    (folder / f"{day_after}.csv").write_text(extract)
    land(shop, "together", purchase(LAST, "8.75"), purchase(day_after, "9.75"))
    opened = orchestrate.open_work(None)
    assert opened.run
    perform(opened.run.run_id, "ingest")
    with transaction() as connection:
        live = fingerprints(connection, get_contracts()["customers"])
        said = {day_after: Rejection(live[day_after], "stage", opened.run.run_id, "a test")}
        reject(connection, opened.run, present_read_set(connection), {"customers": said})
    orchestrate.run_all(None)
    assert speaks_through() == LAST
    assert not amounts() & {"8.75", "9.75"}


def test_the_gate_after_build_rejects_too_and_not_what_needs_another_change(
    shop: Platform, day_after: date, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A correction breaks a rule about a mart; the due day's purchases keep one only beside the due day's extract."""
    unknown = "customer_id not in (select customer_id from dim_customers_current)"
    add_rule(monkeypatch, "fct_purchases", "sold_to_someone_known", f"amount_usd = 777 or {unknown}")
    folder = shop.landing / "shop/customers"
    known = (folder / f"{LAST - 4 * ONE_DAY}.csv").read_text().splitlines()
    (folder / f"{day_after}.csv").write_text("\n".join([*known, "99999" + known[1][5:], ""]))
    land(shop, day_after, purchase(day_after, "5.25").replace(b"00001", b"99999"))
    correct(shop, usd_777=BAD)
    orchestrate.run_all(Interval.of_day(day_after), kind=staleness.NIGHT)
    assert "5.25" in amounts("marts.fct_purchases")
    assert held().keys() == {str(BAD)}, "the publication of the run itself changes nothing"
    assert "rejected by the gate after build" in held()[str(BAD)]


def test_a_deploy_is_published_though_all_that_came_is_rejected(
    shop: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_rule(monkeypatch, "dim_customers_current", "someone", "customer_id is null")
    correct(shop, usd_666=BAD)
    orchestrate.run_all(None)
    assert [s for s in stale() if is_work(s)] == []
    assert held().keys() == {str(BAD)}


def test_a_verdict_lapses_with_the_contract_and_on_demand(shop: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    correct(shop, usd_666=BAD)
    reject_by_hand(BAD)
    before = get_contracts()["purchases"]
    change(monkeypatch, "purchases", quality=before.quality[:-1])
    assert held() == {}
    change(monkeypatch, "purchases", quality=before.quality)
    assert held().keys() == {str(BAD)}
    told = CliRunner().invoke(build_app(), ["gate", "retry", "--dataset", "purchases"])
    assert "1 day will be tried again" in told.stdout
    assert held() == {}


def test_what_is_published_is_no_more_rejected(shop: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    correct(shop, usd_3_25=BAD)
    reject_by_hand(BAD)
    change(monkeypatch, "purchases", quality=())
    orchestrate.run_all(None)
    assert amounts() >= {"3.25"}
    assert (stale(), remembered()) == ([], [])


def test_a_backfill_leaves_the_chunk_of_a_rejected_day_undone(shop: Platform) -> None:
    correct(shop, usd_3_25=BAD, usd_1_25=BAD + ONE_DAY, usd_2_25=GOOD + 3 * ONE_DAY)
    reject_by_hand(BAD)
    days = Interval(START, START + 8 * ONE_DAY)

    def opened() -> Backfill:
        with transaction() as connection:
            return open_backfill(connection, days, chunk_days=4, datasets=(), reason="a test")

    with pytest.raises(GateFailure, match=f"(?s)these days, and their chunks are left.*purchases of {BAD}: rejected"):
        run_backfill(opened())
    assert amounts() >= {"1.25", "2.25"}, "all else is published"
    again = opened()
    assert again.resumed
    assert [chunk.days.start for chunk in again.left] == [START]
    with transaction() as connection:
        forget(connection, "purchases")
    run_backfill(again)
    assert not opened().resumed


def test_days_done_again_on_demand_leave_out_what_is_rejected(shop: Platform) -> None:
    correct(shop, usd_3_25=BAD, usd_1_25=GOOD)
    reject_by_hand(BAD)
    orchestrate.run_all(Interval(START, DUE), rebuild=True)
    assert "1.25" in amounts()
    assert "3.25" not in amounts()
    assert held().keys() == {str(BAD)}


def test_a_rollback_is_not_split(shop: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    correct(shop, usd_1_25=BAD)
    orchestrate.run_all(None)
    undone = newest_publication()
    correct(shop, usd_2_25=GOOD)
    add_rule(monkeypatch, "purchases", "stays", "not exists (select from raw.purchases where amount_usd = 9999)")
    with pytest.raises(GateFailure, match="rule stays"):
        roll_back(undone, "a test")
    assert remembered() == []


def test_new_days_of_datasets_that_must_come_daily_are_tried_together(
    shop: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(monkeypatch, "customers", missing_day="error")
    new, other = DUE, DUE + timedelta(days=3)
    changes = [
        InputChange("purchases", frozenset({BAD}), 0),
        InputChange("customers", frozenset({new}), 0),
        InputChange("purchases", frozenset({other}), 0),
        InputChange("purchases", frozenset({new}), 0),
    ]
    with transaction() as connection:
        required, optional = _units(connection, changes)
    assert optional == []
    assert {frozenset(unit) for unit in required} == {
        frozenset({changes[1], changes[3]}),
        frozenset({changes[2]}),
        frozenset({changes[0]}),
    }
