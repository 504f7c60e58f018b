"""From files to a draft: format, encoding, dialect, columns, key and day, each by what was read."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_platform.contracts.parts import Dialect
from data_platform.failures import InputError, PermanentFailure
from data_platform.file_forms import compression_by_name, form_of, table_format
from data_platform.scaffold.dialects import Guess, Header, find_header, guess_dialects, is_identifier
from data_platform.scaffold.draft import Draft, DraftColumn, day_column
from data_platform.scaffold.encodings import detect_encoding
from data_platform.scaffold.keys import find_day, find_grain
from data_platform.scaffold.names import column_names
from data_platform.scaffold.objects import Field, is_name, json_fields, table_fields
from data_platform.scaffold.personal import Finding, find_personal, is_free_text
from data_platform.scaffold.reading import UNKNOWN, Rows, broken_share, draft_of_texts, read_rows
from data_platform.scaffold.samples import Sample, head_of, take_sample
from data_platform.scaffold.types import choose_decimal, choose_type, missing, null_texts

TRIED_DIALECTS = 4
BEGINNING_BYTES = 4 << 10
LEAST_SCORE = 0.2  # of the best
MOST_BROKEN = 0.3


def draft_of_files(source: str, dataset: str, patterns: Sequence[str]) -> Draft:
    """Finds out what a contract for these files must say.

    Raises:
        InputError: when there are no such files, or they are of no format that the platform reads, or differ.
    """
    sample = take_sample(patterns)
    form = _format(sample)
    fields: list[Field] = []
    unsure: list[str] = []
    if form in {"parquet", "orc"}:
        dialect, fields = Dialect(), table_fields(sample, form)
    else:
        encoding, unsure = detect_encoding(sample)
        form = "json" if _is_json(sample, encoding) else "csv"
        if form == "json":
            fields, dialect = json_fields(sample, encoding), Dialect(encoding=encoding)
            unsure += _unlike_names(fields)
        else:
            fields, dialect, doubts = _delimited(sample, encoding)
            unsure += doubts
    rows = _read(sample, form, dialect, [f.path for f in fields])
    draft = _drafted(source, dataset, sample, form, dialect, fields, rows)
    draft.remarks += unsure
    return draft


def _format(sample: Sample) -> str:
    """``parquet``, ``orc`` or ``text``, of all files."""
    kinds = {}
    for file in sample.files:
        table = table_format(file)
        if not table and (what := form_of(head_of(file, sample.compression, BEGINNING_BYTES))):
            raise InputError(f"{file} is {what}", hint="unpack it, or save it as delimited text in UTF-8")
        kinds[file] = table or "text"
    first = kinds[sample.files[0]]
    if other := next((file for file in kinds if kinds[file] != first), None):
        raise InputError(
            f"{sample.files[0]} is {first}, {other} is {kinds[other]}",
            hint="name files of one format; a dataset has one",
        )
    return first


def _is_json(sample: Sample, encoding: str) -> bool:
    text = _decoded(sample.head, encoding).lstrip()
    if text.startswith("["):
        return text[1:].lstrip()[:1] in {"{", "]"}
    line = text.partition("\n")[0]
    try:
        return text.startswith("{") and (isinstance(json.loads(line), dict) if "\n" in text else True)
    except ValueError:
        return '":' in line or '" :' in line


def _decoded(head: bytes, encoding: str) -> str:
    return head.decode(encoding, errors="replace").removeprefix("\ufeff")


def _delimited(sample: Sample, encoding: str) -> tuple[list[Field], Dialect, list[str]]:
    """Columns and dialect of delimited text, of the likely ones that which the reader takes most rows of; remarks."""
    text = _lines(sample, sample.files[0], encoding)
    guesses = guess_dialects(text)
    likely = [g for g in guesses if g.score >= LEAST_SCORE * guesses[0].score][:TRIED_DIALECTS]
    tried = [(_tried(guess, sample, encoding), -guess.score, at) for at, guess in enumerate(likely)]
    share, _, at = min(tried)
    if share > MOST_BROKEN:
        raise InputError(
            f"{sample.files[0]}: no separator makes rows of it; by the likeliest, {likely[at].separator!r}, "
            f"{share:.0%} are broken",
            hint="is it delimited text? What stands above or below its table must go",
        )
    guess = likely[at]
    header = _find_header(guess, sample, encoding)
    fields = [Field(path) for path in _paths(guess, sample, encoding, header=header.is_there)]
    taken = "names" if header.is_there else "a row"
    unsure = [f"{header.doubt}: is the first line {taken}, as is said here?"] if header.doubt else []
    return fields, _dialect(guess, encoding, header=header.is_there), unsure


def _tried(guess: Guess, sample: Sample, encoding: str) -> float:
    paths = [str(number) for number in range(guess.width)]
    return broken_share(draft_of_texts(paths, "csv", _dialect(guess, encoding, header=False)), sample)


def _dialect(guess: Guess, encoding: str, *, header: bool) -> Dialect:
    return Dialect(separator=guess.separator, quote=guess.quote, encoding=encoding, header=header)


def _unlike_names(fields: Sequence[Field]) -> list[str]:
    unlike = sum(not is_name(field.path.partition(".")[0]) for field in fields)
    return [f"{unlike} fields are not called like columns: are their keys names, or values?"] if unlike else []


def _lines(sample: Sample, file: Path, encoding: str) -> str:
    """The first whole lines of a file."""
    head = head_of(file, sample.compression)
    text = _decoded(head, encoding)
    if len(head) == len(sample.head) or "\n" not in text or len(text) < len(head) // 4:
        cut = text.rfind("\n") + 1
        text = text[:cut] if cut and not text.endswith("\n") and len(head) >= (256 << 10) else text
    return text


def _first_row(guess: Guess, sample: Sample, file: Path, encoding: str) -> tuple[str, ...]:
    text = _decoded(head_of(file, sample.compression, 64 << 10), encoding)
    same = next((g for g in guess_dialects(text) if (g.separator, g.quote) == (guess.separator, guess.quote)), None)
    return tuple(name.strip() for name in (same.rows[0] if same else text.splitlines()[:1]))


def _find_header(guess: Guess, sample: Sample, encoding: str) -> Header:
    others = [_first_row(guess, sample, file, encoding) for file in sample.files[:: max(1, len(sample.files) // 5)]]
    of_all = find_header(guess.rows, others)
    return of_all if of_all.is_there or len(others) == 1 else find_header(guess.rows, others[:1])


def _paths(guess: Guess, sample: Sample, encoding: str, *, header: bool) -> list[str]:
    """The columns' names in the delivery, which must be those of all files."""
    if not header:
        return [f"column_{number}" for number in range(1, guess.width + 1)]
    first = [name.strip() for name in guess.rows[0]]
    if nameless := next((at for at, name in enumerate(first, start=1) if not name), 0):
        raise InputError(
            f"{sample.files[0]}:1: column {nameless} has no name", hint="ask the source for a name, or add one"
        )
    for file in sample.files:
        names = list(_first_row(guess, sample, file, encoding))
        if names != first:
            gone, new = [n for n in first if n not in names], [n for n in names if n not in first]
            differences = [f"lacks {_told(gone)}" if gone else "", f"has {_told(new)}" if new else ""]
            told = "; ".join(filter(None, differences)) or "has them in another order"
            raise InputError(
                f"{file}:1: its header differs from that of {sample.files[0]}: it {told}",
                hint="name files of one layout; those of another are another dataset, or another version of it",
            )
    return first


