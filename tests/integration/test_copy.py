"""Arrow batches → Postgres: what arrives is what was sent, whatever stands in texts, in whatever time zone."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pyarrow as pa
import pytest
from psycopg2 import sql

from data_platform.settings import get_settings
from data_platform.warehouse.connection import close_idle, execute, query, transaction
from data_platform.warehouse.copy import copy_batches
from tests.conftest import Platform

pytestmark = pytest.mark.integration

SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("happened_at", pa.timestamp("us", tz="UTC")),
        ("happened_on", pa.date32()),
        ("amount_usd", pa.decimal128(12, 2)),
        ("note", pa.string()),
        ("code", pa.binary()),
    ]
)
CODE = UUID(int=4711)
ROWS = [
    (1, datetime(1998, 6, 30, 23, 59, 59, 999999, tzinfo=UTC), date(1998, 6, 30), Decimal("-0.05"), ""),
    (2, datetime(1969, 12, 31, 23, 59, 59, 1, tzinfo=UTC), date(1969, 12, 31), Decimal("9999999999.99"), None),
    (3, None, None, None, 'says "no", twice\r\nand goes'),
    (4, datetime(2024, 3, 31, 1, 30, tzinfo=UTC), date(2024, 2, 29), Decimal("0.00"), "c:\\new\\table Größe \\."),
    (5, datetime(1970, 1, 1, tzinfo=UTC), date(1970, 1, 1), Decimal("1.10"), "\\."),
]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/St_Johns"])
def test_rows_arrive_as_they_were_sent(platform: Platform, zone: str) -> None:
    with transaction() as connection:
        name = sql.Identifier(connection.info.dbname)
        execute(connection, sql.SQL("alter database {} set timezone to {}").format(name, sql.Literal(zone)))
        execute(
            connection,
            """create table marts.copied (note text, amount_usd numeric(12, 2), happened_on date,
                                          happened_at timestamptz, id bigint, code uuid)""",
        )
    close_idle()  # the setting is one of new sessions
    rows = [dict(zip(SCHEMA.names, (*row, CODE.bytes), strict=True)) for row in ROWS]
    batches = [pa.RecordBatch.from_pylist([row], SCHEMA) for row in rows]
    empty = pa.RecordBatch.from_pylist([], SCHEMA)

    sent = copy_batches(iter([empty, *batches]), "marts", "copied", get_settings().warehouse_parameters())

    assert sent == len(ROWS)
    with transaction() as connection:
        assert query(connection, "show timezone")[0]["TimeZone"] == zone, "the server's clock must differ"
        found = query(connection, "select id, happened_at, happened_on, amount_usd, note from marts.copied order by id")
        codes = query(connection, "select distinct code::text as code from marts.copied")
    assert [tuple(row.values()) for row in found] == ROWS
    assert codes == [{"code": str(CODE)}]
