"""Commands about the vault, for the steward."""

from __future__ import annotations

from typing import Annotated

import typer

from data_platform.cli.output import JsonOption, console, print_json
from data_platform.privacy import hash_key
from data_platform.vault import find_values, record_access, values_of
from data_platform.warehouse.connection import transaction

ROLE = "steward"


def register(app: typer.Typer) -> None:
    """Adds the commands to ``dp``."""
    group = typer.Typer(help="Personal values behind tokens.", no_args_is_help=True)
    group.command("show")(vault_show)
    app.add_typer(group, name="vault")


def vault_show(
    token: Annotated[str, typer.Argument(help="A token, as a published column holds it.")],
    purpose: Annotated[str, typer.Option("--purpose", help="What for; kept with your name. Never a personal value.")],
    as_json: JsonOption = False,
) -> None:
    """Show what a token stands for. Who reads it, and what for, is kept."""
    with transaction(ROLE) as connection:
        records = find_values(connection, token)
        record_access(connection, token, records, purpose)
    values = values_of(token, records, hash_key())
    if as_json:
        print_json({"token": token, "values": values})
        return
    for value in values:
        console.print(f"{value['column']}: {value['value']}", markup=False)
