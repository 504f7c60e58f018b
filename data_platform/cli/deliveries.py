"""Commands about single deliveries."""

from __future__ import annotations

from typing import Annotated

import typer

from data_platform.cli.output import JsonOption, console, print_json
from data_platform.warehouse.connection import transaction
from data_platform.withdrawals import withdraw as withdraw_path
from data_platform.words import count_of


def register(app: typer.Typer) -> None:
    """Adds the commands to ``dp``."""
    app.command("withdraw")(withdraw)


def withdraw(
    path: Annotated[str, typer.Argument(help="The file as `dp stale --all` names it, like landing/shop/x.csv.")],
    reason: Annotated[str, typer.Option(help="Why; kept with the decision. Never a customer's name or number.")],
    as_json: JsonOption = False,
) -> None:
    """Say that a delivered file does not count: the next run takes its rows out of everything published."""
    with transaction() as connection:
        done = withdraw_path(connection, path, reason)
    if as_json:
        print_json(vars(done))
        return
    days = count_of(done.days, "day")
    console.print(f"{done.path} is withdrawn; the next run removes {done.rows} rows of {days}")
