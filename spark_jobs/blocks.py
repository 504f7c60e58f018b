"""The fast path of the reader: whole blocks at once, by vectors.

A block is taken as it is when its quoting is sound throughout; rows of it that are broken all the same (number of
fields, undecodable bytes) are cut out and left to ``records``, which is exact. What the vectors cannot vouch for goes
there entirely.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

from spark_jobs.records import MAX_RECORD_BYTES, Incomplete, Layout, is_blank, line_end, read_record

NEWLINE, RETURN, SPACE, TAB = b"\n\r \t"
Bytes = NDArray[np.uint8]
Positions = NDArray[np.int64]
NOWHERE: Positions = np.empty(0, np.int64)


@dataclass
class Rows:
    """Rows that were read one by one, as columns."""

    lines: list[int] = field(default_factory=list)
    errors: list[str | None] = field(default_factory=list)
    columns_at_fault: list[str | None] = field(default_factory=list)
    raws: list[str] = field(default_factory=list)
    fields: list[tuple[str | None, ...]] = field(default_factory=list)

    def batch(self, schema: pa.Schema) -> pa.RecordBatch:
        """The rows as a batch of the reader's schema."""
        width = len(schema) - 4
        values = list(zip(*self.fields, strict=True)) or [()] * width
        columns = [self.lines, self.errors, self.columns_at_fault, self.raws, *values]
        arrays = [pa.array(column, type=f.type) for column, f in zip(columns, schema, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=schema)


@dataclass(frozen=True)
class Block:
    """What was read of a buffer.

    Attributes:
        batches: rows, in no particular order.
        consumed: bytes of the buffer that are done with.
        records: how many records these bytes hold, counted by their borders.
    """

    batches: list[pa.RecordBatch]
    consumed: int
    records: int


def reader_schema(layout: Layout) -> pa.Schema:
    """``line, error, error_column, raw`` and the delivered columns, all strings but the line."""
    strings = [(name, pa.string()) for name in ("error", "error_column", "raw", *layout.names)]
    return pa.schema([("line", pa.int64()), *strings])


def read_block(data: bytes, first_line: int, layout: Layout, *, final: bool) -> Block:
    """Reads the whole records at the beginning of a buffer, which begins with line ``first_line`` of the file."""
    return _read_fast(data, first_line, layout, final=final) or read_slowly(data, first_line, layout, final=final)


def read_slowly(data: bytes, first_line: int, layout: Layout, *, final: bool) -> Block:
    """Reads record by record, exactly."""
    rows, position, line = Rows(), 0, first_line
    while position < len(data):
        end = line_end(data, position)
        ends = final or data.endswith(b"\n", 0, end)
        if not ends and end - position < MAX_RECORD_BYTES:
            break
        if is_blank(data, position, end, layout):
            position, line = end, line + 1
            continue
        try:
            end = _read_one(data, position, line, layout, rows, final=final)
        except Incomplete:
            break
        line += data.count(b"\n", position, end)
        position = end
    return Block([rows.batch(reader_schema(layout))] if rows.lines else [], position, len(rows.lines))


def _read_one(data: bytes, position: int, line: int, layout: Layout, rows: Rows, *, final: bool) -> int:
    """Reads the record at a position into ``rows`` and returns where it ends."""
    record = read_record(data, position, layout, final=final)
    rows.lines.append(line)
    rows.errors.append(record.error)
    rows.columns_at_fault.append(record.column)
    text = data[position : record.end].rstrip(b"\r\n").decode(errors="backslashreplace")
    rows.raws.append(text.replace("\0", r"\x00"))  # like undecodable bytes: Postgres holds no NUL
    rows.fields.append(record.fields or (None,) * len(layout.names))
    return record.end


def _read_fast(data: bytes, first_line: int, layout: Layout, *, final: bool) -> Block | None:
    """The block by vectors, or None where they cannot vouch for it."""
    buffer = np.frombuffer(data, dtype=np.uint8)
    escaped = _escaped(buffer, layout) if layout.escape and layout.escape.encode() in data else NOWHERE
    quote = layout.quote.encode() if layout.quote else None
    quotes = np.flatnonzero(buffer == quote[0]) if quote and quote in data else NOWHERE
    if (len(quotes) and layout.separator is None) or b"\r\r" in data:
        return None
    newlines = np.flatnonzero(buffer == NEWLINE)
    quotes, borders = _without(quotes, escaped), _without(newlines, escaped)
    if len(quotes):
        borders = borders[_outside(borders, quotes)]
    if final and len(data) and (not len(borders) or borders[-1] != len(data) - 1):
        borders = np.append(borders, len(data))  # A missing final newline.
    if not len(borders):
        return None
    consumed = min(int(borders[-1]) + 1, len(data))
    buffer = buffer[:consumed]
    quotes = quotes[quotes < consumed]
    if len(quotes) and not _quoting_is_sound(buffer, quotes, layout):
        return None
    starts = np.concatenate(([0], borders[:-1] + 1))
    may_span = len(quotes) or len(escaped)
    lines = first_line + (np.searchsorted(newlines, starts) if may_span else np.arange(len(starts)))
    next_line = first_line + int(np.searchsorted(newlines, consumed)) + (borders[-1] == consumed)
    records = _Records(data[:consumed], buffer, starts, borders, np.append(lines, next_line), quotes, escaped)
    return _read_sound(records, layout)


def _escaped(buffer: Bytes, layout: Layout) -> Positions:
    """Positions of what an escape makes literal: of two escapes in a row the second, of CR and LF both."""
    assert layout.escape is not None
    escapes = np.flatnonzero(buffer == ord(layout.escape))
    begins = np.concatenate(([True], np.diff(escapes) != 1))
    place_in_run = np.arange(len(escapes)) - np.maximum.accumulate(np.where(begins, np.arange(len(escapes)), 0))
    found = escapes[place_in_run % 2 == 0] + 1
    padded = np.concatenate((buffer, [SPACE, SPACE]))
    feeds = found[(padded[found] == RETURN) & (padded[found + 1] == NEWLINE)] + 1
    return np.union1d(found, feeds)


def _without(positions: Positions, others: Positions) -> Positions:
    return np.setdiff1d(positions, others, assume_unique=True) if len(others) else positions


@dataclass(frozen=True)
class _Records:
    """Records of a buffer with sound quoting: record i is data[starts[i]:ends[i]], without its line feed.

    It stands on lines[i] up to, not including, lines[i + 1].
    """

    data: bytes
    buffer: Bytes
    starts: Positions
    ends: Positions
    lines: Positions
    quotes: Positions
    escaped: Positions


def _read_sound(records: _Records, layout: Layout) -> Block | None:
    counts, spans_lines = _field_counts(records, layout), np.diff(records.lines) > 1
    comments = _comments(records, layout)
    filled = (counts > 0) & ~comments
    broken = filled & (counts != len(layout.columns))
    for mask in (_undecodable(records), _stray_returns(records)):
        broken |= filled & mask
    if ((broken | comments) & spans_lines).any():
        return None  # An open quote may have swallowed neighbours.
    good = filled & ~broken
    good[_record_of(records, records.escaped[records.escaped <= len(records.data)] - 1)] = False
    rows = Rows()
    for index in np.flatnonzero(filled & ~good):
        begin, end = int(records.starts[index]), int(records.ends[index])
        _read_one(records.data[begin : end + 1], 0, int(records.lines[index]), layout, rows, final=True)
        if rows.errors[-1] and spans_lines[index]:
            return None
    batches = [rows.batch(reader_schema(layout))] if rows.lines else []
    if good.any():
        batch = _good_batch(records, good, layout)
        if batch is None:
            return None
        batches.append(batch)
    return Block(batches, len(records.data), int(filled.sum()))


def _comments(records: _Records, layout: Layout) -> NDArray[np.bool_]:
    if not layout.comment:
        return np.zeros(len(records.starts), dtype=bool)
    return records.buffer[records.starts] == ord(layout.comment)


def _outside(positions: Positions, quotes: Positions) -> NDArray[np.bool_]:
    """Which positions stand outside of quotes, if quoting is sound."""
    return np.searchsorted(quotes, positions) % 2 == 0


def _quoting_is_sound(buffer: Bytes, quotes: Positions, layout: Layout) -> bool:
    """Whether every quote opens, closes or doubles as it should."""
    if len(quotes) % 2:
        return False
    assert layout.separator is not None
    quote, separator = buffer[quotes[0]], ord(layout.separator)
    opening, closing = quotes[::2], quotes[1::2]
    padded = np.concatenate(([NEWLINE], buffer, [NEWLINE, NEWLINE]))
    before, after, later = padded[opening], padded[closing + 2], padded[closing + 3]
    opens = (before == separator) | (before == NEWLINE) | (before == quote)
    ends_line = (after == NEWLINE) | ((after == RETURN) & (later == NEWLINE))
    closes = (after == separator) | ends_line | (after == quote)
    return bool(opens.all() and closes.all())


def _field_counts(records: _Records, layout: Layout) -> NDArray[np.int64]:
    """Number of fields of each record; 0 for a blank line."""
    buffer, starts = records.buffer, records.starts
    if layout.separator is None:
        blank = _blanks(buffer)
        begins = np.flatnonzero(~blank & np.concatenate(([True], blank[:-1])))
        return np.diff(np.searchsorted(begins, starts), append=np.searchsorted(begins, len(buffer)))
    separators = np.flatnonzero(buffer == ord(layout.separator))
    separators = _without(separators, records.escaped)
    if len(records.quotes):
        separators = separators[_outside(separators, records.quotes)]
    counts = np.diff(np.searchsorted(separators, starts), append=len(separators)) + 1
    length = records.ends - starts
    only_return = (length == 1) & (buffer[np.minimum(starts, len(buffer) - 1)] == RETURN)
    return np.where((length == 0) | only_return, 0, counts)


def _blanks(buffer: Bytes) -> NDArray[np.bool_]:
    return (buffer == SPACE) | (buffer == TAB) | (buffer == NEWLINE) | (buffer == RETURN)


def _undecodable(records: _Records) -> NDArray[np.bool_]:
    """Records with bytes that are no UTF-8, or with a NUL, which no text column of Postgres can hold."""
    mask = np.zeros(len(records.starts), dtype=bool)
    if b"\0" in records.data:
        mask[_record_of(records, np.flatnonzero(records.buffer == 0))] = True
    position = 0
    while position < len(records.data):
        try:
            str(memoryview(records.data)[position:], "utf-8")
        except UnicodeDecodeError as error:
            index = int(_record_of(records, np.array([position + error.start]))[0])
            mask[index] = True
            position = int(records.ends[index]) + 1
        else:
            break
    return mask


def _stray_returns(records: _Records) -> NDArray[np.bool_]:
    """Records with a carriage return that ends no line: Arrow would take it for a line break."""
    mask = np.zeros(len(records.starts), dtype=bool)
    if records.data.count(b"\r") != records.data.count(b"\r\n"):
        returns = np.flatnonzero(records.buffer == RETURN)
        after = np.append(records.buffer, NEWLINE)[returns + 1]
        mask[_record_of(records, returns[after != NEWLINE])] = True
    return mask


def _record_of(records: _Records, positions: Positions) -> Positions:
    return np.searchsorted(records.starts, positions, side="right") - 1


def _good_batch(records: _Records, good: NDArray[np.bool_], layout: Layout) -> pa.RecordBatch | None:
    """The good records by Arrow's parser, or None if it does not find exactly them."""
    data, buffer, starts = records.data, records.buffer, records.starts
    widths = np.diff(starts, append=len(data))
    if not good.all():
        kept = np.repeat(good, widths)
        buffer = buffer[kept]
        data, widths = buffer.tobytes(), widths[good]
    text = data if layout.separator is not None else _single_blanks(buffer)
    if text.startswith(BOM_UTF8):
        return None  # Arrow would take a character of the first value for a mark of the file.
    table = pyarrow.csv.read_csv(
        pa.BufferReader(text),
        read_options=pa.csv.ReadOptions(column_names=list(layout.names), block_size=len(text) + 1, use_threads=False),
        parse_options=pa.csv.ParseOptions(
            delimiter=layout.separator or " ",
            quote_char=layout.quote if len(records.quotes) and layout.quote else False,
            newlines_in_values=bool(len(records.quotes)),
        ),
        convert_options=pa.csv.ConvertOptions(
            column_types={name: pa.string() for name in layout.names}, strings_can_be_null=False, check_utf8=False
        ),
    )
    count = int(good.sum())
    if table.num_rows != count:
        return None
    offsets = np.concatenate(([0], np.cumsum(widths))).astype(np.int32)
    raw = pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(data))
    nothing = pa.nulls(count, pa.string())
    columns = [pa.concat_arrays(table.column(name).chunks) for name in layout.names]
    arrays = [pa.array(records.lines[:-1][good]), nothing, nothing, raw, *columns]
    return pa.RecordBatch.from_arrays(arrays, schema=reader_schema(layout))


def _single_blanks(buffer: Bytes) -> bytes:
    """Runs of blanks between fields become one space; those around a line go."""
    blank = _blanks(buffer)
    after_blank = np.concatenate(([True], blank[:-1]))
    newline = buffer == NEWLINE
    # A separator is the last blank of a run that is followed by a field and does not begin a line.
    begins = np.flatnonzero(~blank & after_blank)
    ends = np.flatnonzero(blank & ~after_blank)
    inner = begins[1:][~_crosses_line(newline, ends, begins)]
    kept = ~blank | newline
    kept[inner - 1] = True
    text = buffer.copy()
    text[inner - 1] = SPACE
    return text[kept].tobytes()


def _crosses_line(newline: NDArray[np.bool_], ends: Positions, begins: Positions) -> NDArray[np.bool_]:
    """For each gap between two fields, whether a line ends in it."""
    passed = np.concatenate(([0], np.cumsum(newline)))
    return passed[begins[1:]] > passed[ends[: len(begins) - 1]]
