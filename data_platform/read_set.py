"""What a run stands on: the state of every table, the code and the contracts, fixed before the first read.

A run whose read-set has moved is rebuilt, so what is published was made from one state by one version of the code, and
is recorded as just that: a deploy between build and publication never passes old output off as new.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypedDict

from data_platform import models
from data_platform.contracts.document import contract_hash
from data_platform.contracts.load import get_contracts
from data_platform.contracts.model import Contract
from data_platform.ledger import input_version
from data_platform.warehouse.connection import Connection, query


class TableRead(TypedDict):
    """A table as a run finds it; JSON values, as it is kept in the run's record.

    The publication that last changed a row of it and the last day that it speaks of are None before the first one, the
    versions are None where the contract is gone.
    """

    publication_id: int | None
    through_day: str | None
    code: str | None
    contract: str | None


ReadSet = dict[str, TableRead]


def code_version(contract: Contract) -> str:
    """Names the code that makes a table: parser and contract of a source, SQL and all that it needs of a model."""
    return input_version(contract) if contract.layer == "sources" else models.code_hash(contract)


def present_read_set(connection: Connection) -> ReadSet:
    """What a run that starts now stands on, table by table."""
    rows = query(connection, "select table_name, publication_id, through_day from ops.published_tables")
    published: dict[str, dict[str, Any]] = {r["table_name"]: r for r in rows}
    contracts = {c.table: c for c in get_contracts()}
    found: ReadSet = {}
    for table in published.keys() | contracts.keys():
        last, contract = published.get(table), contracts.get(table)
        found[table] = TableRead(
            publication_id=last["publication_id"] if last else None,
            through_day=str(last["through_day"]) if last else None,
            code=code_version(contract) if contract else None,
            contract=contract_hash(contract) if contract else None,
        )
    return found


def with_present_versions(read_set: ReadSet, layers: Collection[str]) -> ReadSet:
    """The read-set with the versions that tables of these layers have now: for a step that reads their code anew."""
    renewed: ReadSet = dict(read_set)
    for contract in get_contracts():
        if contract.layer in layers:
            last = read_set.get(contract.table)
            renewed[contract.table] = TableRead(
                publication_id=last["publication_id"] if last else None,
                through_day=last["through_day"] if last else None,
                code=code_version(contract),
                contract=contract_hash(contract),
            )
    return renewed


def moved_tables(connection: Connection, read_set: ReadSet) -> dict[str, str]:
    """Table to what has moved of it since the read-set was fixed: its rows, its last day, its code or its contract."""
    named = {
        "publication_id": "published anew",
        "through_day": "carried on to another day",
        "code": "given other code",
        "contract": "given another contract",
    }
    now: Mapping[str, Mapping[str, object]] = present_read_set(connection)
    before: Mapping[str, Mapping[str, object]] = read_set
    moved: dict[str, str] = {}
    for table in sorted(now.keys() | before.keys()):
        for fact, what in named.items():
            if before.get(table, {}).get(fact) != now.get(table, {}).get(fact):
                moved.setdefault(table, what)
    return moved
