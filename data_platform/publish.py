"""Publication: what a run built becomes what consumers read, in one short transaction of plain DML.

Readers see all of it or nothing, also in REPEATABLE READ, and never wait: no ATTACH, TRUNCATE or DDL touches what they
read. Only rows that differ are written; what they were before is kept.
"""

from __future__ import annotations

from psycopg2 import sql

from data_platform.contracts.load import get_contracts
from data_platform.contracts.model import LAYERS, Contract
from data_platform.failures import PermanentFailure, TransientFailure
from data_platform.gates.verdicts import refuse_ungated
from data_platform.history import carry_out_rollbacks
from data_platform.logs import bind
from data_platform.published_state import Written, last_totals, open_publication, record_state
from data_platform.read_set import moved_tables
from data_platform.runs import Run, StepLog, close_run, drop_schema
from data_platform.staleness import through_days
from data_platform.warehouse.connection import Connection, execute, query, transaction

LOCK = 7_410_002
SUMMED = ("smallint", "integer", "bigint", "numeric")


class Moved(TransientFailure):
    """What the run read has moved meanwhile: it must be rebuilt. Publishing alone again would be in vain."""

    exit_code = PermanentFailure.exit_code


def run_step(run: Run, log: StepLog) -> None:
    """Publishes a run, records it, and reconciles the counts.

    Raises:
        GateFailure: when a relation with changes has not passed its gate as it now is.
        Moved: when a table, its code or its contract is no more what the run read.
        PermanentFailure: when the counts afterwards do not add up (nothing is published then).
    """
    if run.state == "published":
        return
    with transaction(application=f"dp publish {run.run_id}") as connection:
        built = _built_contracts(connection, run)
        execute(connection, "select pg_advisory_xact_lock(%s)", (LOCK,))
        _refuse_moved(connection, run)
        changes = {c.table: _count_changes(connection, run, c) for c in built}
        refuse_ungated(connection, run, [c for c in built if sum(changes[c.table].values())])
        publication_id = open_publication(connection, run)
        written = [_apply(connection, run, publication_id, c, changes[c.table]) for c in built]
        _reconcile(connection, run, built)
        record_state(connection, run, publication_id, built, written)
        carry_out_rollbacks(connection, publication_id)
        for table in written:
            if table.changed and table.table.startswith("features."):
                execute(
                    connection,
                    "insert into ops.exports (publication_id, target) values (%s, %s)",
                    (publication_id, f"feast:{table.table.partition('.')[2]}"),
                )
        close_run(connection, run, "published")
    bind(publication_id=publication_id)
    for table in written:
        log.add(
            table.table,
            rows_live=table.rows_after,
            rows_changed=table.changed,
            message=f"+{table.inserted} ~{table.updated} -{table.deleted}",
        )
    with transaction() as connection:
        drop_schema(connection, run.schema)


def _built_contracts(connection: Connection, run: Run) -> list[Contract]:
    """Contracts whose table the run built, sources first.

    Raises:
        PermanentFailure: when the run has built nothing at all.
    """
    rows = query(
        connection,
        "select relname from pg_class where relnamespace = to_regnamespace(%s) and relname like '%%\\_\\_delta'",
        (f'"{run.schema}"',),
    )
    there = {r["relname"].removesuffix("__delta") for r in rows}
    built = [c for layer in LAYERS for c in get_contracts().of_layer(layer) if c.dataset in there]
    if not built:
        raise PermanentFailure(f"run {run.run_id} has built nothing to publish", hint="run its earlier steps first")
    return built


def _refuse_moved(connection: Connection, run: Run) -> None:
    """Stops a run that stands on something else than what is there now, or speaks of fewer days than it."""
    moved = moved_tables(connection, run.read_set)
    for table, day in through_days(connection).items():
        if day > run.through_day:
            moved.setdefault(table, f"ahead of {run.through_day}, the run's last day")
    if moved:
        since = "; ".join(f"{table} is {what}" for table, what in moved.items())
        raise Moved(
            f"run {run.run_id} stands on what has moved since: {since}", hint="run again: the work is derived anew"
        )


def _relation(run: Run, contract: Contract, suffix: str) -> sql.Composed:
    return sql.SQL("{}.{}").format(sql.Identifier(run.schema), sql.Identifier(contract.dataset + suffix))


def _table(contract: Contract, suffix: str = "") -> sql.Composed:
    return sql.SQL("{}.{}").format(sql.Identifier(contract.schema_name), sql.Identifier(contract.dataset + suffix))


def _count_changes(connection: Connection, run: Run, contract: Contract) -> dict[str, int]:
    statement = sql.SQL(
        "select op, count(*) as n from {} where side = case op when 'D' then 'old' else 'new' end group by op"
    )
    counts = {r["op"]: int(r["n"]) for r in query(connection, statement.format(_relation(run, contract, "__delta")))}
    return {op: counts.get(op, 0) for op in "IUD"}


