"""Three expectations that Great Expectations lacks, computed in the one statement that it gathers its counts with.

Its own compound uniqueness joins the relation to itself, and its row conditions and SQL expectations run statements of
their own, some twice. Importing this module registers all; import it after ``loading.load()``.
"""

from __future__ import annotations

from datetime import date
from typing import Any, ClassVar

from great_expectations.compatibility.sqlalchemy import sqlalchemy as sa
from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.core.metric_function_types import MetricPartialFunctionTypes
from great_expectations.execution_engine import SqlAlchemyExecutionEngine
from great_expectations.expectations.expectation import BatchExpectation, get_metric_kwargs
from great_expectations.expectations.metrics.metric_provider import metric_partial, metric_value
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider
from great_expectations.validator.metric_configuration import MetricConfiguration

EXAMPLES = 10

aggregate = metric_partial(
    engine=SqlAlchemyExecutionEngine,
    partial_fn_type=MetricPartialFunctionTypes.AGGREGATE_FN,
    domain_type=MetricDomainTypes.TABLE,
)


def _first_rows(engine: SqlAlchemyExecutionEngine, statement: Any) -> list[dict[str, Any]]:
    return [dict(row) for row in engine.execute_query(statement.limit(EXAMPLES)).mappings()]


class BrokenRowsCount(TableMetricProvider):
    """Rows for which an SQL condition is true."""

    metric_name = "broken_rows.count"
    value_keys = ("condition",)

    @aggregate
    def _sqlalchemy(
        cls,  # noqa: N805 - the decorator makes it a class method
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],
        **_: Any,
    ) -> Any:
        count = sa.literal_column(f"count(*) filter (where {metric_value_kwargs['condition']})")
        return count, metric_domain_kwargs, {}


class BrokenRowsExamples(TableMetricProvider):
    """The first rows for which an SQL condition is true."""

    metric_name = "broken_rows.examples"
    value_keys = ("condition",)

    @metric_value(engine=SqlAlchemyExecutionEngine)
    def _sqlalchemy(
        cls,  # noqa: N805
        execution_engine: SqlAlchemyExecutionEngine,
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],
        **_: Any,
    ) -> list[dict[str, Any]]:
        relation = execution_engine.get_domain_records(domain_kwargs=metric_domain_kwargs)
        condition = sa.literal_column(f"({metric_value_kwargs['condition']})")
        return _first_rows(execution_engine, sa.select(sa.text("*")).select_from(relation).where(condition))


def _groups_out_of_bounds(relation: Any, kwargs: dict[str, Any]) -> Any:
    columns = [sa.column(name) for name in kwargs["columns"]]
    count = sa.func.count()
    beyond = []
    if (lowest := kwargs.get("min_value")) is not None:
        beyond.append(count < lowest)
    if (highest := kwargs.get("max_value")) is not None:
        beyond.append(count > highest)
    grouped = sa.select(*columns, count.label("rows")).select_from(relation).group_by(*columns)
    return grouped.having(sa.or_(*beyond))


class GroupsOutOfBoundsCount(TableMetricProvider):
    """Groups of rows with equal values of some columns that have too few or too many rows."""

    metric_name = "groups_out_of_bounds.count"
    value_keys = ("columns", "min_value", "max_value")

    @aggregate
    def _sqlalchemy(
        cls,  # noqa: N805
        execution_engine: SqlAlchemyExecutionEngine,
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],
        **_: Any,
    ) -> Any:
        relation = execution_engine.get_domain_records(domain_kwargs=metric_domain_kwargs)
        groups = _groups_out_of_bounds(relation, metric_value_kwargs).subquery()
        return sa.select(sa.func.count()).select_from(groups).scalar_subquery(), metric_domain_kwargs, {}


class GroupsOutOfBoundsExamples(TableMetricProvider):
    """The first such groups, with their rows."""

    metric_name = "groups_out_of_bounds.examples"
    value_keys = ("columns", "min_value", "max_value")

    @metric_value(engine=SqlAlchemyExecutionEngine)
    def _sqlalchemy(
        cls,  # noqa: N805
        execution_engine: SqlAlchemyExecutionEngine,
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],
        **_: Any,
    ) -> list[dict[str, Any]]:
        relation = execution_engine.get_domain_records(domain_kwargs=metric_domain_kwargs)
        return _first_rows(execution_engine, _groups_out_of_bounds(relation, metric_value_kwargs))


def _without_target(relation: Any, kwargs: dict[str, Any]) -> Any:
    checked = sa.select(sa.text("*")).select_from(relation)
    if kwargs.get("spared"):
        days = [date.fromisoformat(day) for day in kwargs["spared"]]
        checked = checked.where(sa.column(kwargs["spared_column"], sa.Date).not_in(days))
    checked = checked.subquery("checked")
    # An anti-join, which Postgres hashes whatever the sizes; of `not in` it would compare each with each.
    condition = sa.literal_column(
        f'checked."{kwargs["column"]}" is not null and not exists (select from "{kwargs["target"]}" as target'
        f' where target."{kwargs["target_column"]}" = checked."{kwargs["column"]}")'
    )
    return checked, condition


