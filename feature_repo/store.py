"""Where the feature store is: Feast's settings, made from ours, and the store as a role sees it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import psycopg2
import yaml

from data_platform.contracts.compile.feast import feature_definitions
from data_platform.contracts.load import get_contracts
from data_platform.failures import InputError, PermanentFailure, TransientFailure
from data_platform.settings import Settings, get_settings

if TYPE_CHECKING:
    from feast import FeatureStore

FOLDER = Path(__file__).parent
TEMPLATE = FOLDER / "feature_store.template.yaml"
RENDERED = FOLDER / "feature_store.yaml"
REGISTRY_DATABASE = "feast"
LOOPBACK = ("127.0.0.1", "localhost", "::1")


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
        "WAREHOUSE_SSLMODE": os.environ.get("PGSSLMODE") or ("prefer" if host in LOOPBACK else "require"),
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
    """Turns what the drivers in use raise, when Postgres is away or refuses, into our failures.

    Raises:
        TransientFailure: when the server does not answer.
        PermanentFailure: when a role may not read, or finds no table: nothing is registered yet.
    """
    try:
        yield
    except _driver_errors() as error:
        reason = str(error).strip().splitlines()[0]
        if isinstance(error, _refusals()) or "permission denied" in reason:
            raise PermanentFailure(
                f"the feature store is not ready: {reason}",
                hint="`dp features apply` registers the features, and lets the roles read them",
            ) from error
        raise TransientFailure(
            f"the feature store's database does not answer: {reason}",
            hint="start it with `make up`; `make status` tells what runs",
        ) from None


def _driver_errors() -> tuple[type[Exception], ...]:
    import psycopg
    import sqlalchemy.exc

    # psycopg2 raises the second on the way out of a transaction whose connection was lost.
    ours = (psycopg2.OperationalError, psycopg2.InterfaceError)
    return *ours, psycopg.OperationalError, sqlalchemy.exc.OperationalError, *_refusals()


def _refusals() -> tuple[type[Exception], ...]:
    import psycopg
    import sqlalchemy.exc

    return psycopg.ProgrammingError, sqlalchemy.exc.ProgrammingError


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
