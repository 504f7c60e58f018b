"""What a gate asks and what it is told, in the platform's own words; nothing here needs Great Expectations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from data_platform.contracts.compile.gx import SEVERITIES
from data_platform.contracts.model import Severity
from data_platform.runs import Verdict

Gate = Literal["ingest", "stage", "build"]


@dataclass(frozen=True)
class Relation:
    """What is checked: a ``table`` of the run's schema, or the rows of ``query``, which may not be many.

    Great Expectations reads a query's rows once just to learn its columns; those of a table it asks the catalog.
    ``masked`` are the columns whose values nobody may see in examples.
    """

    name: str
    query: str = ""
    table: str = ""
    masked: frozenset[str] = frozenset()


@dataclass(frozen=True)
class RuleResult:
    """One rule's outcome. ``observed`` is None where it holds: then nobody asked for more."""

    rule_id: str
    severity: Severity
    passed: bool
    expected: str
    reason: str
    observed: str | None = None
    examples: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Subject:
    """A relation with the rules that it must keep.

    Attributes:
        rows: how many it has; None where it is not checked, which ``message`` then explains.
        counts: rows read, live, quarantined and the like, for the step's report.
        broken: what is so wrong with it that its rules cannot be asked.
    """

    relation: Relation
    expectations: tuple[dict[str, Any], ...] = ()
    rows: int | None = None
    message: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    broken: tuple[RuleResult, ...] = ()

    @property
    def is_checked(self) -> bool:
        return self.rows is not None


@dataclass(frozen=True)
class Evaluation:
    """The outcome of all rules of a subject; ``document`` is GX's own result, for its pages."""

    subject: Subject
    rules: tuple[RuleResult, ...]
    seconds: float = 0.0
    document: Any = None

    @property
    def relation(self) -> str:
        return self.subject.relation.name

    @property
    def failed(self) -> list[RuleResult]:
        """Rules that do not hold, the errors first."""
        return sorted((r for r in self.rules if not r.passed), key=lambda r: (r.severity, r.rule_id))

    @property
    def verdict(self) -> Verdict:
        severities = {rule.severity for rule in self.failed}
        return "failed" if "error" in severities else "warned" if severities else "passed"


def expectation(
    rule_id: str,
    kind: str,
    kwargs: dict[str, Any],
    *,
    expected: str,
    reason: str,
    severity: Severity = "error",
) -> dict[str, Any]:
    """A rule of the platform's own, in the form that contracts compile to."""
    return {
        "type": kind,
        "kwargs": kwargs,
        "severity": SEVERITIES[severity],
        "meta": {
            "rule_id": rule_id,
            "expected": expected,
            "reason": reason,
            "column": None,
            "severity": severity,
        },
    }


def no_broken_rows(
    rule_id: str, condition: str, *, expected: str, reason: str, severity: Severity = "error"
) -> dict[str, Any]:
    """The rule that an SQL condition is true for no row."""
    kwargs = {"condition": condition, "max_value": 0}
    return expectation(
        rule_id, "expect_broken_rows_to_be_between", kwargs, expected=expected, reason=reason, severity=severity
    )


def breach(rule_id: str, *, expected: str, observed: str, reason: str) -> RuleResult:
    """A rule that is broken for certain, without asking Great Expectations."""
    return RuleResult(rule_id, "error", passed=False, expected=expected, observed=observed, reason=reason)
