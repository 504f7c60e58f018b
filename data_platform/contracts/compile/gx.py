"""Contract → a Great Expectations suite, as the plain dicts that GX builds expectations from.

All of a suite's counts come from very few statements. Group sizes (keys, rows a day) and broken rows (any SQL
condition) are expectations of our own, see ``data_platform.gates.expectations``.
"""

from __future__ import annotations

from typing import Any

from data_platform.contracts.compile.checks import Check, checks, describe
from data_platform.contracts.model import Contract

FOREIGN_KEY = "expect_foreign_key_to_hold"
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
        "description": describe(check),
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
        case "row_count":
            return "expect_group_sizes_to_be_between", {"columns": [contract.day_column], **limits}
        case "unique":
            return "expect_group_sizes_to_be_between", {"columns": list(check.columns), "max_value": 1}
        case "foreign_key":
            # The gate's search path finds the target as the run would publish it, else as it is published.
            return FOREIGN_KEY, {
                "column": check.column,
                "target": check.target,
                "target_column": check.target_column,
            }
        case "broken_rows":
            return "expect_broken_rows_to_be_between", {
                "condition": check.condition,
                "percent": check.percent,
                **limits,
            }
