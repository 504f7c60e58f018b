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
    """Stores the results, writes their pages, and drops those of older runs.

    The index, for which GX reads the results of all runs, is written once a run: at its last gate, or at the one that
    stops it.
    """
    from great_expectations.core.run_identifier import RunIdentifier
    from great_expectations.data_context.types.resource_identifiers import (
        ExpectationSuiteIdentifier,
        ValidationResultIdentifier,
    )

    store = context.validation_results_store
    run = RunIdentifier(run_name=run_id, run_time=datetime.now(UTC))

    def key_of(relation: str) -> Any:
        return ValidationResultIdentifier(ExpectationSuiteIdentifier(f"after_{gate}.{relation}"), run, relation)

    documents = {key_of(e.relation): e.document for e in evaluations if e.document is not None}
    for key, document in documents.items():
        document.suite_name = key.expectation_suite_identifier.name
        for result in document.results:
            result.result = _escaped(result.result)
        document.meta |= {"run_id": run, "validation_time": run.run_time}
        store.set(key, document)
    _prune(store)
    _keep_compiled_templates()
    is_last = gate == "build" or any(evaluation.verdict == "failed" for evaluation in evaluations)
    # Of an empty list GX would make the pages of all that is stored.
    context.build_data_docs(
        site_names=[SITE], resource_identifiers=[*documents] or [key_of("none")], build_index=is_last
    )
    for key, document in documents.items():
        document.results = []  # they stand in the page and in ops.gate_results; the index would read them all again
        store.set(key, document)


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
