"""What Spark makes of compiled expressions: typed values, and which rows it calls broken."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from data_platform.contracts.compile.spark import identifier, row_rules, spark_schema, typed_expression
from data_platform.contracts.model import Column, Dialect
from spark_jobs.session import get_spark
from tests.conftest import Platform
from tests.unit.contracts.examples import contract_of

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("spark_server")]

LOGICAL = {"text": "string", "uuid": "string", "boolean": "boolean", "date": "date", "timestamptz": "timestamp"}
A_UUID = "0b0e7f3a-9d5c-4a56-8f5e-2f3c4d5e6f70"


def column(physical_type: str, **options: Any) -> Column:
    kind = "integer" if physical_type.endswith("int") or physical_type == "integer" else "number"
    return Column(
        name="value",
        logicalType=LOGICAL.get(physical_type, kind),
        physicalType=physical_type,
        description="a value",
        logicalTypeOptions=options,
    )


EUROPEAN = Dialect(decimal=",", nullValues=["", "-", "NA"])
SWISS = Dialect(thousands="'")
GERMAN = Dialect(decimal=",", thousands=".")
CASES: list[tuple[Column, Dialect, list[tuple[str | None, Any]]]] = [
    (column("text"), Dialect(), [(" a ", " a "), ("", None), (None, None), ("'\\", "'\\"), ("NA", "NA")]),
    (column("text"), EUROPEAN, [("NA", None), (" NA", " NA"), ("-", None)]),
    (column("integer"), Dialect(), [("7", 7), (" +7\t", 7), ("-7", -7), ("007", 7), ("", None), ("  ", None)]),
    (column("integer"), Dialect(), [("1.5", None), ("1e3", None), ("2147483648", None), ("7\n8", None), ("٣", None)]),
    (column("smallint"), Dialect(), [("32767", 32767), ("32768", None)]),
    (column("bigint"), Dialect(), [("9223372036854775807", 2**63 - 1), ("9223372036854775808", None)]),
    (
        column("numeric(6,2)"),
        Dialect(),
        [("29.33", Decimal("29.33")), ("29.3", Decimal("29.30")), (".5", Decimal("0.50"))],
    ),
    (
        column("numeric(6,2)"),
        Dialect(),
        [("29.335", None), ("10000", None), ("9999.99", Decimal("9999.99")), ("1,5", None)],
    ),
    (
        column("numeric(6,2)"),
        Dialect(),
        [("1e2", None), ("NaN", None), ("1_0", None), (".", None), ("-3.", Decimal("-3.00"))],
    ),
    (column("numeric(6,0)"), Dialect(), [("12", Decimal(12)), ("12.0", None)]),
    (
        column("numeric(6,2)"),
        EUROPEAN,
        [("29,33", Decimal("29.33")), ("29.33", None), ("1.000,50", None), ("NA", None)],
    ),
    (
        column("double precision"),
        Dialect(),
        [("1.5", 1.5), ("1e3", 1000.0), ("1e999", None), ("NaN", None), ("inf", None)],
    ),
    (column("double precision"), EUROPEAN, [("1,5", 1.5), ("1.5", None)]),
    (column("integer"), SWISS, [("-1'234'567", -1234567), ("1234", 1234), ("12'34", None), ("'123", None)]),
    (column("integer"), GERMAN, [("1.234", 1234), ("1234.", None), ("1a234", None)]),
    (
        column("numeric(9,2)"),
        GERMAN,
        [("1.234,5", Decimal("1234.50")), ("1234,5", Decimal("1234.50")), ("1.23,5", None), ("1,234.5", None)],
    ),
    (column("double precision"), SWISS, [("1'234.5", 1234.5), ("1'234e3", None)]),
    (column("numeric(9,2)"), Dialect(), [("9" * 5000, None), ("0" * 900 + "1", Decimal("1.00"))]),
    (column("boolean"), Dialect(), [("true", True), (" F ", False), ("maybe", None), ("", None)]),
    (
        column("date"),
        Dialect(),
        [("1997-01-31", date(1997, 1, 31)), ("1997-02-30", None), ("1997", None), ("1997-1-1", None)],
    ),
    (
        column("date", format="yyyyMMdd"),
        Dialect(),
        [("19970131", date(1997, 1, 31)), ("19970230", None), ("1997-01-31", None)],
    ),
    (column("date", format="dd/MM/yyyy"), Dialect(), [("31/01/1997", date(1997, 1, 31)), ("01/31/1997", None)]),
    (
        column("timestamptz"),
        Dialect(),
        [
            ("1997-01-31T10:00:00Z", datetime(1997, 1, 31, 10, tzinfo=UTC)),
            ("1997-01-31 10:00:00", datetime(1997, 1, 31, 10, tzinfo=UTC)),
            ("1997-01-31 10:00", None),
            ("1997-01-31T10:00:00.123456+02:00", datetime(1997, 1, 31, 8, 0, 0, 123456, tzinfo=UTC)),
            ("1997-01-31", None),
            ("1997-01-31T25:00:00Z", None),
            ("10:00", None),
        ],
    ),
    (
        column("timestamptz", format="yyyyMMddHHmm"),
        Dialect(),
        [("199701311000", datetime(1997, 1, 31, 10, tzinfo=UTC))],
    ),
    (column("uuid"), Dialect(), [(A_UUID.upper(), A_UUID), (A_UUID + "0", None), ("x", None)]),
]


@pytest.mark.parametrize("ansi", ["true", "false"])
def test_values_are_typed_or_absent_never_guessed(platform: Platform, ansi: str) -> None:
    spark = get_spark()
    before = spark.conf.get("spark.sql.ansi.enabled")
    spark.conf.set("spark.sql.ansi.enabled", ansi)
    try:
        for one, dialect, values in CASES:
            frame = spark.createDataFrame([(given,) for given, _ in values], "value string")
            expression = typed_expression(one, dialect)
            # Timestamps as text: collecting them would turn them into the machine's own zone.
            shown = frame.selectExpr("value", f"cast({expression} as string) as text", f"{expression} as typed")
            assert shown.schema["typed"].dataType == spark.createDataFrame([], spark_schema([one])).schema[0].dataType
            for (given, expected), row in zip(values, shown.select("text").collect(), strict=True):
                assert row["text"] == as_spark_writes(expected), f"{one.physical_type} {dialect.decimal} {given!r}"
    finally:
        spark.conf.set("spark.sql.ansi.enabled", before)


def as_spark_writes(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S") + (f".{value.microsecond:06d}" if value.microsecond else "")
    return str(value)


GOOD = {
    "order_no": "0001",
    "ordered_on": "1998-01-01",
    "amount_usd": "12.50",
    "note": "a gift",
    "channel": "web",
    "email": "a@b.example",
    "born_on": "1970-01-01",
    "phone": "1",
    "gender": "f",
}
BROKEN = [
    ("order_no", "", ["required"]),
    ("order_no", None, ["required"]),
    ("order_no", "12345", ["pattern"]),
    ("order_no", "1234\n", ["pattern"]),  # Java's `$` alone would let it pass, and Postgres would then refuse it
    ("ordered_on", "1998-13-01", ["type"]),
    ("amount_usd", "12.505", ["type"]),
    ("amount_usd", "-0.01", ["range"]),
    ("amount_usd", "500.01", ["range"]),
    ("note", "eleven char", ["length"]),
    ("channel", "letter", ["allowed"]),
    ("channel", "", ["required"]),
    ("born_on", "yesterday", ["type"]),
]


def test_each_broken_value_breaks_its_rule_and_no_other(platform: Platform, tmp_path: Path) -> None:
    contract = contract_of(tmp_path / "contracts")
    rules = row_rules(contract)
    rows = [GOOD, {**GOOD, "amount_usd": "", "note": "", "born_on": ""}]
    rows += [{**GOOD, name: value} for name, value, _ in BROKEN]
    schema = ", ".join(f"{identifier(name)} string" for name in GOOD)
    frame = get_spark().createDataFrame([tuple(row.values()) for row in rows], schema)
    verdicts = frame.selectExpr(*(f"{rule.expression} as r{at}" for at, rule in enumerate(rules))).collect()
    found = [
        [(rule.column, rule.rule) for rule, good in zip(rules, row, strict=True) if good is not True]
        for row in verdicts
    ]
    assert found[:2] == [[], []]
    assert found[2:] == [[(name, rule) for rule in names] for name, _, names in BROKEN]
    assert {rule.rule for rule in rules} == {rule for _, _, names in BROKEN for rule in names}
