"""Asks Great Expectations whether relations keep their rules.

First the whole suite, boolean, in the few statements that gather all its counts; only for the rules that do not hold a
second pass asks what was observed, and for a few example rows. Personal values are masked before anything keeps them.
"""

from __future__ import annotations

import html
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import psycopg2
import psycopg2.errors

from data_platform.failures import TransientFailure
from data_platform.gates.rules import Evaluation, Relation, RuleResult, Subject, breach
from data_platform.privacy import MASK

EXAMPLES = 10
WHETHER = {"result_format": "BOOLEAN_ONLY"}
DETAILS = {
    "result_format": "SUMMARY",
    "partial_unexpected_count": EXAMPLES,
    "include_unexpected_rows": True,
}
DATABASE_ERROR = re.compile(r"\(psycopg2\.(?:errors\.)?(\w+)\) ([^\n]*)")
# Also what a full disk, a lock or a cancelled statement raises: it says nothing about the rows.
UNAVAILABLE = (psycopg2.OperationalError, psycopg2.InterfaceError)
VALUE_LISTS = ("partial_unexpected_list", "partial_unexpected_counts", "partial_unexpected_index_list")
NO_RULES = breach(
    "has_rules",
    expected="at least one rule",
    observed="none",
    reason="a gate that checks nothing must not pass",
)


class Evaluator:
    """One connection pool to the warehouse for all relations of a gate.

    Args:
        context: of Great Expectations, see ``open_context``.
    """

    def __init__(self, context: Any) -> None:
        import data_platform.gates.expectations  # noqa: F401 - registers our own

        self._source = context.data_sources.add_postgres("warehouse", connection_string="${WAREHOUSE}")

    def close(self) -> None:
        """Gives the connections back."""
        self._source.get_execution_engine().close()

    def evaluate(self, subject: Subject) -> Evaluation:
        """All rules of a relation.

        Raises:
            TransientFailure: when the warehouse goes away meanwhile.
        """
        started = time.monotonic()
        if subject.broken:
            return Evaluation(subject, subject.broken)
        if not subject.expectations:
            return Evaluation(subject, (NO_RULES,))
        wanted = {e["meta"]["rule_id"]: e for e in subject.expectations}
        if len(wanted) < len(subject.expectations):
            raise ValueError(f"{subject.relation.name}: two rules have one name")
        batch = self._batch(subject.relation)
        document = _validate(batch, subject.relation.name, list(wanted.values()), WHETHER)
        failed = {rule_id for rule_id, result in _by_rule(document).items() if not result.success}
        details = self._details(batch, subject.relation, [wanted[rule_id] for rule_id in wanted if rule_id in failed])
        document.results = [details.get(rule_id, result) for rule_id, result in _by_rule(document).items()]
        rules = tuple(_rule_result(result) for result in document.results)
        return Evaluation(subject, rules, time.monotonic() - started, document)

    def _batch(self, relation: Relation) -> Any:
        if relation.query:
            asset = self._source.add_query_asset(relation.name, query=relation.query)
        else:
            asset = self._source.add_table_asset(relation.name, table_name=relation.table)
        return asset.add_batch_definition_whole_table("all").get_batch()

    def _details(self, batch: Any, relation: Relation, failed: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """The failed rules asked again, for what was observed; rule id → GX's result, masked."""
        if not failed:
            return {}
        results = _by_rule(_validate(batch, relation.name, failed, DETAILS))
        if any(_error(result) for result in results.values()):
            # One statement for all: a single broken condition took the others with it.
            for one in failed:
                results |= _by_rule(_validate(batch, relation.name, [one], DETAILS))
        for result in results.values():
            _mask(result, relation.masked)
        return results


def _validate(batch: Any, name: str, expectations: Sequence[dict[str, Any]], result_format: dict[str, Any]) -> Any:
    from great_expectations import ExpectationSuite

    described = [{**e, "description": html.escape(e["meta"]["expected"])} for e in expectations]
    return batch.validate(ExpectationSuite(name, expectations=described), result_format=result_format)


def _by_rule(document: Any) -> dict[str, Any]:
    return {result.expectation_config.meta["rule_id"]: result for result in document.results}


def _error(result: Any) -> str | None:
    """Why a rule could not be asked, None when it could.

    Raises:
        TransientFailure: when the warehouse is gone.
    """
    info = result.exception_info or {}
    messages = [
        i["exception_message"] for i in (info, *info.values()) if isinstance(i, Mapping) and i.get("raised_exception")
    ]
    if not messages:
        return None
    found = DATABASE_ERROR.search(messages[0] or "")
    kind, said = found.groups() if found else ("error", "see the log")
    if issubclass(getattr(psycopg2.errors, kind, getattr(psycopg2, kind, Exception)), UNAVAILABLE):
        raise TransientFailure(
            f"the warehouse could not answer during a gate: {said}", hint="`make status` tells what runs"
        )
    # A message about a value would show it; one about a name helps to mend the rule.
    return f"{kind}: {said}" if kind.startswith("Undefined") or kind.endswith("SyntaxError") else kind


def _rule_result(result: Any) -> RuleResult:
    meta = result.expectation_config.meta
    rule = RuleResult(
        rule_id=meta["rule_id"],
        severity=meta["severity"],
        passed=bool(result.success),
        expected=meta["expected"],
        reason=meta["reason"],
    )
    if rule.passed:
        return rule
    if error := _error(result):
        return replace(rule, severity="error", observed=f"could not be evaluated ({error})")
    return replace(rule, observed=_observed(result), examples=tuple(_examples(result)))


def _observed(result: Any) -> str:
    found = result.result
    count = found.get("unexpected_count")
    if count is None:
        return f"{found.get('observed_value')}"
    if "group_sizes" in result.expectation_config.type:
        return f"{count:,} such groups of rows"
    return f"{count:,} of {found['element_count']:,} rows ({found['unexpected_percent'] or 0:.3g}%)"


def _examples(result: Any) -> list[dict[str, Any]]:
    plain = result.to_json_dict()["result"]
    return list(plain.get("unexpected_rows") or [])[:EXAMPLES]


def _mask(result: Any, masked: frozenset[str]) -> None:
    """Takes the values of masked columns out of a result, wherever GX puts them."""
    rows = result.result.get("unexpected_rows") or []
    result.result["unexpected_rows"] = [
        {column: MASK if column in masked else value for column, value in row.items()} for row in rows
    ]
    if result.expectation_config.kwargs.get("column") in masked:
        for name in VALUE_LISTS:
            result.result.pop(name, None)
