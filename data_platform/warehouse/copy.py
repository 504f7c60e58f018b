"""Spark → Postgres by COPY: each partition streams its Arrow batches into one binary COPY of its own.

Partitions commit separately, so load where nobody reads, and compare the count that comes back with the table's: a
partition that Spark ran twice shows up there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

ROWS_PER_CONNECTION = 250_000
MOST_CONNECTIONS = 4


def connections_for(rows: int) -> int:
    """How many partitions a load of so many rows is worth."""
    return max(1, min(MOST_CONNECTIONS, rows // ROWS_PER_CONNECTION))


def copy_frame(frame: DataFrame, schema: str, table: str, parameters: Mapping[str, Any]) -> int:
    """Loads a DataFrame, a COPY a partition; returns the number of rows sent.

    Args:
        frame: its columns are columns of the table, by name, and of just their types: a binary COPY converts nothing.
            A uuid is 16 bytes.
        parameters: of the connection; they reach the workers inside the function, not by any command line.
    """

    def load(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        yield pa.record_batch([pa.array([copy_batches(batches, schema, table, parameters)])], ["rows"])

    return sum(row["rows"] for row in frame.mapInArrow(load, "rows BIGINT").collect())


def copy_batches(batches: Iterator[pa.RecordBatch], schema: str, table: str, parameters: Mapping[str, Any]) -> int:
    """Loads Arrow batches by one COPY in one transaction; returns the number of rows."""
    import pyarrow as pa
    from adbc_driver_postgresql import dbapi
    from psycopg2.extensions import make_dsn

    first = next(batches, None)
    if first is None:
        return 0
    rows = pa.RecordBatchReader.from_batches(first.schema, chain([first], batches))
    target = make_dsn(**parameters, application_name="dp copy", connect_timeout=5)
    with dbapi.connect(target) as connection, connection.cursor() as cursor:
        sent = cursor.adbc_ingest(table, rows, mode="append", db_schema_name=schema)
        connection.commit()
    return sent
