"""A gate checks all that its step made, records it, and stops the run exactly when an error rule fails."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from data_platform.failures import GateFailure, InputError
from data_platform.gates import data_docs, results
from data_platform.gates.gate import gate_step
from data_platform.gates.verdicts import verdicts
from data_platform.runs import Run, recorded_step, step_rows
from data_platform.settings import get_settings
from data_platform.steps import perform
from data_platform.warehouse.connection import execute, query, transaction
from tests.conftest import PASSWORD, Platform
from tests.integration.gates.conftest import DAY, GOOD, deliver, make, new_run, order, stage

pytestmark = pytest.mark.integration


def lines(run: Run, step: str) -> dict[str, dict[str, Any]]:
    with transaction() as connection:
        return {r["subject"]: r for r in step_rows(connection, run.run_id) if r["step"] == step}


def recorded(run: Run) -> dict[tuple[str, str], dict[str, Any]]:
    with transaction() as connection:
        return {(r["relation"], r["rule_id"]): r for r in results.read(connection, run.run_id)}


def said(run: Run) -> dict[str, str]:
    with transaction() as connection:
        return dict(verdicts(connection, run.run_id))


def pages() -> list[Path]:
    return sorted((get_settings().reports_dir / "data_docs" / "validations").rglob("*.html"))


def test_good_rows_pass_and_every_rule_is_recorded(project: Platform) -> None:
    run = stage("orders", GOOD)
    perform(run.run_id, "gate:stage")
    line = lines(run, "gate:stage")["orders"]
    assert (line["verdict"], line["rows_read"]) == ("passed", 4)
    assert line["message"] == "4 rows of 1 days; 16 of 16 rules hold"
    assert lines(run, "gate:stage")["members"]["message"] == "not in this run: not checked"
    found = recorded(run)
    assert len(found) == 16
    assert all(r["passed"] and r["rows_checked"] == 4 and r["observed"] is None for r in found.values())
    assert said(run) == {"orders": "passed"}
    assert [page.name for page in pages()] == ["orders.html"]


def test_a_failed_error_stops_the_run_and_says_all(project: Platform) -> None:
    run = stage("orders", [*GOOD, order(5, country="MX", gender="secret", amount_usd="2000")])
    with pytest.raises(GateFailure) as failure:
        perform(run.run_id, "gate:stage")
    message = str(failure.value)
    for part in (
        "the gate after stage stops run",
        "orders, rule country_known: observed 1 of 5 rows (20%)",
        "expected: country is one of US, CA",
        "reason:   2026-11 the shop ships to these two.",
        "country=MX",
        "orders, rule amount_usd.range",
        "orders, rule gender_known",
        "consumers keep the previous publication",
    ):
        assert part in message
    assert "secret" not in message
    assert lines(run, "gate:stage")["orders"]["verdict"] == "failed"
    assert said(run) == {"orders": "failed"}
    row = recorded(run)["orders", "country_known"]
    assert (row["passed"], row["observed"]) == (False, "1 of 5 rows (20%)")
    assert row["examples"][0]["country"] == "MX"
    assert row["examples"][0]["gender"] == "•••"
    with transaction() as connection:
        assert query(connection, "select state from ops.runs where run_id = %s", (run.run_id,))[0]["state"] == "failed"


def test_a_warning_is_recorded_and_does_not_stop(project: Platform) -> None:
    run = stage("orders", [*GOOD, order(5, note="coupon"), order(6, note="coupon")])
    perform(run.run_id, "gate:stage")
    assert said(run) == {"orders": "warned"}
    assert "coupons_are_rare: 2 of 6 rows (33.3%)" in lines(run, "gate:stage")["orders"]["message"]


def test_no_rows_where_the_ledger_has_some_fails(project: Platform) -> None:
    deliver("orders", 4)
    run = make(new_run(), "orders", [])
    with pytest.raises(GateFailure, match="is_all_of_the_ledger: observed 0"):
        perform(run.run_id, "gate:stage")


def test_a_row_that_was_lost_on_the_way_fails(project: Platform) -> None:
    deliver("orders", 5)
    run = make(new_run(), "orders", GOOD)
    with pytest.raises(GateFailure, match=r"(?s)is_all_of_the_ledger: observed 4.*expected: 5 rows"):
        perform(run.run_id, "gate:stage")


def test_an_empty_scope_is_skipped_and_not_counted_as_checked(project: Platform) -> None:
    run = make(new_run(), "orders", [], scope=[])
    perform(run.run_id, "gate:stage")
    line = lines(run, "gate:stage")["orders"]
    assert (line["verdict"], line["message"]) == (None, "nothing in scope: not checked")
    assert said(run) == {}
    assert recorded(run) == {}


@pytest.mark.parametrize("scope", [[], [DAY + timedelta(1)]])
def test_rows_outside_the_scope_fail(project: Platform, scope: list[Any]) -> None:
    run = make(new_run(), "orders", GOOD, scope=scope)
    with pytest.raises(GateFailure, match="is_in_scope: observed 4 rows outside the scope"):
        perform(run.run_id, "gate:stage")


def test_what_was_planned_and_not_staged_fails(project: Platform) -> None:
    run = stage("orders", GOOD)
    with transaction() as connection:
        execute(connection, f"drop table {run.schema}.orders__new cascade")
    with pytest.raises(GateFailure, match="is_staged: observed no relation orders__delta, orders__new"):
        perform(run.run_id, "gate:stage")


def test_a_verdict_lapses_when_its_step_is_taken_again(project: Platform) -> None:
    run = stage("orders", GOOD)
    perform(run.run_id, "gate:stage")
    with recorded_step(run, "stage"):
        pass
    assert said(run) == {}
    perform(run.run_id, "gate:stage")
    assert said(run) == {"orders": "passed"}


def test_what_dbt_built_is_checked(project: Platform) -> None:
    run = stage("orders", GOOD)
    make(run, "fct_orders", [(1, DAY), (1, DAY), (2, DAY)])
    with pytest.raises(GateFailure, match=r"fct_orders, rule key: observed 1 such groups of rows"):
        perform(run.run_id, "gate:build")


def test_a_model_that_was_not_built_fails(project: Platform) -> None:
    run = stage("orders", GOOD)
    with pytest.raises(GateFailure, match="fct_orders, rule is_built: observed no relation"):
        perform(run.run_id, "gate:build")


def test_a_table_is_not_emptied_without_a_reason(project: Platform) -> None:
    run = stage("orders", GOOD)
    make(run, "fct_orders", [])
    with pytest.raises(GateFailure, match="fct_orders, rule is_not_emptied: observed 0"):
        perform(run.run_id, "gate:build")


def publish_orders(*, and_fct: bool) -> None:
    """Published rows of ``DAY``, put there by hand."""
    with transaction() as connection:
        for n in range(1, 5):
            execute(
                connection,
                "insert into raw.orders (row_id, order_id, ordered_on, customer_id, known_at)"
                " values (gen_random_uuid(), %s, %s, '00001', now())",
                (n, DAY),
            )
            if and_fct:
                execute(
                    connection,
                    "insert into marts.fct_orders (order_id, ordered_on, known_at) values (%s, %s, now())",
                    (n, DAY),
                )


@pytest.mark.parametrize("upstream_too", [True, False])
def test_published_rows_vanish_only_with_those_upstream(project: Platform, upstream_too: bool) -> None:
    publish_orders(and_fct=True)
    run = new_run()
    if upstream_too:
        run = make(run, "orders", [])
    run = make(run, "fct_orders", [])
    if upstream_too:
        perform(run.run_id, "gate:build")
        assert said(run) == {"fct_orders": "passed"}
    else:
        with pytest.raises(GateFailure, match="is_not_emptied"):
            perform(run.run_id, "gate:build")


def test_deliveries_that_add_up_pass_with_their_profile(project: Platform) -> None:
    deliver("orders", 90, quarantined=10)
    deliver("orders", 50)
    run = new_run()
    perform(run.run_id, "gate:ingest")
    line = lines(run, "gate:ingest")["orders"]
    assert (line["rows_read"], line["rows_live"], line["rows_quarantined"]) == (150, 140, 10)
    assert line["verdict"] == "passed"
    assert line["message"].startswith("2 deliveries, 0 failed; 6.7% of rows quarantined")
    assert lines(run, "gate:ingest")["members"]["message"] == "no delivery: not checked"
    assert said(run) == {}, "only what was staged or built has passed its gate"


def test_a_delivery_that_failed_alone_is_a_warning(project: Platform) -> None:
    deliver("orders", 10)
    deliver("orders", 0, state="failed", path="landing/till/orders/bad.csv")
    run = new_run()
    perform(run.run_id, "gate:ingest")
    assert lines(run, "gate:ingest")["orders"]["verdict"] == "warned"
    assert recorded(run)["orders", "none_failed"]["examples"][0]["path"] == "landing/till/orders/bad.csv"


def test_deliveries_that_all_failed_are_a_warning(project: Platform) -> None:
    deliver("orders", 0, state="failed")
    run = new_run()
    perform(run.run_id, "gate:ingest")
    assert lines(run, "gate:ingest")["orders"]["verdict"] == "warned"


BROKEN_ACCOUNTS = {
    "rows_accounted_for": "update ops.files set rows_read = null, rows_live = 8",
    "days_accounted_for": "update ops.file_days set rows = 7",
    "quarantine_kept": "delete from quarantine.rows",
    "all_read": "update ops.files set ingest_id = null",
    "live_rows": "update ops.files set rows_read = 2, rows_live = 0",
}


@pytest.mark.parametrize("rule_id", BROKEN_ACCOUNTS)
def test_an_account_that_does_not_add_up_fails(project: Platform, rule_id: str) -> None:
    deliver("orders", 8, quarantined=2)
    with transaction() as connection:
        execute(connection, BROKEN_ACCOUNTS[rule_id])
    with pytest.raises(GateFailure, match=f"orders, rule {rule_id}: observed"):
        perform(new_run().run_id, "gate:ingest")


def test_too_many_quarantined_rows_fail(project: Platform) -> None:
    deliver("orders", 8, quarantined=2)
    perform(new_run().run_id, "gate:ingest")
    deliver("orders", 7, quarantined=2)
    with pytest.raises(GateFailure, match=r"(?s)quarantined_share.*at most 0.2 of a delivery"):
        perform(new_run().run_id, "gate:ingest")


def test_a_delivery_that_came_after_the_run_was_opened_waits(project: Platform) -> None:
    deliver("orders", 8)
    run = new_run()
    deliver("orders", 0, state="new")
    perform(run.run_id, "gate:ingest")
    assert lines(run, "gate:ingest")["orders"]["verdict"] == "passed"


def test_pages_are_kept_for_the_last_runs_and_hold_no_secret(
    project: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_docs, "KEEP_RUNS", 1)
    first = stage("orders", GOOD)
    perform(first.run_id, "gate:stage")
    second = stage("orders", [*GOOD, order(5, gender="hush-hush", country="<b>MX</b>")])
    with pytest.raises(GateFailure):
        perform(second.run_id, "gate:stage")
    assert [second.run_id in str(page) for page in pages()] == [True]
    assert second.run_id in (get_settings().reports_dir / "data_docs" / "index.html").read_text(encoding="utf-8")
    without_document = make(new_run(), "orders", GOOD, scope=[])
    with pytest.raises(GateFailure, match="is_in_scope"):
        perform(without_document.run_id, "gate:stage")
    page = pages()[0].read_text(encoding="utf-8")
    assert "customer_id is like ^\\d{5}$" in page, "a gate without a result for GX leaves the pages as they are"
    assert "MX" in page
    assert "<b>MX</b>" not in page
    written = b"".join(file.read_bytes() for file in get_settings().state_dir.rglob("*") if file.is_file())
    assert b"orders" in written
    for secret in (PASSWORD, "hush-hush"):
        assert secret.encode() not in written


def test_an_unknown_gate_is_refused() -> None:
    with pytest.raises(InputError, match="no gate stands after 'publish'"):
        gate_step("publish")


def test_commands_take_a_gate_and_show_its_results(project: Platform) -> None:
    from data_platform.cli.main import build_app

    runner = CliRunner()
    run = stage("orders", [*GOOD, order(5, note="coupon"), order(6, note="coupon")])
    taken = runner.invoke(build_app(), ["gate", "--run", run.run_id, "--after", "stage", "--json"])
    assert taken.exit_code == 0, taken.output
    assert '"verdict": "warned"' in taken.output
    shown = runner.invoke(build_app(), ["gate", "results"])
    assert "coupons_are_rare" in shown.output
    assert "note=coupon" in shown.output
    again = runner.invoke(build_app(), ["gate", "stage", "--run", run.run_id])
    assert again.exit_code == 0
    refused = runner.invoke(build_app(), ["gate", "--run", run.run_id])
    assert isinstance(refused.exception, InputError)
