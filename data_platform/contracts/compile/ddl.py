"""Contract → Postgres DDL of the published table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from data_platform.contracts.compile.checks import sql_literal
from data_platform.contracts.model import Column, Contract
from data_platform.contracts.types import is_widening
from data_platform.failures import InputError

ROW_ID = "Identity of the row: content hash and occurrence among equal rows of its day."
KNOWN_AT = "When the present value of this row could have been known."


def quote(name: str) -> str:
    """A quoted identifier; qualified names part by part."""
    return ".".join(f'"{part}"' for part in name.split("."))


def create_table(contract: Contract) -> str:
    """Statements that make the published table, its indexes and comments; run again, they change nothing."""
    columns = ",\n".join(f"    {quote(name)} {kind}" for name, kind, _ in _columns(contract))
    key = ", ".join(map(quote, contract.key))
    create = f"create table if not exists {quote(contract.table)} (\n{columns},\n    primary key ({key})\n)"
    return "".join(f"{statement};\n" for statement in (create, *_indexes(contract), *_comments(contract)))


def alter_table(old_columns: Iterable[Column], contract: Contract) -> tuple[str, ...]:
    """Statements that bring a table with ``old_columns`` (published ones) to the contract.

    Raises:
        InputError: for a change that rows or readers would not survive.
    """
    old = {column.name: column for column in old_columns}
    new = {column.name: column for column in contract.published_columns}
    if obstacles := list(_obstacles(old, new)):
        raise InputError(
            f"contracts/{contract.path}: the table {contract.table} cannot follow: {'; '.join(obstacles)}",
            hint="take the change back, or give the new form a dataset name of its own",
        )
    actions = [action for name, column in new.items() for action in _actions(old.get(name), column)]
    changes = [f"alter table {quote(contract.table)}\n    " + ",\n    ".join(actions)] if actions else []
    return (*changes, *_indexes(contract), *_comments(contract))


def _obstacles(old: Mapping[str, Column], new: Mapping[str, Column]) -> Iterator[str]:
    for name in sorted(old.keys() - new.keys()):
        yield f"column {name!r} is removed"
    for name, column in new.items():
        before = old.get(name)
        if column.required and not (before and before.required):
            yield f"column {name!r} becomes required, which rows already there may not satisfy"
        if before and not is_widening(before.physical_type, column.physical_type):
            yield f"column {name!r} changes from {before.physical_type} to {column.physical_type}"


def _actions(old: Column | None, new: Column) -> Iterator[str]:
    if old is None:
        yield f"add column if not exists {quote(new.name)} {new.physical_type}"
        return
    if old.physical_type != new.physical_type:
        yield f"alter column {quote(new.name)} type {new.physical_type}"
    if old.required and not new.required:
        yield f"alter column {quote(new.name)} drop not null"


def _columns(contract: Contract) -> Iterator[tuple[str, str, str]]:
    """Name, type with constraint, and description of the table's columns, in their order."""
    if contract.layer == "sources":
        yield "row_id", "uuid not null", ROW_ID
    for column in contract.published_columns:
        needed = column.required or column.name in contract.key
        yield column.name, column.physical_type + (" not null" if needed else ""), column.description
    yield "known_at", "timestamptz not null", KNOWN_AT


def _indexes(contract: Contract) -> Iterator[str]:
    """One for each column that scopes are looked up by, where the primary key does not begin with it."""
    for column in dict.fromkeys((contract.day_column, contract.unit_column)):
        if contract.key[0] != column:
            index = quote(f"{contract.dataset}_{column}_idx")
            yield f"create index if not exists {index} on {quote(contract.table)} ({quote(column)})"


def _comments(contract: Contract) -> Iterator[str]:
    table = f"{contract.purpose} Grain: {contract.grain}. Owner: {contract.owner}."
    yield f"comment on table {quote(contract.table)} is {sql_literal(table)}"
    for name, _, description in _columns(contract):
        yield f"comment on column {quote(contract.table)}.{quote(name)} is {sql_literal(description)}"
