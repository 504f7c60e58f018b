"""Data Docs: GX's static pages of what the gates of the last runs said."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from data_platform.gates.context import SITE
from data_platform.gates.rules import Evaluation, Gate
from data_platform.settings import get_settings

KEEP_RUNS = 10


def add_pages(context: Any, run_id: str, gate: Gate, evaluations: Sequence[Evaluation]) -> None:
    """Stores the results, writes their pages and the index, and drops those of older runs."""
    from great_expectations.core.run_identifier import RunIdentifier
    from great_expectations.data_context.types.resource_identifiers import (
        ExpectationSuiteIdentifier,
        ValidationResultIdentifier,
    )

    store = context.validation_results_store
    run = RunIdentifier(run_name=run_id, run_time=datetime.now(UTC))
    written = []
    for evaluation in evaluations:
        if evaluation.document is None:
            continue
        name = f"after_{gate}.{evaluation.relation}"
        evaluation.document.suite_name = name
        for result in evaluation.document.results:
            result.result = _escaped(result.result)
        evaluation.document.meta |= {"run_id": run, "validation_time": run.run_time}
        key = ValidationResultIdentifier(ExpectationSuiteIdentifier(name), run, evaluation.relation)
        store.set(key, evaluation.document)
        written.append(key)
    _prune(store)
    _keep_compiled_templates()
    context.build_data_docs(site_names=[SITE], resource_identifiers=written)


def _keep_compiled_templates() -> None:
    """GX makes an environment of its own for each build of its pages; without a cache each compiles all templates."""
    from great_expectations.render.view import view
    from jinja2 import Environment, FileSystemBytecodeCache

    folder = get_settings().state_dir / "templates"
    folder.mkdir(parents=True, exist_ok=True)
    view.Environment = partial(Environment, bytecode_cache=FileSystemBytecodeCache(str(folder)))


def _escaped(value: Any) -> Any:
    """GX writes values into its pages as they are; a delivery must not bring markup of its own."""
    if isinstance(value, str):
        return html.escape(value)
    if isinstance(value, Mapping):
        return {key: _escaped(part) for key, part in value.items()}
    return [_escaped(part) for part in value] if isinstance(value, list | tuple) else value


def _prune(store: Any) -> None:
    keys = store.list_keys()
    latest = {key.run_id.run_name: key.run_id.run_time for key in sorted(keys, key=lambda k: k.run_id.run_time)}
    kept = sorted(latest, key=latest.__getitem__)[-KEEP_RUNS:]
    for key in keys:
        if key.run_id.run_name not in kept:
            store.remove_key(key)
