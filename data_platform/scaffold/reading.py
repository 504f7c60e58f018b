"""Reads a sample whole, by the reader that ingestion uses, under a contract whose columns are all texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data_platform.contracts.model import Column as ContractColumn
from data_platform.contracts.model import Contract, Dialect
from data_platform.failures import PermanentFailure
from data_platform.scaffold.columns import Column
from data_platform.scaffold.samples import Sample

GROUP = "data_platform.preview"
ROWS_A_BATCH = 50_000
MOST_HASHES = 24_000_000  # of 8 bytes each: what looking for keys may take
UNKNOWN = "other_fields"
Reader = Callable[[Contract, Path], Iterator[pa.RecordBatch]]


@dataclass
class Rows:
    """What was read: columns, and the rows that could not be told apart into them.

    Attributes:
        files: number of the file of each hashed row.
        broken: why → how many; with the first place of each.
        is_whole: whether all of all files was read.
    """

    columns: list[Column]
    count: int = 0
    broken: Counter[str] = field(default_factory=Counter)
    places: dict[str, str] = field(default_factory=dict)
    files: list[NDArray[np.int32]] = field(default_factory=list)
    hashed: int = 0
    bytes_read: int = 0
    is_whole: bool = True
    unknown: int = 0

    def file_of_row(self) -> NDArray[np.int32]:
        """Number of the file, a hashed row."""
        return np.concatenate(self.files) if self.files else np.empty(0, np.int32)


def draft_of_texts(paths: Sequence[str], form: str, dialect: Dialect) -> Contract:
    """A contract that reads every column as a text; of objects it also takes what is beside them."""
    columns = [_text(f"c{number}", path) for number, path in enumerate(paths)]
    if form != "csv":
        columns.append(_text(UNKNOWN, UNKNOWN, customProperties=[{"property": "holds", "value": "unknown_fields"}]))
    return Contract(
        path=Path("sources/draft/draft.odcs.yaml"),
        id="draft",
        name="draft",
        version="0.0.1",
        status="draft",
        domain="draft",
        purpose="to be read",
        owner="",
        team="",
        dataset="draft",
        grain="a row",
        columns=tuple(columns),
        kind="events",
        day_column="extract_day",
        day_from_path=True,
        location="landing/draft/{extract_day}",
        format=form,
        dialect=dialect,
    )


def _text(name: str, path: str, **more: Any) -> ContractColumn:
    return ContractColumn.model_validate(
        {
            "name": name,
            "physicalName": path,
            "logicalType": "string",
            "physicalType": "text",
            "description": "?",
            **more,
        }
    )


def reader() -> Reader:
    """The reader of an installed room.

    Raises:
        PermanentFailure: when there is none.
    """
    for entry in entry_points(group=GROUP):
        found: Reader = entry.load()
        return found
    raise PermanentFailure("no installed room can read files", hint="install the whole project: `make demo` does")


def broken_share(contract: Contract, sample: Sample, rows: int = 5_000) -> float:
    """Which part of the first file's first rows cannot be told apart into the contract's columns."""
    read, broken = 0, 0
    try:
        for batch in reader()(contract, sample.files[0]):
            read += batch.num_rows
            broken += batch.num_rows - batch.column("error").null_count
            if read >= rows:
                break
    except PermanentFailure:
        return 1.0
    return broken / read if read else 1.0


def read_rows(contract: Contract, sample: Sample, paths: Sequence[str]) -> Rows:
    """Looks at all rows of the sample's files.

    Raises:
        PermanentFailure: when a file as a whole cannot be read.
    """
    rows = Rows([Column(path) for path in paths], is_whole=len(sample.read) == len(sample.files))
    read = reader()
    for number, file in enumerate(sample.read):
        waiting: list[pa.RecordBatch] = []
        taken = 0
        for batch in read(contract, file):
            waiting.append(batch)
            taken += batch.nbytes
            if sum(b.num_rows for b in waiting) >= ROWS_A_BATCH:
                _take(rows, waiting, contract, number, file)
                waiting = []
            if taken > 2 * sample.bytes_a_file:
                rows.is_whole = False
                break
        _take(rows, waiting, contract, number, file)
        rows.bytes_read += taken
        for column in rows.columns:
            for form in column.forms:
                form.end_file()
    for column in rows.columns:
        found = np.unique(column.all_hashes())
        column.distinct = len(found) - int(len(found) > 0 and found[0] == 0)
    return rows


def _take(rows: Rows, batches: list[pa.RecordBatch], contract: Contract, number: int, file: Path) -> None:
    if not batches:
        return
    batch = pa.concat_batches(batches)
    errors = batch.column("error")
    for line, error in (
        zip(batch.column("line").to_pylist(), errors.to_pylist(), strict=True)
        if errors.null_count < len(errors)
        else ()
    ):
        if error:
            rows.broken[error] += 1
            rows.places.setdefault(error, f"{file}:{line}")
    good = batch.filter(errors.is_null())
    rows.count += good.num_rows
    with_hashes = rows.hashed + good.num_rows * len(rows.columns) <= MOST_HASHES
    if with_hashes:
        rows.hashed += good.num_rows * len(rows.columns)
        rows.files.append(np.full(good.num_rows, number, np.int32))
    for column, name in zip(rows.columns, contract.columns, strict=False):
        column.take(good.column(name.name), with_hashes=with_hashes)
    if contract.unknown_fields:
        rows.unknown += good.num_rows - good.column(contract.unknown_fields).null_count
