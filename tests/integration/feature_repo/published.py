"""Publishes feature rows the way a run does: scope, new rows, overlay, delta, gate's verdict, publication."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from psycopg2 import sql
from psycopg2.extras import execute_values

from data_platform import publish
from data_platform.contracts.load import get_contracts
from data_platform.runs import StepLog, open_run, update_plan
from data_platform.warehouse.connection import execute, transaction
from feature_repo import export

PURCHASES, PROFILE = "ftr_customer__purchases", "ftr_customer__profile"
Row = dict[str, Any]


def start_of(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def purchases_row(customer: str, day: date, *, orders: int = 1, last: date | None = None) -> Row:
    """A row of ``ftr_customer__purchases``: ``orders`` in every window, the first one at the start of 1997."""
    counts = {
        f"{what}_{window}": orders
        for what in ("order_count", "cd_count")
        for window in ("7d", "30d", "90d", "lifetime")
    }
    amounts = {f"amount_usd_{window}": orders * 10.25 for window in ("7d", "30d", "90d", "lifetime")}
    return {
        "customer_id": customer,
        "computed_on": day,
        "event_at": start_of(day + timedelta(days=1)),
        **counts,
        **amounts,
        "first_purchased_at": start_of(date(1997, 1, 1)),
        "last_purchased_at": start_of(last or day),
        "known_at": start_of(day + timedelta(days=1)),
    }


def profile_row(customer: str, day: date, *, country: str | None = "US") -> Row:
    """A row of ``ftr_customer__profile``; without a country the account is gone."""
    return {
        "customer_id": customer,
        "computed_on": day,
        "event_at": start_of(day + timedelta(days=1)),
        "is_deleted": country is None,
        "age_band": "30-39" if country else None,
        "gender": "f" if country else None,
        "country": country,
        "signed_up_on": date(1996, 12, 24) if country else None,
        "known_at": start_of(day + timedelta(days=1)),
    }


def publish_rows(dataset: str, units: Collection[Any], rows: Sequence[Row]) -> None:
    """Publishes ``rows`` as all that these units (customers of purchases, days of profiles) hold."""
    contract = get_contracts()[dataset]
    with transaction() as connection:
        run = open_run(connection, kind="run", asked=None, through_day=date(1998, 1, 31), datasets=(), reason="test")
        place = {"schema": sql.Identifier(run.schema), "table": sql.Identifier(dataset)}
        scope, new = (
            sql.SQL("{}.{}").format(place["schema"], sql.Identifier(dataset + s)) for s in ("__scope", "__new")
        )
        unit_type = "text" if contract.kind == "keyed" else "date"
        execute(connection, "select ops.create_scope(%s, %s, %s)", (run.schema, dataset, unit_type))
        execute(connection, sql.SQL("create table {} (like features.{table})").format(new, **place))
        with connection.cursor() as cursor:
            execute_values(
                cursor, sql.SQL("insert into {} (unit) values %s").format(scope), [(unit,) for unit in units]
            )
            if rows:
                columns = sql.SQL(", ").join(map(sql.Identifier, rows[0]))
                statement = sql.SQL("insert into {} ({}) values %s").format(new, columns)
                execute_values(cursor, statement, [tuple(row.values()) for row in rows])
        names = (run.schema, "features", dataset, contract.unit_column)
        execute(connection, "select ops.create_overlay(%s, %s, %s, %s)", names)
        execute(connection, "select ops.create_delta(%s, %s, %s, %s, %s)", (*names, list(contract.key)))
        run = update_plan(connection, run, stage={})
        execute(
            connection,
            """insert into ops.run_steps (run_id, step, subject, state, verdict)
               values (%s, 'gate:build', %s, 'done', 'passed')""",
            (run.run_id, dataset),
        )
    publish.run_step(run, StepLog(run, "publish"))


def run_export() -> dict[str, str]:
    """Takes the step; returns what it says of each view."""
    log = StepLog(None, "export")  # type: ignore[arg-type]  # the step works for every run that waits
    export.run_step(None, log)  # type: ignore[arg-type]
    return {line["subject"]: line["message"] for line in log.lines}
