"""Every command of ``dp`` explains itself, and can be read by a program."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
import typer

from data_platform.cli.main import build_app

FOR_PEOPLE_ONLY = {"demo"}


def commands(command: click.Command, name: str = "") -> Iterator[tuple[str, click.Command]]:
    """Name and command of every leaf."""
    below = getattr(command, "commands", {})
    for key, sub in below.items():
        yield from commands(sub, f"{name} {key}".strip())
    if not below:
        yield name, command


COMMANDS = dict(commands(typer.main.get_command(build_app())))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_explains_itself_and_its_options(name: str) -> None:
    assert COMMANDS[name].help
    for parameter in COMMANDS[name].params:
        assert getattr(parameter, "help", None), parameter.name


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - FOR_PEOPLE_ONLY))
def test_a_command_speaks_json(name: str) -> None:
    assert "--json" in {option for parameter in COMMANDS[name].params for option in parameter.opts}
