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
        if before is None:
            _drop_if_outgrown(connection, contract)
            execute(connection, create_table(contract))
        elif contract_hash(before) == contract_hash(contract):
            continue
        for statement in alter_table(before.published_columns, contract) if before else ():
            execute(connection, statement)
        if contract.layer == "features":
            _ensure_history(connection, contract)
        execute(connection, grants(contract))


def _drop_if_outgrown(connection: Connection, contract: Contract) -> None:
    """Removes a table that an earlier form of the contract made, and into which nothing was ever published."""
    there = tuple(name for name, _ in _columns(connection, contract.table))
    if there and there != contract.table_columns:
        execute(connection, f"drop table if exists {contract.table}, {contract.table}_history cascade")


def _columns(connection: Connection, table: str) -> list[tuple[str, str]]:
    """Name and type of a table's columns in their order; none when there is no such table."""
    rows = query(
        connection,
        """select attname, format_type(atttypid, atttypmod) as type from pg_attribute
           where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped order by attnum""",
        (table,),
    )
    return [(r["attname"], r["type"]) for r in rows]


def _ensure_history(connection: Connection, contract: Contract) -> None:
    """``features.X_history``: every version of every row, with the publication that brought it; append-only.

    Readers see it without the publications that were rolled back.
    """
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
    # Appended in the order of publications: a small index finds what one of them brought.
    execute(
        connection,
        f"create index if not exists {contract.dataset}_history_publication on {history} using brin (publication_id)",
    )
    known = dict(_columns(connection, history))
    for name, kind in _columns(connection, contract.table):
        if name not in known:
            execute(connection, f"alter table {history} add column {name} {kind}")
        elif known[name] != kind:
            execute(connection, f"alter table {history} alter column {name} type {kind}")
    optional = [c.name for c in contract.published_columns if not c.required and c.name not in contract.key]
    if optional:
        actions = ", ".join(f"alter column {name} drop not null" for name in optional)
        execute(connection, f"alter table {history} {actions}")
    query(connection, "select ops.hide_undone(%s)", (history,))
    execute(connection, f"grant select on {history} to training")
