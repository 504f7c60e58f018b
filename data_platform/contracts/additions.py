"""Columns added to a contract's file as a first draft for a person; all else of the file stays byte for byte."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from data_platform.contracts.inferred import logical_type, suggested
from data_platform.contracts.load import load_contract
from data_platform.contracts.model import RESERVED, Contract
from data_platform.contracts.names import snake_case
from data_platform.contracts.positions import position
from data_platform.contracts.quoting import scalar
from data_platform.failures import InputError

BY_HAND = "add the lines by hand; `dp contracts drift <dataset>` prints them"


@dataclass(frozen=True)
class Addition:
    """A column that came: its name as delivered, what it was found to hold, and words on where it was seen."""

    delivered: str
    inferred: str | None
    seen: str


def lines_of(contract: Contract, additions: Iterable[Addition]) -> list[str]:
    """Lines of the columns as a contract has them, from the left margin on."""
    taken = {c.name for c in contract.columns} | {c.name for c in contract.published_columns} | RESERVED
    lines: list[str] = []
    for addition in additions:
        name = _free_name(addition.delivered, taken)
        taken.add(name)
        physical = suggested(addition.inferred or "text")
        lines += [
            f"- name: {scalar(name)}  # review: {addition.seen}",
            *([] if name == addition.delivered else [f"  physicalName: {scalar(addition.delivered)}"]),
            f"  logicalType: {logical_type(physical)}",
            f"  physicalType: {physical}  # review: as found, {addition.inferred or 'without a value'}",
            "  description: New in the delivery.  # review: say what a value means",
        ]
    return lines


def add_to_file(contract: Contract, additions: Sequence[Addition], root: Path) -> Path:
    """Writes the columns into the contract's file below ``root``, before the one that holds what nobody names.

    Raises:
        InputError: when the file has no place for them, or would not be a contract with them; it is left as it was.
    """
    file = root / contract.path
    before = file.read_bytes()
    text = before.decode()
    row, column = _place(text, contract)
    end = "\r\n" if "\r\n" in text else "\n"
    lines = text.splitlines(keepends=True)
    lines[row:row] = [f"{' ' * column}{line}{end}" for line in lines_of(contract, additions)]
    _replace(file, "".join(lines).encode())
    try:
        load_contract(file, root)
    except InputError as error:
        _replace(file, before)
        raise InputError(
            f"the columns do not fit into the contract; nothing was written\n{error.message}", hint=BY_HAND
        ) from None
    return file


def _place(text: str, contract: Contract) -> tuple[int, int]:
    """The line before which columns are added, from 0, and how far they are indented."""
    at = next(at for at, c in enumerate(contract.columns) if c.name == contract.unknown_fields)
    line, column = position(yaml.compose(text, Loader=yaml.SafeLoader), ("schema", 0, "properties", at))
    lines = text.splitlines()
    dash = re.match(r"( *)- +", lines[line - 1])
    if dash is None or dash.end() != column - 1:
        raise InputError(f"contracts/{contract.path}:{line}:{column}: the column has no line of its own", hint=BY_HAND)
    row = line - 1
    while row and lines[row - 1].strip().startswith("#"):  # what is said of that column stays with it
        row -= 1
    return row, len(dash[1])


def _free_name(delivered: str, taken: Iterable[str]) -> str:
    """A column's name made of the delivered one; the last part of a way, or all of it, or with a number."""
    whole = [snake_case(part) for part in delivered.split(".")]
    candidates = [whole[-1], "_".join(filter(None, whole))]
    candidates += [f"{candidates[1]}_{number}" for number in range(2, 1000)]
    named = (name if re.match("[a-z]", name) else f"column_{name}".rstrip("_") for name in candidates)
    return next(name for name in named if name not in taken)


def _replace(file: Path, content: bytes) -> None:
    """The whole file or the old one: nobody sees half a contract."""
    draft = file.with_suffix(".draft")
    draft.write_bytes(content)
    draft.replace(file)
