"""The lake: one Delta table a source dataset, ``bronze/<dataset>``, partitioned by month and sorted by day.

Spark writes Parquet into a folder of the attempt's own; ``commit_attempt`` then adds its files to the table. A row
counts only while the ledger names its (file_id, ingest_id) live: what an attempt left behind when it was killed, what a
later attempt superseded, and what a file held that failed as a whole, is never seen. Statistics stand in the log for
days and ids alone: the log outlives the rows, and so must hold no value that a person could ask to have erased.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet

from data_platform.contracts.model import Column, Contract
from data_platform.failures import PermanentFailure
from data_platform.intervals import cover
from data_platform.settings import get_settings

MONTH = "month"
# In place of a month: rows of an attempt that do not belong to the table, but tell what became of its files.
ACCOUNT = "account"
# Columns of every row, before the published ones.
ORIGIN = (
    ("file_id", pa.int64()),
    ("ingest_id", pa.int64()),
    ("line", pa.int64()),
    ("arrived_at", pa.timestamp("us", tz="UTC")),
    ("content_hash", pa.string()),
)
ARROW_TYPES = {
    "text": pa.string(),
    "uuid": pa.string(),
    "smallint": pa.int16(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamptz": pa.timestamp("us", tz="UTC"),
    "double precision": pa.float64(),
}


@dataclass(frozen=True)
class LakeFile:
    """A Parquet file of a table, with the bounds of what it holds."""

    url: str
    rows: int
    first_day: date
    last_day: date
    ingest_id: int


def table_url(dataset: str) -> str:
    """Where the table of a source dataset stands."""
    return f"{get_settings().lake}/bronze/{dataset}"


def attempt_folder(ingest_id: int) -> str:
    """Folder of an attempt inside the table; its files are told from others' without asking Spark for their names."""
    return f"attempt-{ingest_id:08d}"


def arrow_schema(contract: Contract) -> pa.Schema:
    """Columns of the table, without the partition column."""
    return pa.schema([*ORIGIN, *((c.name, arrow_type(c)) for c in contract.published_columns)])


def arrow_type(column: Column) -> pa.DataType:
    """Arrow's type for one of our physical types."""
    if column.physical_type.startswith("numeric"):
        precision, scale = column.physical_type[len("numeric(") : -1].split(",")
        return pa.decimal128(int(precision), int(scale))
    return ARROW_TYPES[column.physical_type]


@dataclass(frozen=True)
class WrittenFile:
    """A Parquet file of an attempt, as Spark wrote it; ``path`` is relative to the table."""

    path: str
    month: str
    size: int
    modified_ms: int


