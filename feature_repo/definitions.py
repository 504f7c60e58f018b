"""Entities, sources and views, made from ``contracts/features``: a column stands in its contract and nowhere else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import feast.types
from feast import Entity, FeatureView, Field
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource

from feature_repo.store import view_definitions

DEFINITIONS = view_definitions()
# A row holds until the entity's next one, however long that takes: no time to live.
NO_TTL = timedelta(0)


def _feast_type(name: str) -> Any:
    return getattr(feast.types, name)


def _entity(definition: dict[str, Any]) -> Entity:
    value_type = _feast_type(definition["join_key_types"][0]).to_value_type()
    return Entity(name=definition["entity"], join_keys=definition["join_keys"], value_type=value_type)


def _view(definition: dict[str, Any], entity: Entity) -> FeatureView:
    source = PostgreSQLSource(
        name=definition["table"],
        table=definition["table"],
        timestamp_field=definition["timestamp_field"],
        created_timestamp_column=definition["created_timestamp_column"],
        owner=definition["owner"],
    )
    keys = zip(definition["join_keys"], definition["join_key_types"], strict=True)
    fields = [
        Field(name=f["name"], dtype=_feast_type(f["dtype"]), description=f["description"]) for f in definition["fields"]
    ]
    return FeatureView(
        name=definition["name"],
        entities=[entity],
        source=source,
        schema=[*(Field(name=name, dtype=_feast_type(dtype)) for name, dtype in keys), *fields],
        ttl=NO_TTL,
        description=definition["description"],
        owner=definition["owner"],
        tags=definition["tags"],
    )


ENTITIES = {d["entity"]: _entity(d) for d in DEFINITIONS}
VIEWS = {d["name"]: _view(d, ENTITIES[d["entity"]]) for d in DEFINITIONS}

# Feast registers what it finds among a module's attributes.
globals().update({entity.name: entity for entity in ENTITIES.values()} | VIEWS)
