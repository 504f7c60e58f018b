"""Reads features through Feast's online store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from data_platform.failures import InputError
from feature_repo.store import open_store, server_failures

if TYPE_CHECKING:
    from feast import FeatureService, FeatureStore


REQUEST_TIME = "as_of"  # field of the request source in feature_repo/on_demand.py


@dataclass(frozen=True)
class OnlineRow:
    """What the online store tells of one entity.

    Args:
        entity: join keys, like ``{"customer_id": "00001"}``.
        features: name to value, in the order of the service; None where there is none.
        event_at: stored view to the time up to which its values speak; None where the view knows nothing.
    """

    entity: dict[str, str]
    features: dict[str, Any]
    event_at: dict[str, datetime | None]

    @property
    def found(self) -> bool:
        """Whether any view has a row of the entity. On-demand features do not tell: they are made of nulls too."""
        return any(self.event_at.values())


def read_online(
    entities: Sequence[Mapping[str, str]], service_name: str, as_of: datetime, *, role: str = "serving"
) -> list[OnlineRow]:
    """The newest features of each entity, in the order asked.

    Args:
        as_of: the time that on-demand features are computed for.

    Raises:
        InputError: for an unknown service or entity key.
        TransientFailure: when the database does not answer.
    """
    store = open_store(role)
    with server_failures():
        service = _find_service(store, service_name)
        _check_keys(store, service, entities)
        response = store.get_online_features(
            features=service, entity_rows=[{**entity, REQUEST_TIME: as_of} for entity in entities]
        ).proto
    values = dict(zip(response.metadata.feature_names.val, response.results, strict=True))
    return [_row(dict(entity), service, values, number) for number, entity in enumerate(entities)]


def _row(entity: dict[str, str], service: FeatureService, values: Mapping[str, Any], number: int) -> OnlineRow:
    from feast.type_map import feast_value_type_to_python_type

    features: dict[str, Any] = {}
    event_at: dict[str, datetime | None] = {}
    for view in service.feature_view_projections:
        for feature in view.features:
            column = values[feature.name]
            features[feature.name] = feast_value_type_to_python_type(column.values[number])
            stamp = column.event_timestamps[number]
            if view.timestamp_field:  # on-demand views have none
                event_at[view.name] = stamp.ToDatetime(UTC) if stamp.seconds else None
    return OnlineRow(entity, features, event_at)


def _find_service(store: FeatureStore, name: str) -> FeatureService:
    services = {service.name: service for service in store.list_feature_services()}
    if name not in services:
        known = ", ".join(sorted(services)) or "none; run `dp features apply`"
        raise InputError(f"there is no feature service {name!r}", hint=f"registered are: {known}")
    return services[name]


def _check_keys(store: FeatureStore, service: FeatureService, entities: Sequence[Mapping[str, str]]) -> None:
    views = [store.get_feature_view(p.name) for p in service.feature_view_projections if p.timestamp_field]
    needed = {key for view in views for key in view.join_keys}
    for entity in entities:
        if set(entity) != needed:
            raise InputError(
                f"{service.name} is asked for {', '.join(entity)}, but its entities are named by {', '.join(needed)}",
                hint=f"say {' '.join(f'{key}=VALUE' for key in sorted(needed))}",
            )