def _told(names: Sequence[str]) -> str:
    """The names, as far as they are no values of somebody: the line may be a row."""
    shown = [name for name in names if is_identifier(name)]
    rest = len(names) - len(shown)
    return ", ".join([*shown, f"{rest} not shown, which may be values"] if rest else shown)


def _read(sample: Sample, form: str, dialect: Dialect, paths: list[str]) -> Rows:
    contract = draft_of_texts(paths, form, _packed(dialect, sample))
    try:
        rows = read_rows(contract, sample, paths)
    except PermanentFailure as error:
        raise InputError(error.message, hint=error.hint) from None
    if not rows.count:
        broken = ", ".join(f"{n} break rule {rule!r}" for rule, n in rows.broken.items())
        raise InputError(
            f"{sample.files[0]} has no row that can be read{': ' if broken else ''}{broken}",
            hint="types are made of rows: name files that have some",
        )
    return rows


def _packed(dialect: Dialect, sample: Sample) -> Dialect:
    """The dialect with what must be said of compression: names that do not tell it."""
    told = {compression_by_name(file) for file in sample.files}
    return dialect if told == {sample.compression} else dialect.model_copy(update={"compression": sample.compression})


def _drafted(
    source: str, dataset: str, sample: Sample, form: str, dialect: Dialect, fields: list[Field], rows: Rows
) -> Draft:
    of_objects = form != "csv"
    names = column_names([f.path for f in fields], ("extract_day", UNKNOWN))
    decimal = "." if of_objects else choose_decimal(rows.columns)
    kinds = [
        choose_type(c, name, decimal, quoted=f.kinds == {"string"}, declared="text" if f.is_json else f.declared)
        for c, name, f in zip(rows.columns, names, fields, strict=True)
    ]
    nulls, null_remarks = null_texts(rows.columns, kinds, default=() if of_objects else ("",))
    for found in rows.columns:
        found.distinct -= sum(text in nulls for text in found.nulls)
    columns = [
        _column(name, c, kind, missing(c, kind, nulls), dataset, is_json=f.is_json)
        for name, c, kind, f in zip(names, rows.columns, kinds, fields, strict=True)
    ]
    _one_age_band(columns)
    grain = find_grain(columns, rows)
    day = find_day(columns, grain, sample, dataset, of_objects=of_objects)
    for column in columns:
        column.in_key = column.name in grain.key
    name = _with_day(columns, day, names)
    if of_objects:
        columns.append(_unknown(columns, rows))
    draft = Draft(
        source,
        dataset,
        form,
        sample.pattern(source, dataset, by_day=not name),
        _packed(dialect, sample).model_copy(update={"decimal": decimal, "null_values": nulls}),
        columns,
        rows.count,
        f"{rows.count:,} rows of {sample.describe()}{'' if rows.is_whole else ', not all of them'}",
        kind=day.kind,
        day=name,
        why_day=day.why,
        repeated_rows=grain.repeated_rows,
        broken=dict(rows.broken),
        frequency_days=_frequency(sample),
        remarks=null_remarks,
    )
    draft.remarks += [
        f"{n:,} rows break rule {rule!r}, the first at {Path(rows.places[rule]).name}"
        for rule, n in rows.broken.items()
    ]
    if not dialect.header:
        draft.remarks.append("the files name no columns: what are they called?")
    return draft


