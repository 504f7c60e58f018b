"""Contract → what Feast is told: entities, sources and views as plain data, from which `feature_repo` makes objects."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from data_platform.contracts.model import Column, Contract

# Names in feast.types. Feast has no scale for decimals and no smaller integers online.
FEAST_TYPES = {
    "text": "String",
    "uuid": "String",
    "smallint": "Int32",
    "integer": "Int32",
    "bigint": "Int64",
    "numeric": "Float64",
    "double precision": "Float64",
    "boolean": "Bool",
    "date": "UnixTimestamp",
    "timestamptz": "UnixTimestamp",
}


def feature_definitions(contracts: Iterable[Contract]) -> list[dict[str, Any]]:
    """One definition a contract of layer ``features``, by name.

    ``join_keys`` are the columns that name the entity; ``fields`` are all others that tell something of it, each
    with the name of its type in ``feast.types``.
    """
    views = [contract for contract in contracts if contract.layer == "features"]
    return [_definition(contract) for contract in sorted(views, key=lambda contract: contract.dataset)]


def _definition(contract: Contract) -> dict[str, Any]:
    times = {contract.event_timestamp, contract.day_column}
    join_keys = [name for name in contract.key if name not in times]
    fields = [c for c in contract.published_columns if c.name not in {*times, *join_keys}]
    return {
        "name": contract.dataset,
        "entity": contract.entity,
        "join_keys": join_keys,
        "join_key_types": [_type(c) for c in contract.published_columns if c.name in join_keys],
        "fields": [{"name": c.name, "dtype": _type(c), "description": c.description} for c in fields],
        "timestamp_field": contract.event_timestamp,
        "created_timestamp_column": "known_at",
        "table": contract.table,
        "description": f"{contract.purpose} Grain: {contract.grain}.",
        "owner": contract.owner,
        "tags": {"owner": contract.owner, "team": contract.team, "version": contract.version},
    }


def _type(column: Column) -> str:
    return FEAST_TYPES[column.physical_type.split("(")[0]]
