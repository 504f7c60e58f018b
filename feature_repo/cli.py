"""Commands about features: ``dp features …`` and ``dp export``. Feast takes seconds to load: only when used."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from data_platform.cli.output import JsonOption, console, errors, print_json, print_table, show
from data_platform.cli.runs import RunOption, take_step
from data_platform.clock import business_now
from data_platform.failures import InputError
from data_platform.intervals import parse_day

if TYPE_CHECKING:
    from feature_repo.read import OnlineRow

DEFAULT_SERVICE = "churn_v1"


def register(app: typer.Typer) -> None:
    """Adds the commands to ``dp``."""
    features = typer.Typer(help="Features: register, bring online, read.", no_args_is_help=True)
    features.command("get")(get)
    features.command("apply")(apply_definitions)
    features.command("materialize")(materialize)
    features.command("configure")(configure)
    app.add_typer(features, name="features")
    app.command("export")(export)


def export(run: RunOption, as_json: JsonOption = False) -> None:
    """Bring the online store up to the last publication."""
    take_step(run, "export", as_json=as_json)


def get(
    entities: Annotated[
        list[str], typer.Argument(help="Whose features, like customer_id=00001.", metavar="KEY=VALUE…")
    ],
    service: Annotated[str, typer.Option(help="Feature service to read.")] = DEFAULT_SERVICE,
    as_of: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"],
            help="Time (UTC) for what is computed when asked, like recency. Default: now on the business clock.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Read the newest features of some entities through Feast's online store."""
    asked = [_parse_entity(text) for text in entities]
    from feature_repo.read import read_online

    moment = as_of.replace(tzinfo=UTC) if as_of else business_now()
    rows = read_online(asked, service, moment)
    if as_json:
        print_json([{**r.entity, "found": r.found, "features": r.features, "event_at": r.event_at} for r in rows])
        return
    _print_features(f"{service} of {', '.join(asked[0])} at {moment:%Y-%m-%d %H:%M} UTC", [r for r in rows if r.found])
    for row in rows:
        if not row.found:
            named = " ".join(f"{key}={value}" for key, value in row.entity.items())
            errors.print(f"{named}: unknown; no view of {service} has a row of it", markup=False)


def _print_features(title: str, rows: Sequence[OnlineRow]) -> None:
    """A line a feature and a column an entity: services are longer than questions."""
    if not rows:
        return
    values = [row.features | {f"as of, {view}": time for view, time in row.event_at.items()} for row in rows]
    names = [" ".join(row.entity.values()) for row in rows]
    lines = [
        {"feature": feature} | {name: _shown(of_one[feature]) for name, of_one in zip(names, values, strict=True)}
        for feature in values[0]
    ]
    print_table(title, lines)


def _parse_entity(text: str) -> dict[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals and value):
        raise InputError(f"{text!r} names no entity", hint="write KEY=VALUE, like customer_id=00001")
    return {key: value}


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d}" if value.time() == value.time().min else f"{value:%Y-%m-%d %H:%M:%S}"
    return str(value)


def apply_definitions(as_json: JsonOption = False) -> None:
    """Register entities, views and services with Feast, as contracts and feature_repo/ define them."""
    from feature_repo.export import exclusive_snapshot
    from feature_repo.registry import apply
    from feature_repo.store import open_store, write_settings

    write_settings()
    store = open_store()
    with exclusive_snapshot():  # an export applies too
        removed = apply(store)
        views = [*store.list_feature_views(), *store.list_on_demand_feature_views()]
        services = store.list_feature_services()
    if as_json:
        print_json(
            {"views": [v.name for v in views], "services": [s.name for s in services], "removed": sorted(removed)}
        )
        return
    console.print(f"registered {len(views)} views and {len(services)} services in project {store.project}")
    if removed:
        console.print(f"taken back: {', '.join(sorted(removed))}")


def materialize(
    since: Annotated[
        str | None,
        typer.Option(help="Only entities with a row of this event day or later; default: all, and stray ones go."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the newest row of each entity into the online store, from all of its history."""
    first: date | None = parse_day("--since", since) if since else None
    from feature_repo.export import materialize_all

    written = materialize_all(first)
    rows = [{"view": w.view, "written": w.written, "deleted": w.deleted} for w in written]
    show("online store", rows, as_json=as_json)


def configure(as_json: JsonOption = False) -> None:
    """Write feature_repo/feature_store.yaml from .env, so that Feast's own commands work in that folder."""
    from feature_repo.store import write_settings

    written = write_settings()
    if as_json:
        print_json({"file": written})
    else:
        console.print(f"{written} is written")
