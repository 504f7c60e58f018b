"""Quality rules of a contract."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, model_validator

from data_platform.contracts.parts import NAME, Misplaced, Severity, Strict

COUNT_QUERY = re.compile(
    r"^\s*select\s+count\(\*\)\s+from\s+\{object\}\s+where\s+(?P<condition>.+)$", re.IGNORECASE | re.DOTALL
)
Metric = Literal["nullValues", "invalidValues", "duplicateValues", "rowCount"]


class Quality(Strict):
    """One rule over a dataset or a column: a number of rows, compared with a limit."""

    id: str = Field(description="lower_snake_case, unique in the contract: reports and tests name the rule by it")
    type: Literal["library", "sql"] = Field("library", description="one of ODCS's metrics, or a query")
    metric: Metric | None = Field(None, description="what a library rule counts")
    arguments: dict[str, Any] = Field({}, description="`validValues` of invalidValues; `properties` of duplicateValues")
    query: str | None = Field(None, description="select count(*) from {object} where <rows that break the rule>")
    unit: Literal["rows", "percent"] = Field("rows", description="whether the limit is of rows or of their share")
    must_be: float | None = Field(None, alias="mustBe", description="the count, exactly")
    must_be_greater_or_equal: float | None = Field(
        None, alias="mustBeGreaterOrEqualTo", description="lowest count, included"
    )
    must_be_less_or_equal: float | None = Field(
        None, alias="mustBeLessOrEqualTo", description="highest count, included"
    )
    must_be_between: tuple[float, float] | None = Field(
        None, alias="mustBeBetween", description="lowest and highest count, both included"
    )
    severity: Severity = Field(description="`error` stops the publication, `warning` is recorded")
    description: str = Field(min_length=10, description="when and why the limit was set")

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        """Lowest and highest allowed value, both included."""
        if self.must_be is not None:
            return self.must_be, self.must_be
        if self.must_be_between is not None:
            return self.must_be_between
        return self.must_be_greater_or_equal, self.must_be_less_or_equal

    @property
    def broken_where(self) -> str:
        """SQL condition of the rows that break an sql rule; they are the examples that a report shows."""
        match = COUNT_QUERY.match(self.query or "")
        return match["condition"].strip() if match else ""

    @property
    def tells_single_rows(self) -> bool:
        """Whether the rule tells good from broken rows one by one, so that ingestion can apply it."""
        return self.metric == "invalidValues" and self.must_be == 0

    @model_validator(mode="after")
    def _is_complete(self) -> Quality:
        comparisons = [
            self.must_be is not None,
            self.must_be_between is not None,
            self.must_be_greater_or_equal is not None or self.must_be_less_or_equal is not None,
        ]
        if not NAME.match(self.id):
            raise Misplaced(f"rule id {self.id!r} is not lower_snake_case", "id")
        if sum(comparisons) != 1:
            raise ValueError("a rule has one comparison (mustBe, mustBeBetween …)")
        if (self.type == "sql") == (self.metric is not None):
            raise ValueError("a library rule has a `metric`, an sql rule a `query`")
        if self.type == "sql" and not self.broken_where:
            raise ValueError("an sql rule reads `select count(*) from {object} where <rows that break it>`")
        if self.type == "library" and self.query is not None:
            raise Misplaced("a library rule has no `query`", "query")
        lowest, highest = self.bounds
        if lowest is not None and highest is not None and lowest > highest:
            raise ValueError("the limits are reversed: no count could pass")
        return self

    @model_validator(mode="after")
    def _has_its_arguments(self) -> Quality:
        needed = {"invalidValues": "validValues", "duplicateValues": "properties"}.get(self.metric or "")
        if unknown := sorted(self.arguments.keys() - {needed}):
            raise Misplaced(f"unknown argument {unknown[0]!r}", "arguments", unknown[0])
        for name, values in self.arguments.items():
            scalars = isinstance(values, list) and all(isinstance(value, str | int | float) for value in values)
            if not values or not scalars:
                raise Misplaced(f"{name} is a list of texts or numbers", "arguments", name)
        if self.metric == "invalidValues" and not self.arguments:
            raise ValueError("invalidValues needs `arguments: {validValues: […]}`")
        if self.metric == "duplicateValues" and self.must_be != 0:
            raise ValueError("duplicateValues is compared by mustBe: 0; a table with some duplicates has no key")
        if self.metric == "rowCount" and self.unit == "percent":
            raise Misplaced("a row count has no percent", "unit")
        return self
