"""A reference table is what was delivered now: a new delivery replaces it, and what reads it, where that differs."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from data_platform import orchestrate
from data_platform.cli.main import build_app
from data_platform.costs import Cost, learn_costs
from data_platform.intervals import ONE_DAY, REFERENCE_DAY
from data_platform.rollback import release
from data_platform.staleness import Stale
from data_platform.warehouse.connection import query, transaction
from data_platform.withdrawals import withdraw
from tests.conftest import Platform
from tests.integration.dbt.workshop import differences_from_clean_build
from tests.integration.reference.conftest import (
    LATELY,
    NEW_RATES,
    RATES,
    built,
    is_right,
    known_since,
    land,
    land_rates,
    rates,
    wrote,
)
from tests.state import newest_publication, published, stale

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("spark_server")]


def dp(*arguments: str) -> str:
    """What a command says; none tells of the day that reference tables have not."""
    done = CliRunner(env={"COLUMNS": "200"}).invoke(build_app(), list(arguments))
    assert done.exit_code == 0, done.output
    assert str(REFERENCE_DAY) not in done.output
    return done.output


def costs() -> dict[str, Cost]:
    with transaction() as connection:
        return learn_costs(connection)


def test_a_new_delivery_replaces_the_table_and_a_rollback_restores_it(till: Platform) -> None:
    assert rates() == RATES
    assert is_right()
    before, known_before = published(), known_since()

    land_rates(till, NEW_RATES)
    assert "all of it: raw.currencies is replaced" in dp("plan")
    assert "all 4 rows" in dp("run")
    assert rates() == NEW_RATES
    # EUR goes and comes with another rate, JPY goes, CHF comes; orders of long ago are among those in EUR.
    assert wrote() == {
        "raw.currencies": (2, 0, 2),
        "marts.fct_orders": (0, 4, 0),
        "marts.fct_customers": (0, 3, 0),
        "marts.fct_currencies": (0, 4, 0),
    }
    assert built()["fct_currencies"].endswith("in 4 keys"), "USD is pegged to EUR, and stays as it was in the table"
    assert built()["fct_customers"].endswith("in 4 keys"), "nothing tells which customers are touched"
    assert is_right()
    assert stale() == []
    after, known_after = published(), known_since()
    moved = {name: {key for key in keys if keys[key] != known_before[name][key]} for name, keys in known_after.items()}
    assert moved == {
        "fct_orders": {1, 3, 4, 5},
        "fct_customers": {1, 3, 4},
        "fct_currencies": {"EUR", "JPY", "CHF", "USD"},
    }

    replaced = newest_publication()
    assert "raw.currencies" in dp("diff", str(replaced))
    assert "all rows" in dp("rollback", str(replaced), "--dry-run")
    dp("rollback", str(replaced), "--reason", "a test")
    assert published() == before
    assert known_since() == known_before
    assert "raw.currencies" in dp("holds")
    assert "held back: publication" in dp("stale")
    with transaction() as connection:
        release(connection, replaced)
    assert stale() == [Stale("raw.currencies", "", "delivery changed")]
    orchestrate.run_all(None)
    assert published() == after
    assert differences_from_clean_build(LATELY) == {}

    # Days that are done again take the whole table with them, which comes out equal.
    planned = dp("plan", str(LATELY), str(LATELY + ONE_DAY), "--rebuild")
    assert "all rows asked for" in planned
    assert "is replaced" not in planned
    assert "all 4 rows" in dp("run", str(LATELY), str(LATELY + ONE_DAY), "--rebuild")
    assert published() == after


def test_all_files_that_count_are_the_table(till: Platform) -> None:
    land_rates(till, {"CHF": "1.5"}, "francs.csv")
    land_rates(till, {"NOK": "0.1", "DKK": "0.15"}, "crowns.csv")
    orchestrate.run_all(None)
    assert rates() == RATES | {"CHF": "1.5", "NOK": "0.1", "DKK": "0.15"}
    assert wrote()["raw.currencies"] == (3, 0, 0)
    assert is_right()
    assert costs()["build"].fixed_s > 0, "where rates come with each run, that is what runs cost"

    publication = newest_publication()
    land_rates(till, {"CHF": "1.5"}, "francs_again.csv")
    orchestrate.run_all(None)
    assert newest_publication() == publication, "what says the same changes nothing"

    with transaction() as connection:
        withdraw(connection, "landing/till/currencies/crowns.csv", "a test")
    assert Stale("raw.currencies", "", "delivery changed") in stale()
    orchestrate.run_all(None)
    assert rates() == RATES | {"CHF": "1.5"}
    assert wrote() == {"raw.currencies": (0, 0, 2)}
    assert is_right()

    # A key in two files is a mistake: the table stays as it is, and all else goes on.
    land_rates(till, {"CHF": "1.6"}, "francs_otherwise.csv")
    land(till, "orders/more.csv", "order_id,ordered_on,customer_id,currency_code,amount", f"6,{LATELY},3,CHF,60.00")
    orchestrate.run_all(None)
    assert rates() == RATES | {"CHF": "1.5"}
    assert wrote()["marts.fct_orders"] == (1, 0, 0)
    (held,) = stale()
    assert (held.table, held.what) == ("raw.currencies", "")
    assert "rejected by the gate after stage" in held.reason
    assert is_right()
    with transaction() as connection:
        (newest,) = query(
            connection,
            """select seconds from ops.run_steps join ops.runs using (run_id)
               where step = 'build' and subject = '' and runs.state = 'published'
               order by runs.started_at desc limit 1""",
        )
    assert costs()["build"] == Cost(float(newest["seconds"]), 0.0), "orders alone were staged"
    assert differences_from_clean_build(LATELY) == {}
