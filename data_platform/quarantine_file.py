"""Quarantined rows in a file, for whoever owns the source to correct; and the way back.

CSV or JSON lines, told by the file's ending. Whoever corrects fills in ``corrected``, the whole row as it should have
been delivered, and leaves the rest as it is; rows where it is empty are left alone.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from data_platform.failures import InputError
from data_platform.overrides import raw_digest
from data_platform.privacy import quarantine_key
from data_platform.quarantine import BrokenRow, Fix, find_row, find_rows
from data_platform.warehouse.connection import Connection

FORMATS = (".csv", ".jsonl")


class FileRow(BaseModel):
    """A row of the file; what is only told to people may be missing on the way back."""

    model_config = ConfigDict(extra="forbid")

    dataset: str
    path: str
    line: int
    rule: str = ""
    column: str = ""
    message: str = ""
    raw: str
    corrected: str = ""


def write_rows(file: Path, rows: Sequence[BrokenRow]) -> None:
    """Writes rows, decrypted, into a new file that only its owner can read.

    Raises:
        InputError: for another ending, or when the file is there already or cannot be written.
    """
    _check_format(file)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error.strerror}", hint="name a file that is not there") from None
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as stream:
        documents = [_document(row) for row in rows]
        if file.suffix == ".csv":
            # Quoted throughout: the writer would leave a carriage return bare, and the reader end the row there.
            writer = csv.DictWriter(stream, list(FileRow.model_fields), lineterminator="\n", quoting=csv.QUOTE_ALL)
            writer.writeheader()
            writer.writerows(documents)
        else:
            stream.writelines(json.dumps(document, ensure_ascii=False) + "\n" for document in documents)


def _document(row: BrokenRow) -> dict[str, Any]:
    return FileRow(
        dataset=row.dataset,
        path=row.path,
        line=row.line,
        rule=row.rule,
        column=row.column or "",
        message=row.message,
        raw=row.text(),
    ).model_dump()


def read_fixes(connection: Connection, file: Path, dataset: str | None) -> list[Fix]:
    """What a file says that rows should read.

    Raises:
        InputError: names the row of the file that cannot be read, is no longer in quarantine, or stands there twice.
    """
    key = quarantine_key()
    present = {(row.dataset, row.path, row.line): row for row in find_rows(connection, dataset=dataset)}
    fixes: dict[tuple[str, str, int], Fix] = {}
    for told_in, row in read_rows(file):
        if not row.corrected:
            continue
        place = (row.dataset, row.path, row.line)
        if place in fixes:
            raise InputError(f"{told_in}: {row.path}:{row.line} stands in the file twice")
        found = present.get(place) or find_row(connection, row.path, row.line, row.dataset)
        if raw_digest(row.raw, key) != found.raw_digest:
            raise InputError(
                f"{told_in}: {found.place} does not read as in the file any more",
                hint="`raw` must be left as it was exported; if the delivery has changed, export again",
            )
        fixes[place] = Fix(found, row.corrected, told_in)
    if not fixes:
        raise InputError(f"no row of {file} has a correction", hint="fill in `corrected` where a row can be put right")
    return list(fixes.values())


def read_rows(file: Path) -> Iterator[tuple[str, FileRow]]:
    """Rows of a file, each with what messages call it.

    Raises:
        InputError: when it cannot be read, or is not in the form of an export.
    """
    _check_format(file)
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            documents = csv.DictReader(stream) if file.suffix == ".csv" else (json.loads(line) for line in stream)
            for number, document in enumerate(documents, start=1):
                yield f"{file.name}, row {number}", FileRow.model_validate(document)
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        wrong = ", ".join(sorted({".".join(map(str, problem["loc"])) for problem in error.errors()}))
        raise InputError(
            f"{file.name}, row {number}: not as exported: {wrong}",
            hint=f"columns are {', '.join(FileRow.model_fields)}",
        ) from None
    except (ValueError, csv.Error):
        raise InputError(f"{file.name} is no {file.suffix[1:]} in UTF-8", hint="keep the form of the export") from None


def _check_format(file: Path) -> None:
    if file.suffix not in FORMATS:
        raise InputError(f"{file} is neither CSV nor JSON lines", hint=f"let its name end in {' or '.join(FORMATS)}")
