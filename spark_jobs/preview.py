"""A file's rows as texts, outside of Spark: a new contract is drafted by the code that will read its files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from data_platform.contracts.model import Contract
from spark_jobs import table_files, text_files
from spark_jobs.reading import layout_of


def read_texts(contract: Contract, file: Path) -> Iterator[pa.RecordBatch]:
    """Batches of ``line, error, error_column, raw`` and the contract's columns; all but the line are texts.

    Raises:
        UnreadableFileError: when the file as a whole cannot be read.
    """
    layout = layout_of(contract)
    read_file = text_files.read_file if layout.format in {"csv", "json"} else table_files.read_file
    for part in read_file(file, layout, name=str(file)):
        if part.batch is not None:
            yield part.batch
