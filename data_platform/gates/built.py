"""What the gates after stage and build check: the relations ``X__new`` of the run's schema."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from psycopg2 import sql

from data_platform import models
from data_platform.contracts.compile.gx import FOREIGN_KEY, SEVERITIES, suite
from data_platform.contracts.load import get_contracts
from data_platform.contracts.model import Contract
from data_platform.gates.rules import Relation, RuleResult, Subject, breach, expectation
from data_platform.holds import rows_of
from data_platform.runs import Run
from data_platform.staleness import model_contracts, source_contracts
from data_platform.warehouse.connection import Connection, query


def staged_subjects(connection: Connection, run: Run) -> list[Subject]:
    """What was staged of the sources, with the rule that it is all that the ledger has of those days."""
    planned = run.plan.get("stage", {})
    subjects = []
    for contract in source_contracts():
        subject = _subject(connection, run, contract, expects=bool(planned.get(contract.dataset, {}).get("days")))
        if subject.is_checked and not subject.broken:
            subject = _sparing_restored(subject, contract, planned.get(contract.dataset, {}).get("restored", ()))
            subject = _with(subject, _is_all_of_the_ledger(connection, run, contract))
        subjects.append(subject)
    return subjects


def built_subjects(connection: Connection, run: Run) -> list[Subject]:
    """What dbt built, with the rule that no table is emptied without a reason."""
    subjects = []
    for contract in model_contracts():
        subject = _subject(connection, run, contract, expects=True)
        if subject.rows == 0 and not subject.broken:
            subject = _with(subject, *_may_be_empty(connection, run, contract))
        subjects.append(subject)
    return subjects


def _with(subject: Subject, *more: dict[str, Any]) -> Subject:
    return Subject(subject.relation, (*subject.expectations, *more), subject.rows, subject.message, subject.counts)


def _sparing_restored(subject: Subject, contract: Contract, restored: Collection[str]) -> Subject:
    """Lets foreign keys of restored days warn: what they pointed to may have gone since, and nobody could mend them."""
    rules: list[dict[str, Any]] = []
    for rule in subject.expectations:
        if restored and rule["type"] == FOREIGN_KEY and rule["meta"]["severity"] == "error":
            spared = {"spared_column": contract.day_column, "spared": sorted(restored)}
            told = {**rule["meta"], "rule_id": f"{rule['meta']['rule_id']}_restored", "severity": "warning"}
            rules.append({**rule, "severity": SEVERITIES["warning"], "meta": told})
            rule = {**rule, "kwargs": {**rule["kwargs"], **spared}}
        rules.append(rule)
    return replace(subject, expectations=tuple(rules))


def _subject(connection: Connection, run: Run, contract: Contract, *, expects: bool) -> Subject:
    relation = Relation(contract.dataset, table=f"{contract.dataset}__new", masked=contract.masked_columns)
    there = _existing(connection, run, contract)
    if not there and not expects:
        return Subject(relation, message="not in this run: not checked")
    if missing := {"__scope", "__new", "__delta"} - there:
        return _broken(relation, 0, _missing(contract, sorted(missing)))
    units, rows, outside = _count(connection, run, contract)
    if units == 0 and rows:
        return _broken(relation, rows, _out_of_scope(rows))
    if units == 0:
        return Subject(relation, message="nothing in scope: not checked")
    if outside:
        return _broken(relation, rows, _out_of_scope(outside))
    unit = "days" if contract.unit_column == contract.day_column else "keys"
    told = f"all {rows:,} rows" if contract.is_reference else f"{rows:,} rows of {units:,} {unit}"
    return Subject(relation, tuple(suite(contract)), rows, told, {"rows_read": rows})


def _broken(relation: Relation, rows: int, rule: RuleResult) -> Subject:
    return Subject(relation, rows=rows, broken=(rule,))


def _missing(contract: Contract, suffixes: Sequence[str]) -> RuleResult:
    step = "staged" if contract.layer == "sources" else "built"
    return breach(
        f"is_{step}",
        expected=f"{contract.dataset} is {step} in the run's schema",
        observed=f"no relation {', '.join(contract.dataset + suffix for suffix in suffixes)}",
        reason="a gate that finds nothing to check must not pass",
    )


def _out_of_scope(rows: int) -> RuleResult:
    return breach(
        "is_in_scope",
        expected="every row belongs to a day or key that is rewritten",
        observed=f"{rows:,} rows outside the scope",
        reason="rows outside it would be published beside those that they should replace",
    )


def _existing(connection: Connection, run: Run, contract: Contract) -> set[str]:
    rows = query(
        connection,
        """select relname from pg_class
           where relnamespace = to_regnamespace(%s) and relname = any(%s)""",
        (f'"{run.schema}"', [contract.dataset + suffix for suffix in ("__scope", "__new", "__delta")]),
    )
    return {r["relname"].removeprefix(contract.dataset) for r in rows}


def _parts(run: Run, contract: Contract) -> dict[str, sql.Composable]:
    def relation(suffix: str) -> sql.Identifier:
        return sql.Identifier(run.schema, contract.dataset + suffix)

    return {
        "scope": relation("__scope"),
        "new": relation("__new"),
        "delta": relation("__delta"),
        "unit": sql.Identifier(contract.unit_column),
    }


def _count(connection: Connection, run: Run, contract: Contract) -> tuple[int, int, int]:
    """Units in scope, rows, and rows outside the scope."""
    statement = sql.SQL(
        """select (select count(*) from {scope}) as units, count(*) as rows,
                  count(*) filter (where {unit} not in (select unit from {scope})) as outside from {new}"""
    )
    row = query(connection, statement.format(**_parts(run, contract)))[0]
    return row["units"], row["rows"], row["outside"]


def _is_all_of_the_ledger(connection: Connection, run: Run, contract: Contract) -> dict[str, Any]:
    plan = run.plan["stage"][contract.dataset]
    restored = list(plan.get("restored", ()))
    statement = sql.SQL(
        """select coalesce(sum(d.rows), 0)::bigint as live
           from ops.deliveries as f join ops.file_days as d using (file_id)
           where f.dataset = %s and f.state = 'live' and d.day in (select unit from {scope})
               and d.day <> all(%s::date[])"""
    )
    parameters = (contract.dataset, restored)
    live = query(connection, statement.format(**_parts(run, contract)), parameters)[0]["live"]
    rows = live + sum(rows_of(plan["fingerprints"].get(day)) for day in restored)
    return expectation(
        "is_all_of_the_ledger",
        "expect_table_row_count_to_equal",
        {"value": rows},
        expected=f"{rows:,} rows, as many as the ledger has live for these days, or had where a rollback holds them",
        reason="every row is accounted for",
    )


def _may_be_empty(connection: Connection, run: Run, contract: Contract) -> list[dict[str, Any]]:
    """The rule that a relation has rows, where what it was built from does not explain that it has none."""
    statement = sql.SQL("select exists (select from {delta} where op = 'D') as vanishes")
    vanishes = query(connection, statement.format(**_parts(run, contract)))[0]["vanishes"]
    upstream = [get_contracts()[table.partition(".")[2]] for table in sorted(models.upstream_tables(contract.table))]
    if vanishes:
        explained = any(_differs(connection, run, c) for c in upstream)
    else:
        explained = _is_published(connection, contract) or not all(_has_rows(connection, run, c) for c in upstream)
    if explained:
        return []
    return [
        expectation(
            "is_not_emptied",
            "expect_table_row_count_to_be_between",
            {"min_value": 1},
            expected="rows, because nothing differs in what it is built from",
            reason=f"upstream are {', '.join(c.dataset for c in upstream)}",
        )
    ]


def _differs(connection: Connection, run: Run, contract: Contract) -> bool:
    """Whether this run changes an upstream table: also a row that comes, like a deletion in a log, can end others."""
    if "__delta" not in _existing(connection, run, contract):
        return False
    statement = sql.SQL("select exists (select from {delta}) as differs")
    return bool(query(connection, statement.format(**_parts(run, contract)))[0]["differs"])


def _has_rows(connection: Connection, run: Run, contract: Contract) -> bool:
    """Whether an upstream table, as this run would publish it, has rows."""
    overlay = sql.Identifier(run.schema, contract.dataset)
    published = sql.Identifier(contract.schema_name, contract.dataset)
    for relation in (overlay, published):
        name = relation.as_string(connection)
        if query(connection, "select to_regclass(%s) as there", (name,))[0]["there"]:
            statement = sql.SQL("select exists (select from {}) as has").format(relation)
            return bool(query(connection, statement)[0]["has"])
    return False


def _is_published(connection: Connection, contract: Contract) -> bool:
    return bool(
        query(connection, "select from ops.published_tables where table_name = %s and rows > 0", (contract.table,))
    )