class WithoutTargetCount(TableMetricProvider):
    """Rows whose value, if they have one, does not stand in a column of another relation."""

    metric_name = "without_target.count"
    value_keys = ("column", "target", "target_column", "spared_column", "spared")

    @aggregate
    def _sqlalchemy(
        cls,  # noqa: N805
        execution_engine: SqlAlchemyExecutionEngine,
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],
        **_: Any,
    ) -> Any:
        relation = execution_engine.get_domain_records(domain_kwargs=metric_domain_kwargs)
        checked, condition = _without_target(relation, metric_value_kwargs)
        count = sa.select(sa.func.count()).select_from(checked).where(condition).scalar_subquery()
        return count, metric_domain_kwargs, {}


class WithoutTargetExamples(TableMetricProvider):
    """The first such rows."""

    metric_name = "without_target.examples"
    value_keys = ("column", "target", "target_column", "spared_column", "spared")

    @metric_value(engine=SqlAlchemyExecutionEngine)
    def _sqlalchemy(
        cls,  # noqa: N805
        execution_engine: SqlAlchemyExecutionEngine,
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],
        **_: Any,
    ) -> list[dict[str, Any]]:
        relation = execution_engine.get_domain_records(domain_kwargs=metric_domain_kwargs)
        checked, condition = _without_target(relation, metric_value_kwargs)
        return _first_rows(execution_engine, sa.select(sa.text("*")).select_from(checked).where(condition))


class _WithExamples(BatchExpectation):
    """Fetches examples only when details are asked for."""

    examples_metric: ClassVar[str]

    def get_validation_dependencies(
        self, execution_engine: Any = None, runtime_configuration: dict[str, Any] | None = None
    ) -> Any:
        dependencies = super().get_validation_dependencies(execution_engine, runtime_configuration)
        if dependencies.result_format["result_format"] != "BOOLEAN_ONLY":
            kwargs = get_metric_kwargs(self.examples_metric, self.configuration, runtime_configuration)
            examples = MetricConfiguration(
                self.examples_metric, kwargs["metric_domain_kwargs"], kwargs["metric_value_kwargs"]
            )
            dependencies.set_metric_configuration(self.examples_metric, examples)
        return dependencies

    def _result(self, *, success: bool, observed: Any, count: int, metrics: dict[str, Any]) -> dict[str, Any]:
        rows = metrics["table.row_count"]
        return {
            "success": success,
            "result": {
                "observed_value": observed,
                "element_count": rows,
                "unexpected_count": count,
                "unexpected_percent": 100 * count / rows if rows else 0.0,
                "unexpected_rows": metrics.get(self.examples_metric, []),
            },
        }


class ExpectBrokenRowsToBeBetween(_WithExamples):
    """The rows for which ``condition`` (SQL) is true, or with ``percent`` their share, lie within the bounds."""

    condition: str
    min_value: float | None = None
    max_value: float | None = None
    percent: bool = False

    metric_dependencies = ("table.row_count", "broken_rows.count")
    success_keys = ("condition", "min_value", "max_value", "percent")
    examples_metric = "broken_rows.examples"

    def _validate(self, metrics: dict[str, Any], **_: Any) -> dict[str, Any]:
        count, rows = metrics["broken_rows.count"], metrics["table.row_count"]
        observed = (100 * count / rows if rows else 0.0) if self.percent else count
        success = (self.min_value is None or observed >= self.min_value) and (
            self.max_value is None or observed <= self.max_value
        )
        return self._result(success=success, observed=observed, count=count, metrics=metrics)


class ExpectGroupSizesToBeBetween(_WithExamples):
    """Every group of rows with equal ``columns`` has at least ``min_value`` and at most ``max_value`` rows.

    With at most one, the columns are a key; grouped by the day, it bounds the rows of each day.
    """

    columns: list[str]
    min_value: float | None = None
    max_value: float | None = None

    metric_dependencies = ("table.row_count", "groups_out_of_bounds.count")
    success_keys = ("columns", "min_value", "max_value")
    examples_metric = "groups_out_of_bounds.examples"

    def _validate(self, metrics: dict[str, Any], **_: Any) -> dict[str, Any]:
        count = metrics["groups_out_of_bounds.count"]
        return self._result(success=count == 0, observed=count, count=count, metrics=metrics)


class ExpectForeignKeyToHold(_WithExamples):
    """Each value of ``column`` stands in ``target_column`` of the relation ``target``, found by the search path.

    Rows are not asked whose date in ``spared_column`` is one of ``spared``.
    """

    column: str
    target: str
    target_column: str
    spared_column: str | None = None
    spared: list[str] | None = None

    metric_dependencies = ("table.row_count", "without_target.count")
    success_keys = ("column", "target", "target_column", "spared_column", "spared")
    examples_metric = "without_target.examples"

    def _validate(self, metrics: dict[str, Any], **_: Any) -> dict[str, Any]:
        count = metrics["without_target.count"]
        return self._result(success=count == 0, observed=count, count=count, metrics=metrics)
