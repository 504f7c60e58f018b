"""Where the feature store is and what is registered in it: settings, roles, ``apply``."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import psycopg2
import yaml
from psycopg2 import sql

from data_platform.contracts.compile.feast import feature_definitions
from data_platform.contracts.load import get_contracts
from data_platform.failures import InputError, TransientFailure
from data_platform.settings import Settings, get_settings
from data_platform.warehouse.connection import Connection, execute, transaction

if TYPE_CHECKING:
    from feast import FeatureStore
    from feast.repo_contents import RepoContents

FOLDER = Path(__file__).parent
TEMPLATE = FOLDER / "feature_store.template.yaml"
RENDERED = FOLDER / "feature_store.yaml"
REGISTRY_DATABASE = "feast"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
READERS = ("serving", "developer", "training")
ONLINE_READERS = ("serving", "developer")


def environment(settings: Settings, role: str = "platform") -> dict[str, str]:
    """The variables that ``feature_store.template.yaml`` names, for a Feast that acts as ``role``.

    Raises:
        InputError: when no warehouse is set up.
    """
    parameters = settings.warehouse_parameters(role)
    host = str(parameters["host"])
    return {
        "WAREHOUSE_HOST": host,
        "WAREHOUSE_PORT": str(parameters["port"]),
        "WAREHOUSE_DATABASE": str(parameters["dbname"]),
        "WAREHOUSE_SSLMODE": "prefer" if host in LOOPBACK else "require",
        "FEAST_DATABASE": REGISTRY_DATABASE,
        "FEAST_ROLE": role,
        "FEAST_PASSWORD": str(parameters["password"]),
    }


def render(settings: Settings, role: str = "platform") -> str:
    """The text of ``feature_store.yaml``: the template with its variables filled in.

    Raises:
        InputError: when no warehouse is set up.
    """
    quoted = {name: value.replace("'", "''") for name, value in environment(settings, role).items()}
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(quoted)


def write_settings() -> Path:
    """Writes ``feature_store.yaml`` for Feast's own commands; only its owner can read it.

    Raises:
        InputError: when no warehouse is set up.
    """
    text = render(get_settings())
    descriptor = os.open(RENDERED, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(descriptor, 0o600)
        file.write(text)
    return RENDERED


@contextmanager
def server_failures() -> Iterator[None]:
    """Turns what the three drivers in use raise when Postgres goes away into our failure.

    Raises:
        TransientFailure: with the driver's first line.
    """
    try:
        yield
    except _operational_errors() as error:
        reason = str(error).strip().splitlines()[0]
        raise TransientFailure(
            f"the feature store's database does not answer: {reason}",
            hint="start it with `make up`; `make status` tells what runs",
        ) from None


def _operational_errors() -> tuple[type[Exception], ...]:
    import psycopg
    import sqlalchemy.exc

    return psycopg2.OperationalError, psycopg.OperationalError, sqlalchemy.exc.OperationalError


def project() -> str:
    """Feast's name for all of this; its online tables are called ``<project>_<view>``."""
    return str(yaml.safe_load(TEMPLATE.read_text(encoding="utf-8"))["project"])


def view_definitions() -> list[dict[str, Any]]:
    """What the contracts say of each view; see ``feature_definitions``.

    Raises:
        InputError: when a view's entity has no key, or one of several columns, which Feast does not know.
    """
    definitions = feature_definitions(get_contracts())
    for definition in definitions:
        if len(definition["join_keys"]) != 1 or not definition["entity"]:
            raise InputError(
                f"contracts/features/{definition['name']}.odcs.yaml: the key of entity {definition['entity']!r} is"
                f" {definition['join_keys']}; a feature view has one entity with a key of one column",
                hint="set the custom property `entity`, and make primaryKey its column and the event day",
            )
    return definitions


def open_store(role: str = "platform") -> FeatureStore:
    """The feature store as ``role`` may see it.

    Raises:
        InputError: when no warehouse is set up.
    """
    from feast import FeatureStore
    from feast.repo_config import RepoConfig

    # Feast warns of what is experimental in it at every use. Its import sets filters of its own, before ours.
    warnings.filterwarnings("ignore", module=r"feast\.")
    config = RepoConfig(**yaml.safe_load(render(get_settings(), role)))
    config.repo_path = FOLDER
    return FeatureStore(config=config)


def repo_contents(project_name: str) -> RepoContents:
    """Everything that this folder defines, as ``feast apply`` finds it."""
    from feast import Project
    from feast.feature_view import DUMMY_ENTITY
    from feast.repo_contents import RepoContents

    from feature_repo import definitions, on_demand, services

    views = list(definitions.VIEWS.values())
    return RepoContents(
        projects=[Project(name=project_name)],
        data_sources=[on_demand.moment, *(view.batch_source for view in views)],
        entities=[*definitions.ENTITIES.values(), DUMMY_ENTITY],
        feature_views=views,
        on_demand_feature_views=[on_demand.customer_recency],
        stream_feature_views=[],
        label_views=[],
        feature_services=[services.churn_v1],
        permissions=[],
    )


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
    parameters: dict[str, Any] = get_settings().warehouse_parameters() | {"dbname": REGISTRY_DATABASE}
    with closing(psycopg2.connect(**parameters, application_name="dp features")) as registry, registry:
        connect = sql.SQL("grant connect on database {} to {}")
        execute(registry, connect.format(sql.Identifier(REGISTRY_DATABASE), _roles(READERS)))
        _grant_tables(registry, "public", READERS)


def _grant_tables(connection: Connection, schema: str, roles: tuple[str, ...]) -> None:
    statement = sql.SQL("grant select on all tables in schema {} to {}")
    execute(connection, statement.format(sql.Identifier(schema), _roles(roles)))


def _roles(roles: tuple[str, ...]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, roles))
