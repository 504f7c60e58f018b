"""The header of a delimited file: where it ends, and which names stand in it; and rows that are headers again."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc

from spark_jobs.records import Incomplete, Layout, UnreadableFileError, is_blank, line_end, split_record


@dataclass(frozen=True)
class Header:
    """Names as they stand in a file, without blanks around them.

    Attributes:
        end: the position after them.
        line: where they stand in the file.
        troubles: in words, what speaks against their being names at all.
    """

    names: tuple[str, ...]
    end: int = 0
    line: int = 1
    troubles: tuple[str, ...] = ()


def find_header(buffer: bytes, layout: Layout, name: str, *, final: bool) -> Header | None:
    """The header, or None while it is not all there.

    Raises:
        UnreadableFileError: when there is none.
    """
    position = 0
    while position < len(buffer):
        end = line_end(buffer, position)
        if not final and not buffer.endswith(b"\n", 0, end):
            return None
        if not is_blank(buffer, position, end, layout):
            try:
                return _read_header(buffer, position, layout, final=final)
            except Incomplete:
                return None
        position = end
    if not final:
        return None
    raise UnreadableFileError(
        f"{name} is empty, not even a header", hint="ask the source to deliver it again, or withdraw it"
    )


def _read_header(buffer: bytes, position: int, layout: Layout, *, final: bool) -> Header:
    fields, end, error = split_record(buffer, position, layout, final=final)
    if not final and end == len(buffer) and not buffer.endswith(b"\n"):
        raise Incomplete
    text = buffer[position : line_end(buffer, position)].rstrip(b"\r\n")
    if error:
        fields = _rough_fields(text, layout)
    names = tuple(map(_text, fields))
    troubles = (
        "its quoting is broken" if error in {"quote", "escape"} or _holds_rows(names, layout) else "",
        "it holds NUL bytes, as text in UTF-16 does" if b"\0" in text else "",
        "its lines end with carriage returns alone" if error and b"\r" in text else "",
    )
    line = 1 + layout.skip_lines + buffer.count(b"\n", 0, position)
    return Header(names, end, line, tuple(filter(None, troubles)))


def _holds_rows(names: tuple[str, ...], layout: Layout) -> bool:
    """Whether a name goes over lines and holds a separator: then a quote was left open, and took rows into it."""
    return any("\n" in n and (layout.separator or "\n") in n and n not in layout.columns for n in names)


def _rough_fields(text: bytes, layout: Layout) -> list[bytes]:
    fields = text.split(layout.separator.encode() if layout.separator else None)
    return [field.strip(layout.quote.encode()) for field in fields] if layout.quote else fields


def _text(field: bytes) -> str:
    return field.decode(errors="backslashreplace").strip()


def mark_repeated(rows: pa.RecordBatch, layout: Layout) -> pa.RecordBatch:
    """The rows; one that only says the file's columns' names again, in its order, is broken.

    It comes of files that were put together, or of a header where the contract has none: as text it would pass. Of a
    single column a value may well be the column's name.
    """
    if len(layout.names) == 1:
        return rows
    last = rows.column(layout.names[-1])
    if not pc.any(pc.equal(last, layout.columns[-1])).as_py():
        return rows
    same = [
        pc.equal(pc.utf8_trim(rows.column(n), "\ufeff \t"), c)
        for n, c in zip(layout.names, layout.columns, strict=True)
    ]
    is_header = pc.fill_null(reduce(pc.and_kleene, same), False)
    columns = {name: rows.column(name) for name in rows.schema.names}
    columns["error"] = pc.if_else(is_header, "header", columns["error"])
    for name in layout.names:
        columns[name] = pc.if_else(is_header, pa.scalar(None, pa.string()), columns[name])
    return pa.RecordBatch.from_arrays(list(columns.values()), schema=rows.schema)