def _apply(
    connection: Connection, run: Run, publication_id: int, contract: Contract, changes: dict[str, int]
) -> Written:
    rows_before, sums_before = last_totals(connection, contract)
    if not sum(changes.values()):
        return Written(contract.table, 0, 0, 0, rows_before, sums_before)
    sums_after = _sums_after(connection, run, contract, sums_before)
    parts = _statement_parts(run, contract, publication_id)
    _keep_before_images(connection, parts, changes)
    touched = {"I": 0, "U": 0, "D": 0}
    if changes["D"]:
        touched["D"] = execute(
            connection,
            sql.SQL("delete from {table} as t using {delta} as d where d.op = 'D' and {same_key}").format(**parts),
        )
    if changes["U"]:
        touched["U"] = execute(
            connection,
            sql.SQL(
                "update {table} as t set {assignments} from {delta} as d"
                " where d.op = 'U' and d.side = 'new' and {same_key}"
            ).format(**parts),
        )
    if changes["I"]:
        touched["I"] = execute(
            connection,
            sql.SQL("insert into {table} ({columns}) select {columns} from {delta} where op = 'I'").format(**parts),
        )
    if touched != changes:
        raise PermanentFailure(
            f"{contract.table}: the publication was to write {changes}, but wrote {touched}; nothing is published"
        )
    if contract.layer == "features":
        execute(
            connection,
            sql.SQL(
                "insert into {history} (publication_id, op, {columns}) select {publication_id}, op, {columns}"
                " from {delta} where side = case op when 'D' then 'old' else 'new' end"
            ).format(**parts),
        )
    rows_after = rows_before + touched["I"] - touched["D"]
    return Written(contract.table, touched["I"], touched["U"], touched["D"], rows_after, sums_after)


def _statement_parts(run: Run, contract: Contract, publication_id: int) -> dict[str, sql.Composable]:
    key = [sql.Identifier(k) for k in contract.key]
    return {
        "table": _table(contract),
        "history": _table(contract, "_history"),
        "delta": _relation(run, contract, "__delta"),
        "columns": sql.SQL(", ").join(map(sql.Identifier, contract.table_columns)),
        "assignments": sql.SQL(", ").join(
            sql.SQL("{0} = d.{0}").format(sql.Identifier(c)) for c in contract.table_columns if c not in contract.key
        ),
        "same_key": sql.SQL(" and ").join(sql.SQL("t.{0} = d.{0}").format(k) for k in key),
        "key_object": sql.SQL("jsonb_build_object({})").format(
            sql.SQL(", ").join(sql.SQL("{}, d.{}").format(sql.Literal(k), sql.Identifier(k)) for k in contract.key)
        ),
        "unit": sql.Identifier(contract.unit_column),
        "table_name": sql.Literal(contract.table),
        "publication_id": sql.Literal(publication_id),
    }


def _keep_before_images(connection: Connection, parts: dict[str, sql.Composable], changes: dict[str, int]) -> None:
    """Keeps what is needed to undo: rows that change or go; inserted keys, or whole units that were empty before."""
    if changes["U"] or changes["D"]:
        execute(
            connection,
            sql.SQL(
                "insert into ops.before_images (publication_id, table_name, op, row_key, before)"
                " select {publication_id}, {table_name}, d.op, {key_object}, to_jsonb(t)"
                " from {delta} as d join {table} as t on {same_key} where d.side = 'old'"
            ).format(**parts),
        )
    if changes["I"]:
        execute(
            connection,
            sql.SQL(
                "insert into ops.publication_units (publication_id, table_name, unit)"
                " select distinct {publication_id}, {table_name}, d.{unit}::text from {delta} as d"
                " where d.op = 'I' and not exists (select from {table} as t where t.{unit} = d.{unit})"
            ).format(**parts),
        )
        execute(
            connection,
            sql.SQL(
                "insert into ops.before_images (publication_id, table_name, op, row_key)"
                " select {publication_id}, {table_name}, 'I', {key_object} from {delta} as d"
                " where d.op = 'I' and exists (select from {table} as t where t.{unit} = d.{unit})"
            ).format(**parts),
        )


def _sums_after(connection: Connection, run: Run, contract: Contract, before: dict[str, str]) -> dict[str, str]:
    """Sums of the numeric columns after the change, from those before it: history is not read again."""
    names = [c.name for c in contract.published_columns if c.physical_type.split("(")[0] in SUMMED]
    if not names:
        return {}
    sums = sql.SQL(", ").join(
        sql.SQL(
            "({last}::numeric + coalesce(sum({column}) filter (where side = 'new'), 0)"
            " - coalesce(sum({column}) filter (where side = 'old'), 0))::text as {column}"
        ).format(last=sql.Literal(before.get(name, "0")), column=sql.Identifier(name))
        for name in names
    )
    statement = sql.SQL("select {} from {}").format(sums, _relation(run, contract, "__delta"))
    return query(connection, statement)[0]


def _reconcile(connection: Connection, run: Run, built: list[Contract]) -> None:
    """Counts and sums of the rewritten units must be the same in the published table as in what passed the gate.

    Raises:
        PermanentFailure: otherwise; the transaction is rolled back.
    """
    for contract in built:
        summed = [c.name for c in contract.published_columns if c.physical_type.split("(")[0] in SUMMED]
        totals = sql.SQL(", ").join(
            [
                sql.SQL("count(*)"),
                *(sql.SQL("coalesce(sum({}), 0)").format(sql.Identifier(c)) for c in summed),
            ]
        )
        statement = sql.SQL(
            "select (select row({totals})::text from {table} as t"
            " where exists (select from {scope} as s where s.unit = t.{unit})) as published,"
            " (select row({totals})::text from {new}) as gated"
        ).format(
            totals=totals,
            table=_table(contract),
            scope=_relation(run, contract, "__scope"),
            unit=sql.Identifier(contract.unit_column),
            new=_relation(run, contract, "__new"),
        )
        found = query(connection, statement)[0]
        if found["published"] != found["gated"]:
            raise PermanentFailure(
                f"{contract.table}: {found['gated']} (rows, sums) passed the gate, but {found['published']} would be "
                "published; nothing is published"
            )
