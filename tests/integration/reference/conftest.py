"""A small shop that sells in several currencies, and tells now and then what these are worth."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from data_platform import orchestrate
from data_platform.contracts.compile.files import compile_all
from data_platform.contracts.load import get_contracts, load_contracts
from data_platform.local.postgres import EmbeddedPostgres
from data_platform.settings import PROJECT_ROOT
from data_platform.warehouse.connection import query, transaction
from tests.conftest import Platform, make_platform
from tests.state import newest_publication

PROJECT = Path(__file__).parent / "project"
LONG_AGO, LATELY = date(1997, 1, 5), date(1998, 1, 30)
# order, day, customer, currency, amount
ORDERS = (
    (1, LONG_AGO, 1, "EUR", "10.00"),
    (2, LONG_AGO, 2, "USD", "20.00"),
    (3, LATELY, 1, "JPY", "3000.00"),
    (4, LATELY, 3, "EUR", "40.00"),
    (5, LATELY, 4, "CHF", "50.00"),
)
RATES = {"USD": "1", "EUR": "1.1", "JPY": "0.01", "SEK": "0.1"}
PEGS = {"USD": "EUR"}
# EUR is worth more, CHF comes, JPY goes.
NEW_RATES = {"USD": "1", "EUR": "1.2", "CHF": "1.5", "SEK": "0.1"}


@pytest.fixture
def till(postgres: EmbeddedPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    """A platform with this shop's contracts and models, whose first orders and rates are published."""
    root = tmp_path / "project"
    shutil.copytree(PROJECT / "contracts", root / "contracts")
    for part in ("dbt_project.yml", "macros", "tests/generic"):
        copy = shutil.copytree if (PROJECT_ROOT / "dbt_project" / part).is_dir() else shutil.copy
        (root / "dbt_project" / part).parent.mkdir(parents=True, exist_ok=True)
        copy(PROJECT_ROOT / "dbt_project" / part, root / "dbt_project" / part)
    shutil.copytree(PROJECT / "models", root / "dbt_project/models")
    for file, text in compile_all(load_contracts(root / "contracts"), root).items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(text)
    for platform in make_platform(postgres, tmp_path, monkeypatch, today=date(1998, 2, 1), project=root):
        for day in (LONG_AGO, LATELY):
            rows = [",".join(map(str, order)) for order in ORDERS if order[1] == day]
            land(platform, f"orders/{day}.csv", "order_id,ordered_on,customer_id,currency_code,amount", *rows)
        land_rates(platform, RATES)
        orchestrate.run_all(None)
        yield platform


def land(platform: Platform, name: str, *lines: str) -> None:
    file = platform.landing / "till" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines) + "\n")


def land_rates(platform: Platform, rates: Mapping[str, str], name: str = "now.csv") -> None:
    rows = (f"{code},{rate},{PEGS.get(code, '')}" for code, rate in rates.items())
    land(platform, f"currencies/{name}", "currency_code,rate_usd,pegged_to", *rows)


def rates() -> dict[str, str]:
    """The reference table as it is published, like ``RATES``."""
    with transaction() as connection:
        rows = query(connection, "select currency_code, rate_usd from raw.currencies")
    return {row["currency_code"]: f"{row['rate_usd'].normalize():f}" for row in rows}


def wrote() -> dict[str, tuple[int, int, int]]:
    """Table → rows that the newest publication inserted, updated, deleted, where it did."""
    with transaction() as connection:
        rows = query(
            connection,
            """select table_name, inserted, updated, deleted from ops.publication_tables
               where publication_id = %s and inserted + updated + deleted > 0""",
            (newest_publication(),),
        )
    return {row["table_name"]: (row["inserted"], row["updated"], row["deleted"]) for row in rows}


def built() -> dict[str, str]:
    """Model → what the newest run said of building it."""
    with transaction() as connection:
        rows = query(
            connection,
            """select distinct on (subject) subject, message from ops.run_steps join ops.runs using (run_id)
               where step = 'build' and subject <> '' order by subject, runs.started_at desc""",
        )
    return {row["subject"]: row["message"] for row in rows}


def is_right() -> bool:
    """Whether the models are what their inputs make of them, by a statement of this test's own."""
    with transaction() as connection:
        (found,) = query(
            connection,
            """with orders as (
                   select o.*, o.amount * c.rate_usd as amount_usd
                   from raw.orders as o left join raw.currencies as c using (currency_code)
               ),
               wanted as (
                   select 'order', order_id::text as key, ordered_on, amount_usd from orders
                   union all select 'customer', customer_id::text, max(ordered_on), sum(amount_usd)
                   from orders group by customer_id
                   union all select 'currency', currency_code, max(ordered_on), sum(amount_usd)
                   from orders group by currency_code
                   union all select 'peg', o.currency_code, null, max(peg.rate_usd)
                   from orders as o left join raw.currencies as c using (currency_code)
                   left join raw.currencies as peg on c.pegged_to = peg.currency_code group by o.currency_code
               ),
               there as (
                   select 'order', order_id::text as key, ordered_on, amount_usd from marts.fct_orders
                   union all select 'customer', customer_id::text, last_ordered_on, amount_usd from marts.fct_customers
                   union all select 'currency', currency_code, last_ordered_on, amount_usd from marts.fct_currencies
                   union all select 'peg', currency_code, null, peg_rate_usd from marts.fct_currencies
               )
               select not exists (table wanted except all table there)
                   and not exists (table there except all table wanted) as is_right,
                   (select count(*) from there) as rows""",
        )
    return bool(found["is_right"]) and found["rows"] > 0


def known_since() -> dict[str, dict[Any, Any]]:
    """Table → key → since when its row is known."""
    told = {}
    for contract in get_contracts().of_layer("marts"):
        with transaction() as connection:
            (key,) = contract.key
            rows = query(connection, f"select {key} as key, known_at from {contract.table}")
        told[contract.dataset] = {row["key"]: row["known_at"] for row in rows}
    return told
