"""Histories of feature tables: the log of publications. What was rolled back stays in the log, but is not told."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg2 import sql

from data_platform.contracts.load import get_contracts
from data_platform.contracts.model import Contract
from data_platform.warehouse.connection import Connection, execute, query


def carry_out_rollbacks(connection: Connection, publication_id: int) -> None:
    """Takes out of history whatever a rollback has undone; called by the publication that may have carried it out.

    A rollback is carried out once all its days stand at what they are held at. What the publication that was undone
    said of a row may still be true, by another delivery or as time went on: this publication says so again.
    """
    rows = query(
        connection,
        """update ops.rollbacks as r set undone_by = %s
           where
               undone_by is null and released_at is null
               and not exists (
                   select from ops.holds as own
                   join ops.active_holds as held using (table_name, day)
                   left join ops.published_days as p using (table_name, day)
                   where own.publication_id = r.publication_id and p.fingerprint is distinct from held.fingerprint
               )
           returning publication_id""",
        (publication_id,),
    )
    undone = [row["publication_id"] for row in rows]
    for contract in get_contracts().of_layer("features") if undone else ():
        if query(connection, "select to_regclass(%s) as there", (f"{contract.table}_history",))[0]["there"]:
            _tell_again(connection, contract, undone, publication_id)


def _tell_again(connection: Connection, contract: Contract, undone: Sequence[int], publication_id: int) -> None:
    """Appends what is true of the rows that these publications told of, where the rest of history says otherwise."""
    columns = contract.table_columns
    execute(
        connection,
        sql.SQL(
            """with untold as (
                   select distinct on ({key}) * from {history} where publication_id = any(%(undone)s)
                   order by {key}, publication_id desc
               ),
               told as (
                   select distinct on ({key}) {key}, op, row({of_h}) as version
                   from {history} as h join (select {key} from untold) as u using ({key})
                   where publication_id not in (select publication_id from ops.rollbacks where undone_by is not null)
                   order by {key}, publication_id desc
               )
               insert into {history} (publication_id, op, {columns})
               select %(publication)s, case when coalesce(told.op, 'D') = 'D' then 'I' else 'U' end, {of_t}
               from {table} as t join (select {key} from untold) as u using ({key}) left join told using ({key})
               where coalesce(told.op, 'D') = 'D' or told.version is distinct from row({of_t})
               union all
               select %(publication)s, 'D', {of_untold}
               from untold join told using ({key}) left join {table} as t using ({key})
               where told.op <> 'D' and t.known_at is null"""
        ).format(
            key=_list(contract.key),
            history=sql.Identifier(contract.schema_name, f"{contract.dataset}_history"),
            table=sql.Identifier(contract.schema_name, contract.dataset),
            columns=_list(columns),
            of_h=_list(columns, "h"),
            of_t=_list(columns, "t"),
            of_untold=_list(columns, "untold"),
        ),
        {"undone": list(undone), "publication": publication_id},
    )


def _list(names: Sequence[str], of: str | None = None) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(of, name) if of else sql.Identifier(name) for name in names)
