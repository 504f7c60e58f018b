"""``ops.gate_results``: a row for each rule of each relation that a run's gate has checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg2.extras import Json, execute_values

from data_platform.gates.rules import Evaluation, Gate
from data_platform.warehouse.connection import Connection, execute, query


def save(connection: Connection, run_id: str, gate: Gate, evaluations: Sequence[Evaluation]) -> None:
    """Writes the results of a gate in place of those of an earlier attempt."""
    execute(connection, "delete from ops.gate_results where run_id = %s and gate = %s", (run_id, gate))
    rows = [
        (
            run_id,
            gate,
            evaluation.relation,
            rule.rule_id,
            rule.severity,
            rule.passed,
            evaluation.subject.rows or 0,
            rule.observed,
            rule.expected,
            rule.reason,
            Json(list(rule.examples)),
        )
        for evaluation in evaluations
        for rule in evaluation.rules
    ]
    with connection.cursor() as cursor:
        execute_values(
            cursor,
            """insert into ops.gate_results (run_id, gate, relation, rule_id, severity, passed, rows_checked,
                                             observed, expected, reason, examples) values %s""",
            rows,
        )


def last_checked_run(connection: Connection) -> str | None:
    """The run whose gates spoke last, trials apart."""
    rows = query(
        connection,
        """select run_id from ops.gate_results join ops.runs using (run_id) where kind <> 'trial'
           order by checked_at desc limit 1""",
    )
    return rows[0]["run_id"] if rows else None


def read(connection: Connection, run_id: str) -> list[dict[str, Any]]:
    """Every rule's result, what failed first."""
    return query(
        connection,
        """select gate, relation, rule_id, severity, passed, rows_checked, observed, expected, reason, examples
           from ops.gate_results where run_id = %s
           order by passed, severity, array_position(array['ingest', 'stage', 'build'], gate), relation, rule_id""",
        (run_id,),
    )
