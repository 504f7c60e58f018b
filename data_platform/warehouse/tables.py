"""Published tables, as the contracts say: made and widened before a publication, never during one."""

from __future__ import annotations

from collections.abc import Iterable

from data_platform.contracts.compile.ddl import alter_table, create_table
from data_platform.contracts.compile.grants import grants
from data_platform.contracts.diff import diff
from data_platform.contracts.document import contract_hash
from data_platform.contracts.model import Contract
from data_platform.contracts.published import published_contracts
from data_platform.failures import PermanentFailure
from data_platform.warehouse.connection import Connection, execute, query

LOCK_TIMEOUT = "5s"


def refuse_breaking_changes(connection: Connection, contracts: Iterable[Contract]) -> None:
    """Stops a run whose contracts break with those of the last publication, before it writes anything.

    Raises:
        PermanentFailure: naming every breaking change.
    """
    published = published_contracts(connection)
    breaking = [
        f"{contract.table}: {change.message}"
        for contract in contracts
        if contract.dataset in published
        for change in diff(published[contract.dataset], contract)
        if change.breaking
    ]
    if breaking:
        raise PermanentFailure(
            "contracts break with what is published:\n  " + "\n  ".join(breaking),
            hint="`dp contracts diff` shows all changes; restore the contract, or publish the change under a new name",
        )


def ensure_tables(connection: Connection, contracts: Iterable[Contract]) -> None:
    """Creates missing published tables with their history, and applies changes that break nothing.

    Tables whose contract has not changed since their last publication are left alone.
    """
    execute(connection, f"set local lock_timeout = '{LOCK_TIMEOUT}'")
    published = published_contracts(connection)
    for contract in contracts:
        before = published.get(contract.dataset)
        exists = query(connection, "select to_regclass(%s) is not null as there", (contract.table,))[0]["there"]
        if before is not None and exists and contract_hash(before) == contract_hash(contract):
            continue
        if before is None or not exists:
            execute(connection, create_table(contract))
        else:
            for statement in alter_table(before.published_columns, contract):
                execute(connection, statement)
        if contract.layer == "features":
            _ensure_history(connection, contract)
        execute(connection, grants(contract))


def _ensure_history(connection: Connection, contract: Contract) -> None:
    """``features.X_history``: every version of every row, with the publication that brought it; append-only."""
    history = f"{contract.table}_history"
    execute(
        connection,
        f"""create table if not exists {history} (
                publication_id bigint not null references ops.publications,
                op char(1) not null check (op in ('I', 'U', 'D')),
                like {contract.table}
            )""",
    )
    columns = ", ".join(contract.key)
    execute(connection, f"create index if not exists {contract.dataset}_history_key on {history} ({columns})")
    rows = query(
        connection,
        """select attname, format_type(atttypid, atttypmod) as type from pg_attribute
           where attrelid = %s::regclass and attnum > 0 and not attisdropped
             and attname not in (select attname from pg_attribute where attrelid = %s::regclass and attnum > 0)""",
        (contract.table, history),
    )
    for row in rows:
        execute(connection, f"alter table {history} add column {row['attname']} {row['type']}")
