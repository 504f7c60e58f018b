"""Rules between the parts of a contract; each error knows the way, in the file's own terms, to the part to mend."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from data_platform.contracts.parts import NAME, Misplaced

if TYPE_CHECKING:
    from data_platform.contracts.model import Column, Contract

HISTORY = "_history"
# Postgres cuts names at 63 bytes; the longest that we make of a dataset's is <dataset>_history_key.
LONGEST_NAME = 50
DATASET = ("schema", 0)
OURS = "customProperties"


def broken_rules(contract: Contract) -> Iterator[Misplaced]:
    """What is wrong with the contract as a whole, the first thing first."""
    yield from _of_names(contract)
    yield from _of_day_and_unit(contract)
    yield from _of_features(contract)
    yield from _of_quality(contract)
    yield from _of_relationships(contract)
    yield from _of_objects(contract)
    if contract.is_reference:
        yield from _of_reference(contract)
    yield from _of_subject(contract)
    yield from _of_drift(contract)


def _of_reference(contract: Contract) -> Iterator[Misplaced]:
    if not any(column.primary_key for column in contract.columns):
        yield Misplaced("no column is primaryKey: who joins a reference table needs its key", *DATASET, "properties")
    for position, column in enumerate(contract.columns):
        if column.primary_key and (column.published is None or not column.published.primary_key):
            message = f"column {column.name!r} is part of the key of a reference table: it is kept, or hashed"
            yield Misplaced(message, *DATASET, "properties", position, OURS, "privacy")
        if column.privacy and column.privacy.generaliser == "age_band":
            message = "an age is told as of a row's day, and the rows of a reference table belong to none"
            yield Misplaced(message, *DATASET, "properties", position, OURS, "privacy")


def _of_subject(contract: Contract) -> Iterator[Misplaced]:
    columns = {column.name: column for column in contract.columns}
    if contract.subject is not None:
        if contract.layer != "sources":
            yield Misplaced("subject belongs to contracts/sources: what is built from them is told by lineage", OURS)
        elif contract.subject not in columns:
            yield Misplaced(f"subject {contract.subject!r} is not a column", OURS, "subject")
        elif columns[contract.subject].classification == "personal":
            yield Misplaced(f"subject {contract.subject!r} is personal; name the number of the person", OURS, "subject")
    for at, column in enumerate(contract.columns):
        place = (*DATASET, "properties", at, OURS, "privacy")
        if (
            contract.layer != "sources"
            and column.privacy
            and (column.privacy.is_kept or column in contract.redacted_columns)
        ):
            yield Misplaced("the vault and redaction belong to contracts/sources", *place)
        if column.custom.holds and column in contract.redacted_columns:
            yield Misplaced("unknown fields are JSON, which redaction would break: drop or hash them", *place)
        if column.privacy and column.privacy.vault and contract.subject is None:
            yield Misplaced("what the vault keeps is of somebody: the contract names its `subject`", *place)


def _of_objects(contract: Contract) -> Iterator[Misplaced]:
    holders = [at for at, column in enumerate(contract.columns) if column.custom.holds]
    for at in holders:
        column, place = contract.columns[at], (*DATASET, "properties", at)
        if contract.format == "csv" and not contract.dialect.header:
            yield Misplaced("delimited text without a header has no names for other columns", *place, OURS)
        if at != holders[0]:
            yield Misplaced("two columns hold the unknown fields", *place, OURS)
        if column.physical_type != "text" or column.required or column.primary_key:
            yield Misplaced("unknown fields are held by a text column that may be empty", *place)
        if contract.is_personal and column.classification != "personal":
            yield Misplaced(
                "beside personal data, fields that nobody knows are personal, too", *place, "classification"
            )
    ways = {tuple(c.delivered_name.split(".")): at for at, c in enumerate(contract.columns) if at not in holders}
    for way, at in ways.items() if contract.format != "csv" else ():
        if outer := next((way[:n] for n in range(1, len(way)) if way[:n] in ways), None):
            message = f"{'.'.join(outer)!r} is read by another column, as a whole"
            yield Misplaced(message, *DATASET, "properties", at, "physicalName")


def _of_drift(contract: Contract) -> Iterator[Misplaced]:
    at, mode = (OURS, "schemaDrift"), contract.schema_drift
    if mode and mode != "freeze" and contract.format == "csv" and not contract.dialect.header:
        yield Misplaced("delimited text without a header has no names that could differ", *at)
    if mode == "evolve" and not contract.unknown_fields:
        yield Misplaced("new columns land in a column that holds unknown_fields, and there is none", *at)
    if mode and mode != "evolve" and contract.unknown_fields:
        yield Misplaced(f"with {mode} nothing comes into the column that holds unknown_fields", *at)


def _of_names(contract: Contract) -> Iterator[Misplaced]:
    if not NAME.match(contract.dataset) or len(contract.dataset) > LONGEST_NAME:
        limit = f"lower_snake_case of at most {LONGEST_NAME} characters"
        yield Misplaced(f"dataset name {contract.dataset!r} is not {limit}", *DATASET, "name")
    if contract.dataset.endswith(HISTORY):
        yield Misplaced(f"dataset name {contract.dataset!r} ends in {HISTORY}, as histories do", *DATASET, "name")
    delivered = [column.delivered_name for column in contract.columns]
    if contract.format == "csv" and (at := _first_twin(delivered)) is not None:
        yield Misplaced(f"two columns are delivered as {delivered[at]!r}", *DATASET, "properties", at)
    # A twin may come from the policy (two columns generalised to age_band), from the path (extract_day), or from us.
    names = [contract.day_column] if contract.adds_day else []
    origins = [0] * len(names)
    for position, column in enumerate(contract.columns):
        if column.published is not None:
            names.append(column.published.name)
            origins.append(position)
    if (at := _first_twin(names)) is not None:
        message = f"column {names[at]!r} stands twice in the published table"
        yield Misplaced(message, *DATASET, "properties", origins[at], "name")
    if contract.layer != "sources" and not contract.key:
        yield Misplaced("no column is primaryKey: the grain needs a key", *DATASET, "properties")


def _of_day_and_unit(contract: Contract) -> Iterator[Misplaced]:
    columns = {column.name: column for column in contract.published_columns}
    if not contract.adds_day:
        day = f"eventDay {contract.day_column!r}"
        yield from _must_be(columns.get(contract.day_column), day, "date", "eventDay")
    if (contract.kind == "keyed") != (contract.unit_key is not None):
        yield Misplaced("unitKey belongs to materialization keyed, and keyed needs it", OURS, "unitKey")
    if contract.unit_key is not None:
        if contract.unit_key not in columns:
            yield Misplaced(f"unitKey {contract.unit_key!r} is not a published column", OURS, "unitKey")
        elif contract.unit_key not in contract.key:
            yield Misplaced(f"unitKey {contract.unit_key!r} is not part of the key", OURS, "unitKey")


def _of_features(contract: Contract) -> Iterator[Misplaced]:
    given = {"entity": contract.entity, "eventTimestamp": contract.event_timestamp}
    for name, value in given.items():
        if (value is not None) != (contract.layer == "features"):
            yield Misplaced(f"{name} belongs to contracts/features, and each of them needs it", OURS, name)
    if contract.event_timestamp is not None:
        columns = {column.name: column for column in contract.published_columns}
        what = f"eventTimestamp {contract.event_timestamp!r}"
        yield from _must_be(columns.get(contract.event_timestamp), what, "timestamptz", "eventTimestamp")


def _must_be(column: Column | None, what: str, physical_type: str, setting: str) -> Iterator[Misplaced]:
    if column is None:
        yield Misplaced(f"{what} is not a published column", OURS, setting)
    elif column.physical_type != physical_type or not column.required:
        yield Misplaced(f"{what} is not a required column of type {physical_type}", OURS, setting)


def _of_quality(contract: Contract) -> Iterator[Misplaced]:
    published = {column.name for column in contract.published_columns}
    for position, rule in enumerate(contract.quality):
        at = (*DATASET, "quality", position)
        if rule.metric in {"nullValues", "invalidValues"}:
            yield Misplaced(f"{rule.metric} is a rule of a column: write it below the column", *at)
        if rule.metric == "duplicateValues" and not rule.arguments:
            yield Misplaced("duplicateValues needs `arguments: {properties: [<columns>]}`", *at)
        for name in rule.arguments.get("properties", ()):
            if name not in published:
                yield Misplaced(f"{name!r} is not a published column", *at, "arguments", "properties")
    ids: list[tuple[str, tuple[str | int, ...]]] = [
        (rule.id, (*DATASET, "quality", at, "id")) for at, rule in enumerate(contract.quality)
    ]
    for place, column in enumerate(contract.columns):
        way = (*DATASET, "properties", place, "quality")
        ids += [(rule.id, (*way, at, "id")) for at, rule in enumerate(column.quality)]
    # `key` is the name of the check that the grain brings.
    seen = {"key"}
    for rule_id, where in ids:
        if rule_id in seen:
            yield Misplaced(f"rule id {rule_id!r} stands twice in the contract, or is the platform's own", *where)
        seen.add(rule_id)


def _of_relationships(contract: Contract) -> Iterator[Misplaced]:
    for position, column in enumerate(contract.columns):
        at = (*DATASET, "properties", position, "relationships")
        if column.relationships and column.privacy:
            yield Misplaced(f"column {column.name!r} is personal: its values are not compared with others", *at)
        if (twin := _first_twin(each.dataset for each in column.relationships)) is not None:
            yield Misplaced(f"two relationships of {column.name!r} name one dataset", *at, twin, "to")


def _first_twin(names: Iterable[str]) -> int | None:
    """Position of the first name that stood before, if there is one."""
    seen: set[str] = set()
    for position, name in enumerate(names):
        if name in seen:
            return position
        seen.add(name)
    return None
