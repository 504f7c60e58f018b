"""Models, feature tables and DAGs as they begin: small, complete, and within all rules. Their texts are templates."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from data_platform.contracts.compile.dbt import staging_name
from data_platform.contracts.load import get_contracts
from data_platform.contracts.model import Column, Contract
from data_platform.contracts.odcs import SUFFIX
from data_platform.contracts.quoting import scalar
from data_platform.failures import InputError
from data_platform.scaffold.names import check_name, in_words
from data_platform.settings import get_settings

TEMPLATES = Path(__file__).parent / "templates"
FORMS = {
    "intermediate": (r"int_[a-z0-9_]+__[a-z0-9_]+", "int_<entity>__<verb>"),
    "marts": (r"(fct|dim)_[a-z0-9_]+", "fct_… or dim_…"),
    "features": (r"ftr_[a-z0-9]+(_[a-z0-9]+)*__[a-z0-9_]+", "ftr_<entity>__<group>"),
    "dags": (r"[a-z]+(_[a-z]+)+", "a verb phrase like replay_returns"),
}
Files = dict[Path, str]


@dataclass(frozen=True)
class ModelColumn:
    """A column of a model, and the SQL that it comes from."""

    name: str
    logical: str
    physical: str
    description: str
    expression: str
    in_key: bool = False
    required: bool = False


def draft_model(name: str, layer: str, origin: str) -> Files:
    """A model that hands on what its origin tells; of a mart its contract, too.

    Raises:
        InputError: when the name has not its layer's form, or nothing is called like the origin.
    """
    _check_form(name, layer)
    of, settings = _origin(origin), get_settings()
    folder = settings.dbt_project_dir / "models" / layer
    columns = _handed_on(of, name)
    sql = _render("model.sql.j2", origin=origin, day=of.day_column, columns=columns)
    if layer == "intermediate":
        return {
            folder / f"{name}.sql": sql,
            folder / f"{name}.yml": _render("intermediate.yml.j2", name=name, origin=origin),
        }
    contract = _contract(
        name, layer, of, columns, f"What {origin} tells, as a table for analysts.", of.grain, day=of.day_column
    )
    return {folder / f"{name}.sql": sql, settings.contracts_dir / layer / f"{name}{SUFFIX}": contract}


def draft_feature(name: str, entity: str, origin: str) -> Files:
    """A feature table with one feature, the number of rows of a day, of which people make what they need.

    Raises:
        InputError: when the name has not the form of feature tables, or the origin has no day or no such entity.
    """
    _check_form(name, "features")
    check_name(entity, "entity")
    if not name.startswith(f"ftr_{entity}__"):
        raise InputError(f"{name!r} is not called after its entity", hint=f"call it ftr_{entity}__<group>")
    of, settings = _origin(origin), get_settings()
    key = next((c for c in of.published_columns if c.name in {f"{entity}_id", entity}), None)
    if key is None or of.kind == "keyed":
        wanted = f"has no column {entity}_id" if key is None else "has one row a key, and no row a day"
        raise InputError(
            f"{origin} {wanted}", hint="name a model with the entity's key and a day, like fct_customer_days"
        )
    columns = [
        ModelColumn(key.name, key.logical_type, key.physical_type, scalar(key.description), key.name, True, True),
        ModelColumn(
            "computed_on", "date", "date", f"Day that the features are of, as {origin} has it.", "", True, True
        ),
        ModelColumn(
            "event_at",
            "timestamp",
            "timestamptz",
            "Event time for as-of joins; the end of computed_on.",
            "",
            False,
            True,
        ),
        ModelColumn("row_count", "integer", "integer", f"Number of rows of {origin} on the day.", "", False, True),
    ]
    grain = f"one row a {entity} and day with a row in {origin}"
    contract = _contract(
        name,
        "features",
        of,
        columns,
        f"What {origin} tells of a {entity}, day by day.",
        grain,
        day="computed_on",
        entity=entity,
    )
    return {
        settings.dbt_project_dir / "models" / "features" / f"{name}.sql": _render(
            "feature.sql.j2", origin=origin, day=of.day_column, entity_key=key.name
        ),
        settings.contracts_dir / "features" / f"{name}{SUFFIX}": contract,
    }


def draft_dag(name: str, runbook: str) -> Files:
    """A DAG that goes the one way of all runs.

    Raises:
        InputError: when the name is no verb phrase, or there is no such runbook.
    """
    _check_form(name, "dags")
    root = get_settings().project_root
    if not (root / "docs" / "runbooks" / f"{runbook}.md").is_file():
        there = ", ".join(sorted(page.stem for page in (root / "docs" / "runbooks").glob("*.md")))
        raise InputError(f"there is no runbook docs/runbooks/{runbook}.md", hint=f"write one, or name one of: {there}")
    return {root / "dags" / f"{name}.py": _render("dag.py.j2", name=name, title=in_words(name), runbook=runbook)}


def _check_form(name: str, layer: str) -> None:
    pattern, form = FORMS[layer]
    check_name(name, "name")
    if not re.fullmatch(pattern, name):
        raise InputError(
            f"{name!r} is no name of {layer}", hint=f"call it {form}; docs/naming.md says how things are called"
        )


def _origin(model: str) -> Contract:
    """The contract of what a model gives.

    Raises:
        InputError: when no contract describes it.
    """
    contracts = {staging_name(c) if c.source else c.dataset: c for c in get_contracts()}
    if model not in contracts:
        raise InputError(f"no contract describes a model {model!r}", hint=f"there are: {', '.join(sorted(contracts))}")
    return contracts[model]


def _handed_on(of: Contract, name: str) -> list[ModelColumn]:
    """The origin's columns, without those that hold personal data for a purpose of their own."""
    columns = []
    if of.source:
        own = f"{name.partition('_')[2].removesuffix('s')}_id"
        own = own if own not in {c.name for c in of.published_columns} else f"{own}_of_row"
        taken = "row_id" if name.startswith("int_") else f"row_id as {own}"
        columns.append(ModelColumn(own, "string", "uuid", "Identity of the delivered row.", taken, True, True))
    kept = [c for c in of.published_columns if c.classification != "personal"]
    return columns + [_same(c, in_key=not of.source and c.name in of.key) for c in kept]


def _same(column: Column, *, in_key: bool) -> ModelColumn:
    return ModelColumn(
        column.name,
        column.logical_type,
        column.physical_type,
        scalar(column.description),
        column.name,
        in_key,
        column.required,
    )


def _contract(
    name: str,
    layer: str,
    of: Contract,
    columns: list[ModelColumn],
    purpose: str,
    grain: str,
    *,
    day: str,
    entity: str = "",
) -> str:
    return _render(
        "contract.odcs.yaml.j2",
        name=name,
        layer=layer,
        title=in_words(name.partition("_")[2]),
        domain=scalar(of.domain),
        team=scalar(of.team),
        owner=scalar(of.owner),
        purpose=scalar(purpose),
        grain=scalar(grain),
        frequency_days=of.frequency_days,
        columns=columns,
        day=day,
        entity=entity,
    )


def _render(template: str, **values: Any) -> str:
    options = {"trim_blocks": True, "lstrip_blocks": True, "keep_trailing_newline": True, "undefined": StrictUndefined}
    templates = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=False, **options)  # type: ignore[arg-type]  # noqa: S701 - no HTML
    return templates.get_template(template).render(values)
