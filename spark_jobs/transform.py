"""Delivered strings → typed, checked, safe rows: pure functions from DataFrame to DataFrame.

Up to ``protect`` rows hold plain personal values: nothing before it may shuffle, cache or spill. It is a
``mapInArrow`` because Spark queues the rows around a Python column function, on disk if it must.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from data_platform.contracts.compile.spark import RowRule, identifier, literal, row_rules, typed_expression
from data_platform.contracts.model import Column, Contract
from data_platform.intervals import REFERENCE_DAY
from data_platform.privacy import age_band_sql
from spark_jobs.accounts import HASH_HEX
from spark_jobs.protection import NOTE, PLAIN, plain_columns, protect_rows, protection_of

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

# What every row has beside the published columns.
ACCOUNT = (
    "file_id",
    "ingest_id",
    "arrived_at",
    "line",
    "records",
    "failure",
    "missing_columns",
    "rule",
    "rule_column",
    "raw",
)
IS_LIVE = "line > 0 AND rule IS NULL"
KEY_IS_SOUND = "key_is_sound"


def transform(strings: DataFrame, contract: Contract) -> DataFrame:
    """Rows with ACCOUNT, NOTE, ``content_hash`` and the published columns.

    A quarantined row has ``rule`` and ``raw``, and no values but the contract's ``entity_key`` where it could be read.
    A live row has values and neither; the last row of a file (line 0) has ``records`` and ``missing_columns`` only, or
    ``failure``, and a row of line -1 a note only.
    """
    return with_content_hash(protect(check(strings, contract), contract), contract)


def check(strings: DataFrame, contract: Contract) -> DataFrame:
    """Types the values, finds the first broken rule, and generalises or drops personal columns."""
    rules = [r for r in row_rules(contract) if r.severity == "error"]
    day = identifier(contract.day_column)
    typed = [f"{typed_expression(c, contract.dialect)} AS {identifier(c.name)}" for c in contract.columns]
    if contract.adds_day:
        origin = f"DATE'{REFERENCE_DAY}'" if contract.is_reference else "extract_day"
        typed.insert(0, f"{origin} AS {day}")
    # An array evaluates all rules and shares their common parts, which a chain of CASE would compute again.
    conditions = ", ".join(r.expression for r in rules) or "true"
    account = [c for c in ACCOUNT if not c.startswith("rule")]
    found = strings.selectExpr(
        *account,
        "error",
        "error_column",
        f"array_position(array({conditions}), false) AS broken",
        f"{_key_is_sound(rules, contract)} AS {KEY_IS_SOUND}",
        *typed,
    )
    rule_names = _choose("broken", [r.rule for r in rules])
    rule_columns = _choose("broken", [r.column for r in rules])
    is_row = "line > 0"
    named = found.selectExpr(
        *account,
        f"""CASE WHEN {is_row} THEN coalesce(error, {rule_names},
            CASE WHEN {day} IS NULL THEN 'required' END) END AS rule""",
        f"""CASE WHEN {is_row} AND error IS NULL THEN coalesce({rule_columns},
            CASE WHEN {day} IS NULL THEN {literal(contract.day_column)} END) ELSE error_column END AS rule_column""",
        KEY_IS_SOUND,
        *[identifier(c) for c in _value_columns(contract)],
    )
    account = [c for c in ACCOUNT if c != "raw"]
    values = [
        f"CASE WHEN {KEY_IS_SOUND if name in contract.entity_key else IS_LIVE} THEN {expression} END"
        f" AS {identifier(name)}"
        for name, expression in _before_hashing(contract).items()
    ]
    plain = [
        f"CASE WHEN {IS_LIVE} THEN CAST({identifier(name)} AS STRING) END AS {identifier(carrier)}"
        for carrier, name in plain_columns(contract).items()
    ]
    raw = r"CASE WHEN rule IS NOT NULL THEN rtrim('\r\n', raw) END AS raw"
    return named.selectExpr(*account, raw, f"CAST(NULL AS STRING) AS {NOTE}", *values, *plain)


def _key_is_sound(rules: Sequence[RowRule], contract: Contract) -> str:
    """Spark SQL that holds for rows whose key can be trusted, whatever else is wrong with them.

    In a row with too many or too few fields a neighbour's value may stand in the key's place.
    """
    parts = {c.name for c in contract.columns if c.primary_key}
    sound = [rule.expression for rule in rules if rule.column in parts]
    return " AND ".join(["line > 0", "coalesce(error, 'encoding') = 'encoding'", *sound])


def _choose(index: str, names: list[str]) -> str:
    whens = " ".join(f"WHEN {i} THEN {literal(name)}" for i, name in enumerate(names, start=1))
    return f"CASE {index} {whens} END" if names else "CAST(NULL AS STRING)"


def _value_columns(contract: Contract) -> list[str]:
    days = [contract.day_column] if contract.adds_day else []
    return days + [c.name for c in contract.columns]


def _before_hashing(contract: Contract) -> dict[str, str]:
    """Published name to expression; columns to be hashed, tokenised or redacted still hold the plain value, as text."""
    expressions = {contract.day_column: identifier(contract.day_column)} if contract.adds_day else {}
    for column in contract.columns:
        if column.published is not None:
            expressions[column.published.name] = _expression(column, contract.day_column)
    return expressions


def _expression(column: Column, day: str) -> str:
    name = identifier(column.name)
    if column.privacy is None or column.privacy.policy == "keep":
        return name
    if column.privacy.policy == "generalise":
        return age_band_sql(name, identifier(day))
    return f"CAST({name} AS STRING)"


def protect(rows: DataFrame, contract: Contract) -> DataFrame:
    """Makes values safe by their policies, and encrypts raw text, where the dataset has personal columns."""
    if not contract.is_personal:
        return rows
    protection = protection_of(contract)

    def replace(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return protect_rows(batches, protection)

    # Notes leave all columns empty but a few.
    safe = [type(f)(f.name, f.dataType) for f in rows.schema.fields if not f.name.startswith(PLAIN)]
    return rows.mapInArrow(replace, type(rows.schema)(safe))


def with_content_hash(rows: DataFrame, contract: Contract) -> DataFrame:
    """Adds ``content_hash``: 128 bits over the published values, in hex; equal rows have equal hashes in any file."""
    columns = ", ".join(identifier(c.name) for c in contract.published_columns)
    text = f"to_json(struct({columns}), map('ignoreNullFields', 'false'))"
    return rows.selectExpr("*", f"CASE WHEN {IS_LIVE} THEN left(sha2({text}, 256), {HASH_HEX}) END AS content_hash")
