"""``dp demo``: the platform from nothing to served features, on the sample company."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import typer

from data_platform.cli.output import console
from data_platform.clock import due_day
from data_platform.failures import PermanentFailure
from data_platform.settings import Settings, get_settings
from data_platform.warehouse.connection import query, transaction
from sample_company import cdnow

ONE_DAY = timedelta(days=1)
NIGHT = "run_nightly"
CUSTOMERS = ("00001", "00018", "22061")


def register(app: typer.Typer) -> None:
    """Adds ``dp demo``."""
    app.command("demo", rich_help_panel="This machine")(demo)


def demo() -> None:
    """Bring the platform up, load the sample company's history, run its last night, show what came out.

    A second call finds everything done, and changes nothing.
    """
    began = time.monotonic()
    from data_platform.cli.platform import up
    from sample_company.cli import refuse_real_data

    refuse_real_data(get_settings())
    up()
    settings = get_settings()
    _dp("simulate", "company")
    if not _is_published(cdnow.LAST_DAY - ONE_DAY):
        with _timed(f"history: {cdnow.FIRST_DAY} to {cdnow.LAST_DAY - ONE_DAY}, in one pass"):
            reason = "history of the sample company"
            _dp("run", str(cdnow.FIRST_DAY), str(cdnow.LAST_DAY), "--reason", reason, "--progress")
    run_id = _run_of_last_real_day() or _run_night(settings)
    _dp("report", "--run", run_id)
    _dp("features", "get", *(f"customer_id={c}" for c in CUSTOMERS))
    _dp(
        "sql",
        "select count(*) as purchases, sum(amount_usd) as amount_usd, count(distinct customer_id) as customers,"
        " count(distinct purchased_on) as days from raw.purchases where purchased_on <= '1998-06-30'",
    )
    _say_where(settings, time.monotonic() - began)


def _dp(*arguments: str) -> None:
    """Runs another command of ``dp`` with its output shown, in a process of its own: rooms do not import each other.

    Raises:
        typer.Exit: with the command's exit code when it fails; it has told why.
    """
    sys.stdout.flush()
    done = subprocess.run([_program(), *arguments], check=False)
    if done.returncode:
        raise typer.Exit(done.returncode)


def _program() -> str:
    return str(Path(sys.executable).with_name("dp"))


@contextmanager
def _timed(what: str) -> Iterator[None]:
    began = time.monotonic()
    console.print(f"[bold]{what}[/] …")
    yield
    console.print(f"{what}: {time.monotonic() - began:.0f} s")


def _is_published(day: Any) -> bool:
    with transaction() as connection:
        rows = query(
            connection,
            "select exists (select from ops.published_tables"
            " where table_name like 'features.%%' and through_day >= %s)",
            (day,),
        )
    return bool(rows[0]["exists"])


def _run_of_last_real_day() -> str | None:
    """The run that published the last real day, if there is one.

    It need not be a night's: after `dp run` the night finds nothing to do.
    """
    with transaction() as connection:
        rows = query(
            connection,
            "select run_id from ops.published_days join ops.publications using (publication_id)"
            " where table_name = 'raw.purchases' and day = %s",
            (cdnow.LAST_DAY,),
        )
    return rows[0]["run_id"] if rows else None


def _run_night(settings: Settings) -> str:
    """Runs the DAG for the last real day through Airflow's REST API, and returns the platform's run id.

    Raises:
        PermanentFailure: when the DAG run does not succeed.
    """
    from data_platform.local.airflow import airflow_client, airflow_url

    airflow = airflow_client(settings)
    airflow.wait_for_dags({NIGHT})
    today = datetime.now(UTC).date()
    calendar_day = today - (due_day() - cdnow.LAST_DAY) - ONE_DAY
    start = datetime(calendar_day.year, calendar_day.month, calendar_day.day, 2, tzinfo=UTC)
    with _timed(f"{NIGHT} for {cdnow.LAST_DAY}, in Airflow"):
        # The run is there before the DAG is unpaused: the scheduler, which would begin the same night, finds it.
        dag_run = airflow.trigger(NIGHT, interval=(start, start + ONE_DAY), note="the sample company's last real day")
        airflow.unpause(NIGHT)
        ended = airflow.wait_for_run(NIGHT, dag_run, on_change=_tell)
    if ended["state"] != "success":
        failed = [t for t, s in airflow.task_states(NIGHT, dag_run).items() if s == "failed"]
        raise PermanentFailure(
            f"{NIGHT} ended {ended['state']}; failed: {', '.join(failed)}",
            hint=f"its log is at {airflow_url(settings)}/dags/{NIGHT}/runs/{dag_run}",
        )
    for dag in airflow.dags():
        airflow.unpause(dag["dag_id"])
    run_id = _run_of_last_real_day()
    if run_id is None:
        raise PermanentFailure(f"{NIGHT} succeeded, but {cdnow.LAST_DAY} is not published", hint="see `dp runs`")
    return run_id


def _tell(task: str, state: str) -> None:
    if state in {"running", "success", "failed", "up_for_retry"}:
        console.print(f"  {task}: {state}")


def _say_where(settings: Settings, seconds: float) -> None:
    from data_platform.environment import env_file
    from data_platform.local.airflow import ADMIN, airflow_url

    password = (
        settings.airflow_admin_password.get_secret_value()
        if console.is_terminal
        else f"AIRFLOW_ADMIN_PASSWORD in {env_file()}"
    )
    console.print(f"\n[bold]Airflow[/]  {airflow_url(settings)}  user {ADMIN}  password {password}")
    console.print(f"[bold]Reports[/]  http://127.0.0.1:{settings.reports_port}")
    console.print(f"done in {seconds:.0f} s; `make status` tells what runs, `make down` stops it")