def _column(name: str, found: Any, kind: Any, absent: int, dataset: str, *, is_json: bool) -> DraftColumn:
    column = DraftColumn(name, found, kind, absent, find_personal(found, name, kind, dataset), list(kind.remarks))
    if is_json:
        column.remarks.append("lists and objects, as JSON")
    elif column.personal is None and is_free_text(found, name, kind):
        column.is_free = True
        column.remarks.append("free text may hold personal data that no pattern finds")
    return column


def _one_age_band(columns: Sequence[DraftColumn]) -> None:
    """A table has one age band."""
    births = [c for c in columns if c.personal and isinstance(c.personal.policy, dict)]
    taken = any(c.name == "age_band" for c in columns)
    for column in births if taken else births[1:]:
        assert column.personal
        column.personal = Finding(column.personal.why, "drop")


def _with_day(columns: list[DraftColumn], day: Any, names: list[str]) -> str:
    """Adds the column that tells the day where there is none yet; returns its name, empty for that of the path."""
    if day.column is None:
        return ""
    if not day.read_as:
        return str(day.column.name)
    at = columns.index(day.column)
    new = day_column(day.column, names, instead=day.read_as == "instead")
    columns[at : at + (day.read_as == "instead")] = [new] if day.read_as == "instead" else []
    if day.read_as == "twin":
        columns.insert(at + 1, new)
    return new.name


def _unknown(columns: Sequence[DraftColumn], rows: Rows) -> DraftColumn:
    from data_platform.scaffold.columns import Column
    from data_platform.scaffold.types import Type

    remarks = (
        [f"{rows.unknown:,} rows have fields that the first megabytes of the files have not"] if rows.unknown else []
    )
    personal = (
        Finding("beside personal data, fields that nobody knows are personal, too", "drop")
        if any(c.personal for c in columns)
        else None
    )
    return DraftColumn(
        UNKNOWN, Column(UNKNOWN), Type("text"), rows.count - rows.unknown, personal, remarks, holds_unknown=True
    )


def _frequency(sample: Sample) -> int:
    days = sorted(sample.days)
    gaps = sorted((b - a).days for a, b in itertools.pairwise(days))
    return max(1, gaps[len(gaps) // 2]) if gaps else 1
