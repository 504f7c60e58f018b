"""Commands about incidents and the channels that tell of them. Only DAGs report; ``dp run`` on a terminal does not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from data_platform import incidents
from data_platform.alerts import Alert, send
from data_platform.cli.output import JsonOption, console, print_json, show
from data_platform.failures import TransientFailure
from data_platform.warehouse.connection import transaction


def register(app: typer.Typer) -> None:
    """Adds the commands to ``dp``."""
    app.command("incidents")(list_incidents)
    alert = typer.Typer(help="Alerts of the DAGs.", no_args_is_help=True)
    alert.command("test")(send_test)
    alert.command("resolve")(resolve)
    app.add_typer(alert, name="alert")


def list_incidents(
    open_only: Annotated[bool, typer.Option("--open", help="Only what is not mended yet.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List what DAGs have failed with, the newest first; each was told once, however often it occurred."""
    with transaction() as connection:
        rows = incidents.list_incidents(connection, open_only=open_only, limit=limit)
    show("open incidents" if open_only else "incidents", rows, as_json=as_json)


def send_test(as_json: JsonOption = False) -> None:
    """Send a test alert by every channel that is set up, and tell what each said; fails when one did not take it."""
    now = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
    deliveries = send(
        Alert(
            dag="dp",
            step="alert_test",
            run_id=now,
            kind="permanent",
            message="somebody ran `dp alert test`: nothing is wrong",
            runbook="alerts",
            status="test",
        )
    )
    show("channels", [vars(one) for one in deliveries], as_json=as_json)
    if failed := [one.channel for one in deliveries if not one.delivered]:
        raise TransientFailure(
            f"the alert did not go out by {', '.join(failed)}",
            hint="docs/runbooks/alerts.md names the settings of each channel",
        )


def resolve(
    incident: Annotated[int, typer.Argument(help="Number of the incident, as `dp incidents` shows it.")],
    as_json: JsonOption = False,
) -> None:
    """Say that an incident is over: those who were told of it are told so, and its next occurrence is a new one."""
    notice = incidents.resolve(incident)
    if as_json:
        print_json(notice.document())
    else:
        console.print(notice.title)
