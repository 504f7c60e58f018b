"""How the columns of a delimited file become the contract's.

A file whose header is the contract's is read as it stands. Of another one, where the contract lets it count, columns
are found by their names, and each batch is put into the contract's form. What a new column holds becomes JSON value by
value, so that a row says the same in whichever file it stands.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa

from spark_jobs.blocks import reader_schema
from spark_jobs.differences import HINT, NOT_SHOWN, compare, listed, plain_form, printable_name
from spark_jobs.headers import Header
from spark_jobs.records import Layout, UnreadableFileError

# What JSON writes with the same digits: no leading zero, no exponent, no negative nothing.
INTEGER = re.compile(r"0|-?[1-9][0-9]{0,37}")
NUMBER = re.compile(r"(?!-[0.]*$)-?(0|[1-9][0-9]{0,37})(\.[0-9]{1,38})?")
TRUTHS = {"true", "false"}
NAMES_NONE = "it names none of the contract's columns"


@dataclass(frozen=True)
class Shape:
    """The columns of a file beside those of its contract.

    Attributes:
        layout: how the file is written.
        expected: how the contract has it; the same where nothing is to be done.
        unknown: the name of a column in ``layout`` that the contract does not name, to its name in the header.
        missing: the contract's names of columns that are not there.
    """

    layout: Layout
    expected: Layout
    unknown: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()

    def conform(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """A batch of the file in the contract's form."""
        if self.layout is self.expected:
            return batch
        schema = reader_schema(self.expected)
        there = {name: batch.column(name) for name in batch.schema.names}
        there["error_column"] = self._known_columns(there["error_column"])
        if self.unknown and self.expected.unknown:
            there[self.expected.unknown] = self._as_json(batch)
        elif self.unknown:
            there |= self._broken(there)
        nothing = pa.nulls(batch.num_rows, pa.string())
        return pa.RecordBatch.from_arrays([there.get(f.name, nothing) for f in schema], schema=schema)

    def _known_columns(self, names: pa.Array) -> pa.Array:
        """Columns at fault by the contract's names."""
        if names.null_count == len(names):
            return names
        elsewhere = dict.fromkeys(self.unknown, self.expected.unknown)
        return pa.array([elsewhere.get(name, name) for name in names.to_pylist()], pa.string())

    def _broken(self, there: Mapping[str, pa.Array]) -> dict[str, pa.Array]:
        """The batch with each row broken that is not broken yet: it has a field that nobody knows."""
        errors, columns = there["error"].to_pylist(), there["error_column"].to_pylist()
        first = next(iter(self.unknown.values()))
        shown = None if self.expected.confidential else printable_name(first)
        nothing = pa.nulls(len(errors), pa.string())
        return dict.fromkeys(self.expected.names, nothing) | {
            "error": pa.array([e or "unknown_field" for e in errors], pa.string()),
            "error_column": pa.array([c if e else shown for e, c in zip(errors, columns, strict=True)], pa.string()),
        }

    def _as_json(self, batch: pa.RecordBatch) -> pa.Array:
        """What the new columns hold, an object a row; of a broken row, and of one without a value in them, nothing."""
        keys = sorted((json.dumps(name, ensure_ascii=False), at) for at, name in self.unknown.items())
        columns = [batch.column(at).to_pylist() for _, at in keys]
        write = json_writer(self.expected)
        starts = [f"{key}:" for key, _ in keys]

        def to_object(texts: Sequence[str]) -> str | None:
            written = zip(starts, map(write, texts), strict=True)
            fields = ",".join(start + value for start, value in written if value is not None)
            return f"{{{fields}}}" if fields else None

        return pa.array(
            [
                None if error is not None else to_object(texts)
                for error, *texts in zip(batch.column("error").to_pylist(), *columns, strict=True)
            ],
            pa.string(),
        )


