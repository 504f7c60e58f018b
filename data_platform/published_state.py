"""What publication records of the state that it makes: staleness, rollbacks and the next run's read-set stand on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg2.extras import Json, execute_values

from data_platform import unknown_keys
from data_platform.contracts.document import contract_document, contract_hash
from data_platform.contracts.model import Contract
from data_platform.holds import RECORDED_DAYS
from data_platform.rejections import forget
from data_platform.runs import Run
from data_platform.warehouse.connection import Connection, execute, query


@dataclass(frozen=True)
class Written:
    """Rows of one table that a publication wrote, and what the table holds since."""

    table: str
    inserted: int
    updated: int
    deleted: int
    rows_after: int
    sums_after: dict[str, str]

    @property
    def changed(self) -> int:
        return self.inserted + self.updated + self.deleted


def last_totals(connection: Connection, contract: Contract) -> tuple[int, dict[str, str]]:
    """Rows of a table as last published, and the sums of its numeric columns."""
    rows = query(connection, "select rows, sums from ops.published_tables where table_name = %s", (contract.table,))
    return (rows[0]["rows"], rows[0]["sums"]) if rows else (0, {})


def open_publication(connection: Connection, run: Run) -> int:
    """Writes the record of a publication and returns its id."""
    stage: dict[str, Any] = run.plan.get("stage", {})
    rows = query(
        connection,
        """insert into ops.publications (run_id, through_day, read_set, input_files) values (%s, %s, %s, %s)
           returning publication_id""",
        (run.run_id, run.through_day, Json(run.read_set), Json({d: p["attempts"] for d, p in stage.items()})),
    )
    return int(rows[0]["publication_id"])


def record_state(
    connection: Connection, run: Run, publication_id: int, built: list[Contract], written: list[Written]
) -> None:
    """Writes what the published state now is, and from which inputs: staleness is derived from these rows."""
    stage: dict[str, Any] = run.plan["stage"]
    for contract, table in zip(built, written, strict=True):
        _record_table(connection, run, publication_id, table)
        _record_contract(connection, publication_id, contract)
        if contract.dataset in stage:
            _record_days(connection, contract.table, publication_id, stage[contract.dataset])
            forget(connection, contract.dataset, stage[contract.dataset]["days"])
            if contract.kind == "snapshot":
                unknown_keys.record(connection, run, contract, publication_id, stage[contract.dataset]["days"])


def _record_table(connection: Connection, run: Run, publication_id: int, written: Written) -> None:
    """Writes what was done to a table, and what it holds since.

    A publication that changed nothing of a table is no reason to rebuild what was read of it.
    """
    execute(
        connection,
        """insert into ops.publication_tables
               (publication_id, table_name, inserted, updated, deleted, rows_after, sums_after)
           values (%s, %s, %s, %s, %s, %s, %s)""",
        (
            publication_id,
            written.table,
            written.inserted,
            written.updated,
            written.deleted,
            written.rows_after,
            Json(written.sums_after),
        ),
    )
    execute(
        connection,
        """insert into ops.published_tables as p (table_name, publication_id, code_hash, through_day, rows, sums)
           values (%s, %s, %s, %s, %s, %s)
           on conflict (table_name) do update set
               publication_id = case when %s then excluded.publication_id else p.publication_id end,
               code_hash = excluded.code_hash, through_day = excluded.through_day,
               rows = excluded.rows, sums = excluded.sums""",
        (
            written.table,
            publication_id,
            run.read_set[written.table]["code"],
            run.through_day,
            written.rows_after,
            Json(written.sums_after),
            written.changed > 0,
        ),
    )


def _record_contract(connection: Connection, publication_id: int, contract: Contract) -> None:
    execute(
        connection,
        """insert into ops.contracts (dataset, contract_hash, document, publication_id) values (%s, %s, %s, %s)
           on conflict (dataset) do update set contract_hash = excluded.contract_hash,
               document = excluded.document, publication_id = excluded.publication_id
           where ops.contracts.contract_hash <> excluded.contract_hash""",
        (contract.dataset, contract_hash(contract), Json(contract_document(contract)), publication_id),
    )


def _record_days(connection: Connection, table: str, publication_id: int, plan: dict[str, Any]) -> None:
    """Writes what days were published from; what they were published from before is kept, for a rollback to hold."""
    fingerprints = plan["fingerprints"]
    execute(
        connection,
        """insert into ops.before_images (publication_id, table_name, op, row_key, before)
           select %(publication)s, %(images)s,
                  case when p.day is null then 'I' when n.fingerprint is null then 'D' else 'U' end,
                  jsonb_build_object('table_name', %(table)s::text, 'day', n.day), to_jsonb(p)
           from unnest(%(days)s::date[], %(fingerprints)s::text[]) as n (day, fingerprint)
           left join ops.published_days as p on p.table_name = %(table)s and p.day = n.day
           where p.fingerprint is distinct from n.fingerprint""",
        {
            "publication": publication_id,
            "images": RECORDED_DAYS,
            "table": table,
            "days": plan["days"],
            "fingerprints": [fingerprints.get(day) for day in plan["days"]],
        },
    )
    gone = [day for day in plan["days"] if day not in fingerprints]
    execute(
        connection,
        "delete from ops.published_days where table_name = %s and day = any(%s::date[])",
        (table, gone),
    )
    with connection.cursor() as cursor:
        execute_values(
            cursor,
            """insert into ops.published_days (table_name, day, fingerprint, publication_id) values %s
               on conflict (table_name, day) do update
                   set fingerprint = excluded.fingerprint, publication_id = excluded.publication_id
                   where ops.published_days.fingerprint <> excluded.fingerprint""",
            [(table, day, fingerprint, publication_id) for day, fingerprint in fingerprints.items()],
        )
