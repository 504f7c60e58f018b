"""Contract → Spark SQL: how a delivered string becomes a typed value, and which rows are broken.

Everything here is text; whoever runs it brings the session, whose time zone is UTC. The expressions speak of
a DataFrame of *strings* whose columns bear the contract's names (``Column.name``), with the values as they
were delivered. They hold in ANSI mode and out of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from data_platform.contracts.model import Column, Contract, Dialect, Severity

SPARK_TYPES = {
    "text": "STRING",
    "uuid": "STRING",
    "smallint": "SMALLINT",
    "integer": "INT",
    "bigint": "BIGINT",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamptz": "TIMESTAMP",
    "double precision": "DOUBLE",
}
# Java's `$` also matches before a last line break, so '12345\n' would pass; `\z` is the end and nothing else.
END = r"\z"
# A number of a megabyte of digits would be computed for seconds, only to be refused.
DIGITS = "[0-9]{1,999}"
INTEGER = rf"^[+-]?{DIGITS}{END}"
UUID = rf"^[0-9a-fA-F]{{8}}(-[0-9a-fA-F]{{4}}){{3}}-[0-9a-fA-F]{{12}}{END}"
DATE = rf"^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}{END}"
TIMESTAMP = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?"
ZONE = r"(Z|[+-][0-9]{2}:[0-9]{2})"


@dataclass(frozen=True)
class RowRule:
    """What every single row must satisfy.

    ``expression`` is a Spark SQL boolean, never NULL, true where the row is good. A row that fails a rule
    of severity ``error`` belongs in quarantine under the rule's name; a ``warning`` is counted and the row
    stays.
    """

    column: str
    rule: str  # required, type, pattern, length, range, allowed
    expression: str
    severity: Severity


def row_rules(contract: Contract) -> tuple[RowRule, ...]:
    """The rules of all delivered columns, in the order in which they are to be reported."""
    return tuple(rule for column in contract.columns for rule in _rules_of(column, contract.dialect))


def _rules_of(column: Column, dialect: Dialect) -> Iterator[RowRule]:
    present, typed = _present(column, dialect), typed_expression(column, dialect)

    def rule(name: str, condition: str, severity: Severity = "error") -> RowRule:
        # An absent value, or one that does not parse, makes it NULL; `required` and `type` report that.
        return RowRule(column.name, name, f"coalesce({condition}, true)", severity)

    options = column.options
    if column.required:
        yield RowRule(column.name, "required", f"({present})", "error")
    if column.physical_type != "text":
        yield RowRule(column.name, "type", f"(NOT ({present}) OR {typed} IS NOT NULL)", "error")
    if options.pattern is not None:
        yield rule("pattern", f"{typed} RLIKE {literal(_java_pattern(options.pattern))}")
    if lengths := _bounds(f"char_length({typed})", options.min_length, options.max_length):
        yield rule("length", lengths)
    if limits := _bounds(typed, options.minimum, options.maximum):
        yield rule("range", limits)
    for quality in (rule for rule in column.quality if rule.tells_single_rows):
        values = ", ".join(_typed_literal(column, value) for value in quality.arguments["validValues"])
        yield rule("allowed", f"{typed} IN ({values})", quality.severity)


def typed_expression(column: Column, dialect: Dialect) -> str:
    """Spark SQL that turns the delivered string into the typed value, or NULL where absent or not parseable.

    Nothing is rounded or guessed: a number with more decimals than its scale, or more digits than its
    precision, does not parse; neither does ``1.5`` as an integer or ``1997-02-30`` as a date. Blanks around
    a value are skipped unless the column is text. A timestamp without a zone is UTC.
    """
    value = f"CASE WHEN {_present(column, dialect)} THEN {_trimmed(column)} END"
    return f"({_parsed(value, column, dialect)})"


def spark_schema(columns: Iterable[Column]) -> str:
    """DDL schema of published columns, like ```customer_id` STRING, `amount_usd` DECIMAL(12,2)``."""
    return ", ".join(f"{identifier(c.name)} {spark_type(c.physical_type)}" for c in columns)


def spark_type(physical_type: str) -> str:
    """Spark's type for one of our physical types."""
    return SPARK_TYPES.get(physical_type) or physical_type.replace("numeric", "DECIMAL")


def identifier(name: str) -> str:
    """A quoted column name."""
    return "`" + name.replace("`", "``") + "`"


def literal(text: str) -> str:
    """A quoted string; backslash, quote and control characters escaped as Spark's parser reads them."""
    escapes = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return "'" + "".join(escapes.get(character, character) for character in text) + "'"


