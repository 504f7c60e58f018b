"""The ways to the fields of objects, and what stands at them: of JSON, Parquet and ORC."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from data_platform.failures import InputError
from data_platform.scaffold.dialects import is_identifier
from data_platform.scaffold.samples import Sample, chunks_of

BYTES_A_FILE = 4 << 20
MOST_KEYS = 200  # of one object; more are data, not names
DECLARED = {
    pa.types.is_boolean: "boolean",
    pa.types.is_date: "date",
    pa.types.is_timestamp: "timestamptz",
    pa.types.is_int8: "integer",
    pa.types.is_int16: "integer",
    pa.types.is_uint8: "integer",
    pa.types.is_uint16: "integer",
    pa.types.is_int32: "integer",
    pa.types.is_uint32: "bigint",
    pa.types.is_int64: "bigint",
    pa.types.is_uint64: "numeric(20,0)",
}


@dataclass
class Field:
    """A field with a value of its own.

    Attributes:
        kinds: ``string``, ``number``, ``boolean``, ``list`` or ``object``; what JSON tells of its values.
        declared: the type that Parquet or ORC declares, as contracts name it; empty where values must tell.
    """

    path: str
    kinds: set[str] = field(default_factory=set)
    declared: str = ""

    @property
    def is_json(self) -> bool:
        """Whether the column will hold JSON texts."""
        return bool(self.kinds & {"list", "object"})


class _Node:
    """What was seen at a place: values, and objects by their keys."""

    def __init__(self) -> None:
        self.kinds: set[str] = set()
        self.below: dict[str, _Node] = {}

    def take(self, value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                if len(self.below) <= MOST_KEYS:
                    self.below.setdefault(key, _Node()).take(inner)
        elif value is not None:
            self.kinds.add("list" if isinstance(value, list) else _kind(value))

    def fields(self, way: tuple[str, ...] = ()) -> Iterator[Field]:
        is_map = len(self.below) > MOST_KEYS or not all(map(is_name, self.below))
        if way and self.below and (self.kinds or is_map):
            yield Field(".".join(way), self.kinds | {"object"})
        elif self.below:
            for key, node in self.below.items():
                if key and "." not in key:  # such a way cannot be written
                    yield from node.fields((*way, key))
        elif self.kinds:
            yield Field(".".join(way), self.kinds)


def is_name(key: str) -> bool:
    """Whether a key is written like a field's name, like ``$date`` or ``@type``, and unlike a value."""
    return is_identifier(key.lstrip("$@"))


def _kind(value: Any) -> str:
    return {bool: "boolean", str: "string", _Number: "number"}.get(type(value), "number")


class _Number(str):
    """Digits, as JSON has them."""

    __slots__ = ()


def json_fields(sample: Sample, encoding: str) -> list[Field]:
    """The fields of the objects in JSON files, from the first megabytes of each.

    Raises:
        InputError: when there is no object in them.
    """
    root = _Node()
    for file in sample.read:
        data = b"".join(chunks_of(file, sample.compression, BYTES_A_FILE))
        for found in _objects(data.decode(encoding, errors="replace").removeprefix("\ufeff")):
            root.take(found)
    fields = list(root.fields())
    if not fields:
        raise InputError(
            f"{sample.files[0]} holds no JSON objects with fields",
            hint="deliver one object a line, or an array of them",
        )
    return fields


def _objects(text: str) -> Iterator[dict[str, Any]]:
    decoder = json.JSONDecoder(parse_float=_Number, parse_int=_Number, parse_constant=_Number)
    start = len(text) - len(text.lstrip())
    if text.startswith("[", start):
        position = start + 1
        while True:
            position = _skip(text, position)
            try:
                found, position = decoder.raw_decode(text, position)
            except (ValueError, RecursionError):
                return
            if isinstance(found, dict):
                yield found
            position = _skip(text, position)
            if not text.startswith(",", position):
                return
            position += 1
    for line in io.StringIO(text):
        try:
            found = decoder.decode(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            yield found


def _skip(text: str, position: int) -> int:
    while text[position : position + 1] in {" ", "\t", "\r", "\n"}:
        position += 1
    return position


def table_fields(sample: Sample, form: str) -> list[Field]:
    """The fields that Parquet or ORC files declare, those of all files.

    Raises:
        InputError: when one is not whole.
    """
    found: dict[str, Field] = {}
    for file in sample.read:
        try:
            schema = _schema(str(file), form)
        except (pa.ArrowException, OSError) as error:
            reason = str(error).partition("\n")[0]
            raise InputError(
                f"{file} is not a whole {form} file: {reason}", hint="ask the source to deliver it again"
            ) from None
        for each in _declared(schema, ()):
            known = found.setdefault(each.path, each)
            known.kinds |= each.kinds
            if known.declared != each.declared:
                known.declared = ""
    if not found:
        raise InputError(f"{sample.files[0]} has no column", hint="ask the source to deliver it again")
    return list(found.values())


def _schema(file: str, form: str) -> pa.Schema:
    if form == "parquet":
        from pyarrow.parquet import read_schema

        return read_schema(file)
    from pyarrow.orc import ORCFile

    return ORCFile(file).schema


def _declared(fields: Any, way: tuple[str, ...]) -> Iterator[Field]:
    for each in fields:
        if not each.name or "." in each.name:
            continue
        path = (*way, each.name)
        if pa.types.is_struct(each.type):
            yield from _declared([each.type.field(n) for n in range(each.type.num_fields)], path)
        else:
            yield _of_type(".".join(path), each.type)


def _of_type(path: str, kind: Any) -> Field:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_nested(kind):
        return Field(path, {"list"})
    if pa.types.is_decimal(kind):
        return Field(
            path,
            {"number"},
            f"numeric({kind.precision},{kind.scale})" if 0 <= kind.scale <= kind.precision <= 38 else "",
        )
    if pa.types.is_floating(kind):
        return Field(path, {"number"})
    declared = next((name for test, name in DECLARED.items() if test(kind)), "")
    return Field(path, {"number" if "int" in declared else "string"}, declared)
