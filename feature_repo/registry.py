"""What is registered with Feast: everything that this folder defines, and who may read it."""

from __future__ import annotations

from contextlib import closing
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg2
from psycopg2 import sql

from data_platform.settings import get_settings
from data_platform.warehouse.connection import Connection, execute, transaction
from feature_repo.store import REGISTRY_DATABASE

if TYPE_CHECKING:
    from feast import FeatureStore
    from feast.repo_contents import RepoContents

T = TypeVar("T")
READERS = ("serving", "developer", "training")
ONLINE_READERS = ("serving", "developer")
# Feast keeps the spine of a historical read in a table while it reads; that is no place for `features`.
WORK_SCHEMA = "feast_work"
WORKERS = ("training", "developer")


def repo_contents(project_name: str) -> RepoContents:
    """Everything that this folder defines, as ``feast apply`` finds it."""
    from feast import FeatureService, OnDemandFeatureView, Project, RequestSource
    from feast.feature_view import DUMMY_ENTITY
    from feast.repo_contents import RepoContents

    from feature_repo import definitions, on_demand, services

    views = list(definitions.VIEWS.values())
    return RepoContents(
        projects=[Project(name=project_name)],
        data_sources=[*_defined(on_demand, RequestSource), *(view.batch_source for view in views)],
        entities=[*definitions.ENTITIES.values(), DUMMY_ENTITY],
        feature_views=views,
        on_demand_feature_views=_defined(on_demand, OnDemandFeatureView),
        stream_feature_views=[],
        label_views=[],
        feature_services=_defined(services, FeatureService),
        permissions=[],
    )


def _defined(module: ModuleType, kind: type[T]) -> list[T]:
    return [item for item in vars(module).values() if isinstance(item, kind)]


def apply(store: FeatureStore) -> list[str]:
    """Registers what is defined, takes back what is not any more, and lets the readers read.

    ``store`` must act as ``platform``. Repeating it changes nothing.

    Returns:
        Names of what was taken back.
    """
    from feast.repo_operations import extract_objects_for_apply_delete

    contents = repo_contents(store.project)
    wanted, unwanted, _, _ = extract_objects_for_apply_delete(store.project, store.registry, contents)
    store.apply(wanted, objects_to_delete=unwanted, partial=False)
    _grant()
    return [item.name for item in unwanted]


def _grant() -> None:
    with transaction() as warehouse:
        _grant_tables(warehouse, "online", ONLINE_READERS)
        schema = sql.Identifier(WORK_SCHEMA)
        execute(warehouse, sql.SQL("create schema if not exists {}").format(schema))
        execute(warehouse, sql.SQL("grant usage, create on schema {} to {}").format(schema, _roles(WORKERS)))
    parameters: dict[str, Any] = get_settings().warehouse_parameters() | {"dbname": REGISTRY_DATABASE}
    with closing(psycopg2.connect(**parameters, application_name="dp features")) as registry, registry:
        connect = sql.SQL("grant connect on database {} to {}")
        execute(registry, connect.format(sql.Identifier(REGISTRY_DATABASE), _roles(READERS)))
        _grant_tables(registry, "public", READERS)


def _grant_tables(connection: Connection, schema: str, roles: tuple[str, ...]) -> None:
    """Lets roles read the tables of a schema, also those that Feast makes later."""
    for statement in (
        "grant select on all tables in schema {} to {}",
        "alter default privileges in schema {} grant select on tables to {}",
    ):
        execute(connection, sql.SQL(statement).format(sql.Identifier(schema), _roles(roles)))


def _roles(roles: tuple[str, ...]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, roles))
