"""The data context of Great Expectations: in memory, but for the results and pages under ``STATE_DIR``."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

from data_platform.contracts.model import LAYERS, schema_of
from data_platform.gates.loading import load
from data_platform.settings import get_settings

SITE = "gates"
PUBLISHED = tuple(map(schema_of, LAYERS))


def open_context(schema: str = "public") -> Any:
    """A context that knows where results and Data Docs go, and how to reach ``schema`` of the warehouse.

    A dataset that has no relation in ``schema`` is found as it is published; no two layers have one of the same name.

    The password is a variable that GX puts into the connection string at the last moment; what it writes holds
    ``${WAREHOUSE}`` at most.
    """
    load()
    from great_expectations.data_context import get_context
    from great_expectations.data_context.types.base import DataContextConfig, InMemoryStoreBackendDefaults

    settings = get_settings()
    config = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(),
        analytics_enabled=False,
        progress_bars={"globally": False},
    )
    config.stores[config.validation_results_store_name]["store_backend"] = _files(settings.state_dir / "gates")
    config.data_docs_sites = {
        SITE: {
            "class_name": "SiteBuilder",
            "show_how_to_buttons": False,
            "store_backend": _files(settings.reports_dir / "data_docs"),
            "site_section_builders": {"expectations": "None", "profiling": "None"},
        }
    }
    context = get_context(project_config=config, mode="ephemeral", runtime_environment={"WAREHOUSE": _url(schema)})
    # It would write itself down as YAML at each relation, into memory where nobody reads it.
    context._save_project_config = lambda: None
    return context


def _files(folder: Any) -> dict[str, str]:
    return {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder)}


def _url(schema: str) -> str:
    part = {name: quote(str(value), safe="") for name, value in get_settings().warehouse_parameters().items()}
    options = urlencode({"application_name": "dp gate", "options": f"-csearch_path={','.join((schema, *PUBLISHED))}"})
    return "postgresql+psycopg2://{user}:{password}@{host}:{port}/{dbname}?".format(**part) + options
