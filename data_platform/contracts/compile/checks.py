"""Contract → checks of the published table, as data that no engine owns.

``gx`` and ``dbt`` give them their forms. What only the delivered string can tell (``type``), or what the
personal-data policy takes away before the table exists, is not here: Spark's row rules cover it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from data_platform.contracts.model import Column, Contract, Quality, Severity

Kind = Literal[
    "not_null", "pattern", "between", "length", "allowed", "unique", "foreign_key", "broken_rows", "row_count"
]


@dataclass(frozen=True)
class Check:
    """What must hold for a relation.

    ``lowest`` and ``highest`` bound the values (between), their characters (length), the broken rows
    (broken_rows, and not_null where some may lack the value), or the rows (row_count, of each day where
    ``per_day``); both included, None for no bound. With ``percent`` broken rows are a share of all rows.
    ``condition`` is SQL, true for a broken row. A foreign_key's values stand in ``target_column`` of the dataset
    ``target``.
    """

    rule_id: str
    kind: Kind
    severity: Severity
    reason: str
    columns: tuple[str, ...] = ()
    pattern: str = ""
    values: tuple[str, ...] = ()
    condition: str = ""
    target: str = ""
    target_column: str = ""
    lowest: float | None = None
    highest: float | None = None
    percent: bool = False
    per_day: bool = False

    @property
    def column(self) -> str | None:
        """The one column that the check is about, if it is about one."""
        return self.columns[0] if len(self.columns) == 1 else None


def checks(contract: Contract) -> tuple[Check, ...]:
    """All checks of a published table: its columns', its key's, its quality rules'."""
    found = [check for column in contract.published_columns for check in _of_values(column)]
    found += [_of_quality(rule, contract, column) for column, rule in published_rules(contract)]
    key = _of_key(contract)
    if not any(c.kind == "unique" and c.severity == "error" and set(c.columns) == set(key.columns) for c in found):
        found.append(key)
    return tuple(found)


def published_rules(contract: Contract) -> Iterator[tuple[Column | None, Quality]]:
    """The quality rules that the published table can be asked about: of its columns, then of the whole."""
    for column in contract.published_columns:
        for rule in column.quality:
            yield column, rule
    for rule in contract.quality:
        yield None, rule


def grain_columns(contract: Contract) -> tuple[str, ...]:
    """Columns that tell rows apart to a reader: the declared key (per extract), else the row's identity."""
    declared = tuple(c.name for c in contract.published_columns if c.primary_key)
    if contract.layer != "sources" or not declared:
        return contract.key
    return (contract.day_column, *declared) if contract.kind == "snapshot" else declared


def _of_values(column: Column) -> Iterator[Check]:
    options, name = column.options, (column.name,)

    if column.required:
        yield Check(f"{column.name}.required", "not_null", "error", "the contract requires a value", name)
    if options.pattern is not None:
        reason = "the contract gives the pattern"
        yield Check(f"{column.name}.pattern", "pattern", "error", reason, name, pattern=options.pattern)
    if options.minimum is not None or options.maximum is not None:
        low, high = options.minimum, options.maximum
        yield Check(
            f"{column.name}.range",
            "between",
            "error",
            "the contract bounds it",
            name,
            lowest=low,
            highest=high,
        )
    if options.min_length is not None or options.max_length is not None:
        low, high = options.min_length, options.max_length
        yield Check(
            f"{column.name}.length",
            "length",
            "error",
            "the contract bounds it",
            name,
            lowest=low,
            highest=high,
        )
    if column.unique:
        yield Check(f"{column.name}.unique", "unique", "error", "the contract calls it unique", name)
    for each in column.relationships:
        yield Check(
            f"{column.name}.stands_in_{each.dataset}",
            "foreign_key",
            each.custom.severity,
            each.custom.reason,
            name,
            target=each.dataset,
            target_column=each.column,
        )


def _of_key(contract: Contract) -> Check:
    columns = grain_columns(contract)
    return Check("key", "unique", "error", f"the grain is {contract.grain}", columns)


def _of_quality(rule: Quality, contract: Contract, column: Column | None) -> Check:
    columns = (column.name,) if column else tuple(rule.arguments.get("properties", ()))
    values = tuple(str(value) for value in rule.arguments.get("validValues", ()))
    kind = _kind(rule)
    lowest, highest = (None, None) if rule.must_be == 0 and kind != "broken_rows" else rule.bounds
    return Check(
        rule.id,
        kind,
        rule.severity,
        rule.description,
        columns,
        values=values,
        condition=_condition(rule, columns, values) if kind == "broken_rows" else "",
        lowest=lowest,
        highest=highest,
        percent=rule.unit == "percent",
        per_day=kind == "row_count" and contract.kind == "snapshot",
    )


def _kind(rule: Quality) -> Kind:
    if rule.metric == "rowCount":
        return "row_count"
    if rule.metric == "duplicateValues":
        return "unique"
    lowest, highest = rule.bounds
    if rule.metric == "nullValues" and (highest == 0 or (rule.unit == "percent" and lowest is None)):
        return "not_null"
    return "allowed" if rule.metric == "invalidValues" and rule.must_be == 0 else "broken_rows"


def _condition(rule: Quality, columns: tuple[str, ...], values: tuple[str, ...]) -> str:
    if rule.metric == "nullValues":
        return f"{columns[0]} is null"
    if rule.metric == "invalidValues":
        return f"{columns[0]} not in ({', '.join(sql_literal(value) for value in values)})"
    return rule.broken_where


def sql_literal(text: str) -> str:
    """A quoted string of standard SQL."""
    return "'" + text.replace("'", "''") + "'"


def plain(number: float) -> str:
    """A number without exponent or needless decimals: ``5``, ``0.25``."""
    return f"{number:.15f}".rstrip("0").rstrip(".")


def between(value: str, lowest: float | None, highest: float | None) -> str:
    """SQL condition that a value lies within the bounds, both included."""
    bounds = ((">=", lowest), ("<=", highest))
    return " and ".join(f"{value} {sign} {plain(bound)}" for sign, bound in bounds if bound is not None)


def describe(check: Check) -> str:
    """What is expected, as a phrase for reports and the catalog."""
    column, limits = check.column or "", _limits(check)
    match check.kind:
        case "not_null":
            tolerated = f" in all but {plain(check.highest)} percent of rows" if check.highest else ""
            return f"{column} is present{tolerated}"
        case "pattern":
            return f"{column} is like {check.pattern}"
        case "between":
            return f"{column} is {limits}"
        case "length":
            return f"{column} has {limits} characters"
        case "allowed":
            return f"{column} is one of {', '.join(check.values)}"
        case "unique":
            return f"({', '.join(check.columns)}) does not repeat"
        case "foreign_key":
            return f"{column} stands in {check.target}.{check.target_column}"
        case "broken_rows":
            return f"{limits} {'percent' if check.percent else 'rows'} with {check.condition}"
        case "row_count":
            return f"{limits} rows{' a day' if check.per_day else ''}"


def _limits(check: Check) -> str:
    if check.lowest is not None and check.highest is not None:
        low, high = plain(check.lowest), plain(check.highest)
        return low if low == high else f"{low} to {high}"
    if check.highest is not None:
        return f"at most {plain(check.highest)}"
    return f"at least {plain(check.lowest or 0)}"