def json_writer(layout: Layout) -> Callable[[str], str | None]:
    """Turns a delivered text into JSON: a number or a truth where JSON writes it so, else a text; None for no value."""
    number, nulls = NUMBER if layout.decimal == "." else INTEGER, set(layout.nulls)

    def write(text: str) -> str | None:
        if text in nulls:
            return None
        bare = text.strip(" \t\r\n")
        return bare if bare in TRUTHS or number.fullmatch(bare) else json.dumps(text, ensure_ascii=False)

    return write


def own_shape(layout: Layout) -> Shape:
    """The shape of a file that is as the contract has it."""
    columns, names = _delivered(layout)
    return Shape(replace(layout, columns=columns, names=names) if layout.unknown else layout, layout)


def shape_of(header: Header, layout: Layout, name: str) -> Shape:
    """The shape of a file with a header.

    Raises:
        UnreadableFileError: when the contract does not let such a file count, or nobody can say what its columns are.
    """
    columns, names = _delivered(layout)
    if header.names == columns and not header.troubles:
        return own_shape(layout)
    difference = compare(header.names, columns)
    if layout.drift == "freeze" or difference.twins or header.troubles:
        raise _differs(name, difference.in_words(confidential=layout.confidential), header, layout)
    found = _find(header.names, columns)
    if not _is_header(found.values(), names, layout):
        told = "of the contract's columns it names too few to be a header" if found else NAMES_NONE
        raise _differs(name, f"{told}; {difference.in_words(confidential=layout.confidential)}", header, layout)
    here, unknown = [], {}
    for position, title in enumerate(header.names):
        if position in found:
            here.append(names[found[position]])
        else:
            here.append(f"unknown {position}")
            unknown[here[-1]] = title or f"column_{position + 1}"
    if repeated := [title for title, times in Counter(unknown.values()).items() if times > 1]:
        title = NOT_SHOWN if layout.confidential else repeated[0]
        raise _differs(name, f"two columns are called {title}", header, layout)
    missing = tuple(n for position, n in enumerate(names) if position not in found.values())
    return Shape(replace(layout, columns=header.names, names=tuple(here)), layout, unknown, missing)


def _delivered(layout: Layout) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names in the header and in the contract, without the column that no file has."""
    pairs = [pair for pair in zip(layout.columns, layout.names, strict=True) if pair[1] != layout.unknown]
    return tuple(column for column, _ in pairs), tuple(name for _, name in pairs)


def _is_header(found: Collection[int], names: Sequence[str], layout: Layout) -> bool:
    """Whether so many of the contract's columns are named that it is no row in which a value is called like one."""
    required = {at for at, name in enumerate(names) if name in layout.required}
    return 2 * len(found) >= len(names) or (bool(required) and required <= set(found))


def _find(header: Sequence[str], columns: Sequence[str]) -> dict[int, int]:
    """Position in the header to position in the contract, by name; by a variant of it where it can only be that one."""
    found = {header.index(column): at for at, column in enumerate(columns) if column in header}
    forms = {position: plain_form(title) for position, title in enumerate(header) if position not in found}
    wanted = {at: plain_form(column) for at, column in enumerate(columns) if at not in found.values()}
    delivered, asked = Counter(forms.values()), Counter(wanted.values())
    for at, form in wanted.items():
        if form and delivered[form] == asked[form] == 1:
            found[next(position for position, other in forms.items() if other == form)] = at
    return found


def _differs(name: str, difference: str, header: Header, layout: Layout) -> UnreadableFileError:
    columns, _ = _delivered(layout)
    # Where the header is missing, the first line holds values; those of a confidential dataset are not shown.
    shown = [printable_name(n) if n in columns or not layout.confidential else NOT_SHOWN for n in header.names]
    told = "; ".join(filter(None, (*header.troubles, difference)))
    return UnreadableFileError(
        f"{name}:{header.line}: the header differs from the contract; {told}"
        f" (found: {listed(shown)}; contract: {', '.join(columns)})",
        hint="correct the file, or the dialect in the contract" if header.troubles else HINT,
    )