def _trimmed(column: Column) -> str:
    name = identifier(column.name)
    blanks = literal(" \t\r\n")
    return name if column.physical_type == "text" else f"btrim({name}, {blanks})"


def _present(column: Column, dialect: Dialect) -> str:
    value = _trimmed(column)
    nulls = ", ".join(literal(text) for text in dialect.null_values)
    return f"{value} IS NOT NULL AND {value} NOT IN ({nulls})" if nulls else f"{value} IS NOT NULL"


def _bounds(value: str, lowest: float | None, highest: float | None) -> str:
    """Condition that a value lies between the limits, both included; empty without limits."""
    limits = [f"{value} {sign} {_number(n)}" for sign, n in ((">=", lowest), ("<=", highest)) if n is not None]
    return " AND ".join(limits)


def _number(value: float) -> str:
    return f"{Decimal(repr(value)).normalize():f}"


def _java_pattern(pattern: str) -> str:
    before = pattern[:-1]
    escaped = (len(before) - len(before.rstrip("\\"))) % 2 == 1
    return before + END if pattern.endswith("$") and not escaped else pattern


def _typed_literal(column: Column, value: object) -> str:
    text = literal(str(value))
    return text if column.physical_type == "text" else f"CAST({text} AS {spark_type(column.physical_type)})"


def _parsed(value: str, column: Column, dialect: Dialect) -> str:
    match column.physical_type.split("(")[0]:
        case "text":
            return value
        case "uuid":
            return _when_like(value, UUID, f"lower({value})")
        case "smallint" | "integer" | "bigint":
            value = _without_thousands(value, dialect)
            return _when_like(value, INTEGER, f"try_cast({value} AS {spark_type(column.physical_type)})")
        case "numeric":
            return _numeric(_without_thousands(value, dialect), column, dialect)
        case "double precision":
            return _double(_without_thousands(value, dialect), dialect)
        case "boolean":
            return f"try_cast({value} AS BOOLEAN)"
        case "date" if column.options.format:
            return f"try_to_date({value}, {literal(column.options.format)})"
        case "date":
            return _when_like(value, DATE, f"try_cast({value} AS DATE)")
        case _ if column.options.format:
            return f"try_to_timestamp({value}, {literal(column.options.format)})"
        case _:
            return _timestamp(value)


def _when_like(value: str, pattern: str, result: str) -> str:
    return f"CASE WHEN {value} RLIKE {literal(pattern)} THEN {result} END"


def _numeric(value: str, column: Column, dialect: Dialect) -> str:
    scale = int(column.physical_type.rstrip(")").split(",")[1])
    point = f"[{dialect.decimal}]"
    form = rf"^[+-]?({DIGITS}({point}[0-9]{{0,{scale}}})?|{point}[0-9]{{1,{scale}}}){END}" if scale else INTEGER
    number = f"try_cast({_with_point(value, dialect)} AS {spark_type(column.physical_type)})"
    return _when_like(value, form, number)


def _double(value: str, dialect: Dialect) -> str:
    point = f"[{dialect.decimal}]"
    form = rf"^[+-]?([0-9]+({point}[0-9]*)?|{point}[0-9]+)([eE][+-]?[0-9]+)?{END}"
    number = f"try_cast({_with_point(value, dialect)} AS DOUBLE)"
    return f"CASE WHEN {value} RLIKE {literal(form)} AND abs({number}) < double('Infinity') THEN {number} END"


def _without_thousands(value: str, dialect: Dialect) -> str:
    """The number without what stands between its groups of three digits; one grouped otherwise stays, and breaks."""
    if not dialect.thousands:
        return value
    sign = literal(dialect.thousands)
    form = rf"^[+-]?[0-9]{{1,3}}(\Q{dialect.thousands}\E[0-9]{{3}})+([{dialect.decimal}][0-9]*)?{END}"
    return f"CASE WHEN {value} RLIKE {literal(form)} THEN replace({value}, {sign}, '') ELSE {value} END"


def _with_point(value: str, dialect: Dialect) -> str:
    return f"replace({value}, ',', '.')" if dialect.decimal == "," else value


def _timestamp(value: str) -> str:
    zoned, bare = literal(TIMESTAMP + ZONE + END), literal(TIMESTAMP + END)
    return (
        f"CASE WHEN {value} RLIKE {zoned} THEN try_cast({value} AS TIMESTAMP) "
        f"WHEN {value} RLIKE {bare} THEN try_cast(concat({value}, 'Z') AS TIMESTAMP) END"
    )