def written_files(dataset: str, ingest_id: int) -> list[WrittenFile]:
    """What an attempt has written, whether it counts or not."""
    filesystem, root = pyarrow.fs.FileSystem.from_uri(table_url(dataset))
    selector = pyarrow.fs.FileSelector(f"{root}/{attempt_folder(ingest_id)}", recursive=True, allow_not_found=True)
    files = []
    for info in filesystem.get_file_info(selector):
        if info.type == pyarrow.fs.FileType.File and info.path.endswith(".parquet"):
            path = info.path[len(root) + 1 :]
            month = path.split(f"/{MONTH}=")[1].split("/")[0]
            files.append(WrittenFile(path, month, info.size, info.mtime_ns // 1_000_000))
    return sorted(files, key=lambda f: f.path)


def read_columns(dataset: str, file: WrittenFile, columns: Sequence[str]) -> pa.Table:
    """Some columns of a written file."""
    filesystem, root = pyarrow.fs.FileSystem.from_uri(table_url(dataset))
    return pyarrow.parquet.read_table(
        f"{root}/{file.path}", columns=list(columns), filesystem=filesystem, partitioning=None
    )


def commit_attempt(contract: Contract, files: Sequence[WrittenFile], ingest_id: int, run_id: str) -> None:
    """Adds an attempt's files to the table, which is made if there is none.

    Raises:
        PermanentFailure: when the table has a column of another type than the contract.
    """
    import deltalake
    from deltalake.transaction import create_table_with_add_actions

    url = table_url(contract.dataset)
    actions = [_add_action(contract, file) for file in files if file.month != ACCOUNT]
    if not actions:
        return
    schema = deltalake.Schema.from_arrow(arrow_schema(contract).append(pa.field(MONTH, pa.string())))
    properties = deltalake.CommitProperties(custom_metadata={"run_id": run_id, "ingest_id": str(ingest_id)})
    if deltalake.DeltaTable.is_deltatable(url):
        table = deltalake.DeltaTable(url)
        _widen(table, schema, contract)
        table.create_write_transaction(
            actions, mode="append", schema=table.schema(), partition_by=[MONTH], commit_properties=properties
        )
        return
    create_table_with_add_actions(
        url,
        schema,
        actions,
        mode="error",
        partition_by=[MONTH],
        name=contract.dataset,
        configuration={"delta.dataSkippingStatsColumns": f"file_id,ingest_id,{contract.day_column}"},
        commit_properties=properties,
    )


def drop_account(dataset: str, files: Sequence[WrittenFile]) -> None:
    """Removes what told of an attempt's files, once the ledger tells it."""
    filesystem, root = pyarrow.fs.FileSystem.from_uri(table_url(dataset))
    for file in files:
        if file.month == ACCOUNT:
            filesystem.delete_file(f"{root}/{file.path}")


def _widen(table: Any, wanted: Any, contract: Contract) -> None:
    """Adds columns that the table lacks; columns that the contract has given up stay, empty from now on."""
    present = {f.name: f for f in table.schema().fields}
    changed = [f.name for f in wanted.fields if f.name in present and present[f.name].type != f.type]
    if changed:
        raise PermanentFailure(
            f"bronze/{contract.dataset} holds {', '.join(changed)} with another type than {contract.path}",
            hint="give the column a new name in the contract, or move the table away and ingest its files again",
        )
    if missing := [f for f in wanted.fields if f.name not in present]:
        table.alter.add_columns(missing)


def _add_action(contract: Contract, file: WrittenFile) -> Any:
    from deltalake.transaction import AddAction

    filesystem, root = pyarrow.fs.FileSystem.from_uri(table_url(contract.dataset))
    with filesystem.open_input_file(f"{root}/{file.path}") as source:
        stats = _statistics(pyarrow.parquet.ParquetFile(source).metadata, contract)
    return AddAction(
        path=file.path,
        size=file.size,
        partition_values={MONTH: file.month},
        modification_time=file.modified_ms,
        data_change=True,
        stats=json.dumps(stats),
    )


def _statistics(metadata: Any, contract: Contract) -> dict[str, Any]:
    """Bounds of days and ids from a file's footer, in the form of Delta's log."""
    names = ("file_id", "ingest_id", contract.day_column)
    bounds: dict[str, list[Any]] = {name: [] for name in names}
    for group in range(metadata.num_row_groups):
        for index in range(metadata.num_columns):
            column = metadata.row_group(group).column(index)
            if column.path_in_schema in bounds:
                bounds[column.path_in_schema] += [column.statistics.min, column.statistics.max]
    plain = {n: [v.isoformat() if isinstance(v, date) else v for v in values] for n, values in bounds.items()}
    return {
        "numRecords": metadata.num_rows,
        "minValues": {n: min(values) for n, values in plain.items()},
        "maxValues": {n: max(values) for n, values in plain.items()},
        "nullCount": dict.fromkeys(names, 0),
    }


def find_files(contract: Contract, days: Sequence[date], ingest_ids: Sequence[int]) -> list[LakeFile]:
    """The table's files that may hold rows of these days and attempts."""
    import deltalake

    url = table_url(contract.dataset)
    if not days or not deltalake.DeltaTable.is_deltatable(url):
        return []
    wanted, intervals = set(ingest_ids), cover(days)
    entries = pa.table(deltalake.DeltaTable(url).get_add_actions(flatten=True)).to_pylist()
    files = [
        LakeFile(
            url=f"{url}/{entry['path']}",
            rows=entry["num_records"],
            first_day=entry[f"min.{contract.day_column}"],
            last_day=entry[f"max.{contract.day_column}"],
            ingest_id=entry["min.ingest_id"],
        )
        for entry in entries
    ]
    return [
        f
        for f in files
        if f.ingest_id in wanted and any(i.start <= f.last_day and f.first_day < i.end for i in intervals)
    ]
