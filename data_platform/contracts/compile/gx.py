"""Contract → a Great Expectations suite, as the plain dicts that GX builds expectations from.

Map expectations (not null, between, …) are cheap: GX gathers their counts in one statement. Uniqueness and
rules with a condition are ``unexpected_rows_expectation``: GX's own compound uniqueness joins the relation to
itself, and none of its expectations bounds the rows of a condition.
"""

from __future__ import annotations

import re
from typing import Any

from data_platform.contracts.compile.checks import Check, between, checks, describe
from data_platform.contracts.model import Contract

SEVERITIES = {"error": "critical", "warning": "warning"}


def suite(contract: Contract) -> list[dict[str, Any]]:
    """Expectation configurations for the relation that will become the published table.

    ``meta`` carries the rule's id, what is expected, the reason, the column (None for a rule over rows) and
    the severity in our words.
    """
    return [_expectation(check, contract) for check in checks(contract)]


def _expectation(check: Check, contract: Contract) -> dict[str, Any]:
    kind, kwargs = _as_gx(check, contract)
    return {
        "type": kind,
        "kwargs": kwargs,
        "severity": SEVERITIES[check.severity],
        "meta": {
            "rule_id": check.rule_id,
            "expected": describe(check),
            "reason": check.reason,
            "column": check.column,
            "severity": check.severity,
        },
    }


def _as_gx(check: Check, contract: Contract) -> tuple[str, dict[str, Any]]:
    limits = {"min_value": check.lowest, "max_value": check.highest}
    match check.kind:
        case "not_null":
            mostly = {"mostly": 1 - check.highest / 100} if check.highest else {}
            return "expect_column_values_to_not_be_null", {"column": check.column, **mostly}
        case "pattern":
            return "expect_column_values_to_match_regex", {"column": check.column, "regex": check.pattern}
        case "between":
            return "expect_column_values_to_be_between", {"column": check.column, **limits}
        case "length":
            return "expect_column_value_lengths_to_be_between", {"column": check.column, **limits}
        case "allowed":
            return "expect_column_values_to_be_in_set", {
                "column": check.column,
                "value_set": list(check.values),
            }
        case "row_count" if not check.per_day:
            return "expect_table_row_count_to_be_between", limits
        case _:
            return "unexpected_rows_expectation", {"unexpected_rows_query": _query(check, contract.day_column)}


def _query(check: Check, day_column: str) -> str:
    """A statement over ``{batch}`` that returns rows exactly when the check fails."""
    if check.kind == "unique":
        keys = ", ".join(check.columns)
        body = f"select {keys}, count(*) as rows from <batch> group by {keys} having count(*) > 1"
    elif check.kind == "row_count":
        good = between("count(*)", check.lowest, check.highest)
        body = f"select {day_column}, count(*) as rows from <batch> group by {day_column} having not ({good})"
    elif check.highest == 0:
        body = f"select * from <batch> where {check.condition}"
    else:
        broken = f"count(*) filter (where {check.condition})"
        observed = f"100.0 * {broken} / nullif(count(*), 0)" if check.percent else broken
        good = between(observed, check.lowest, check.highest)
        body = f"select {broken} as broken, count(*) as rows from <batch> having not ({good})"
    return _escaped(body).replace("<batch>", "{batch}")


def _escaped(sql: str) -> str:
    """Guards literals against GX's ``str.format`` and SQLAlchemy's ``:name`` parameters."""
    doubled = sql.replace("{", "{{").replace("}", "}}")
    return re.sub(r"(?<![:\w\\]):(?=\w)", r"\\:", doubled)
