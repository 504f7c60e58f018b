"""What dbt's models read and which version their code has, told from their files: importing dbt takes seconds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, TemplateSyntaxError, nodes
from pydantic import BaseModel, ConfigDict, ValidationError

from data_platform.contracts.document import contract_hash
from data_platform.contracts.load import get_contracts
from data_platform.contracts.model import Contract
from data_platform.failures import InputError
from data_platform.settings import get_settings

ENGINES = ("dbt-core", "dbt-postgres")
STAGING_MACRO = "stage_from_contract"


class Reach(BaseModel):
    """How far a change of what a model reads reaches (``meta.reads`` beside its SQL)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    look_back_days: int = 0
    next_day: bool = False
    due_after_days: tuple[int, ...] = ()


@dataclass(frozen=True)
class Model:
    """A model's file, and the names of the models and source tables that it reads."""

    file: Path
    refs: frozenset[str]
    sources: frozenset[str]
    declared: dict[str, Any]

    @property
    def name(self) -> str:
        return self.file.stem


class Project:
    """The models of a dbt project, by name."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._models = {
            file.stem: _read_model(file, file.stat().st_mtime_ns) for file in sorted((root / "models").rglob("*.sql"))
        }
        self._published = {c.dataset: c for c in get_contracts()}

    def __getitem__(self, name: str) -> Model:
        """The model of that name.

        Raises:
            InputError: when no file has it.
        """
        if name not in self._models:
            raise InputError(
                f"dbt_project/models: there is no {name}.sql",
                hint="write the model that the contract describes, or correct the name in ref()",
            )
        return self._models[name]

    @cached_property
    def macro_files(self) -> list[Path]:
        """All macros: any of them may change what a model computes."""
        return sorted((self._root / "macros").rglob("*.sql"))

    def with_unpublished(self, name: str) -> dict[str, Model]:
        """A model and, through all levels, the unpublished models that it reads: together they are its code."""
        found: dict[str, Model] = {}
        waiting = [name]
        while waiting:
            model = self[waiting.pop()]
            found[model.name] = model
            waiting += [ref for ref in model.refs if ref not in self._published and ref not in found]
        return found

    def upstream(self, name: str) -> set[str]:
        """Datasets that a model reads, reaching through unpublished models to the published beneath them."""
        parts = self.with_unpublished(name).values()
        return {ref for part in parts for ref in part.refs if ref in self._published} | {
            source for part in parts for source in part.sources
        }


def code_hash(contract: Contract) -> str:
    """Version of the code that makes a mart or feature table.

    Hash of its SQL, that of the unpublished models it reads, all macros, its contract, and dbt's version.

    Raises:
        InputError: when the model, or one that it reads, has no file.
    """
    project = _project()
    files = [model.file for model in project.with_unpublished(contract.dataset).values()]
    digest = hashlib.sha256()
    for file in sorted(files) + project.macro_files:
        digest.update(f"{file.name}\0".encode() + file.read_bytes() + b"\0")
    for part in (contract_hash(contract), *(f"{engine} {version(engine)}" for engine in ENGINES)):
        digest.update(part.encode())
    return digest.hexdigest()


def upstream_tables(table: str) -> set[str]:
    """Published tables that a published table is built from, like ``{"raw.purchases"}``."""
    contracts = get_contracts()
    return {contracts[name].table for name in _project().upstream(_dataset(table))}


def reads(table: str) -> dict[str, Reach]:
    """Published table → how far its changes reach into ``table``.

    Raises:
        InputError: when the model declares a reach for something that it does not read.
    """
    contracts, project, name = get_contracts(), _project(), _dataset(table)
    upstream, model = project.upstream(name), project[name]
    if unread := sorted(model.declared.keys() - upstream):
        raise InputError(
            f"dbt_project/models/**/{model.file.name}: meta.reads names {unread[0]!r}, which the model does not read",
            hint=f"it reads: {', '.join(sorted(upstream))}",
        )
    if dayless := sorted(name for name in model.declared if contracts[name].is_reference):
        raise InputError(
            f"dbt_project/models/**/{model.file.name}: meta.reads names {dayless[0]!r}, a reference table",
            hint="leave it out: its rows belong to no day, so what reads it is built whole when it changes",
        )
    try:
        return {contracts[u].table: Reach.model_validate(model.declared.get(u, {})) for u in upstream}
    except ValidationError as error:
        problem = error.errors()[0]
        raise InputError(
            f"dbt_project/models/**/{model.file.name}: meta.reads: {problem['loc'][0]}: {problem['msg']}",
            hint=f"known are: {', '.join(Reach.model_fields)}",
        ) from None


def _project() -> Project:
    return Project(get_settings().dbt_project_dir)


def _dataset(table: str) -> str:
    return table.rpartition(".")[2]


@lru_cache(maxsize=1024)
def _read_model(file: Path, modified_ns: int) -> Model:  # noqa: ARG001 - a changed file is read anew
    try:
        tree = Environment(autoescape=True).parse(file.read_text(encoding="utf-8"))
    except TemplateSyntaxError as error:
        raise InputError(f"{file}:{error.lineno}: {error.message}", hint="correct the template") from None
    calls = list(_calls(tree))
    refs = {arguments[-1] for name, arguments, _ in calls if name == "ref"}
    sources = {arguments[-1] for name, arguments, _ in calls if name == "source"}
    if any(name == STAGING_MACRO for name, _, _ in calls):
        sources.add(file.stem.partition("__")[2])
    declared: dict[str, Any] = {}
    for name, _, options in calls:
        if name == "config":
            declared |= options.get("meta", {}).get("reads", {})
    return Model(file, frozenset(refs), frozenset(sources), declared)


def _calls(tree: nodes.Template) -> Iterator[tuple[str, list[Any], dict[str, Any]]]:
    """Calls of plain macros with constant arguments: name, positional, by keyword."""
    for call in tree.find_all(nodes.Call):
        if isinstance(call.node, nodes.Name) and call.node.name in {"ref", "source", "config", STAGING_MACRO}:
            arguments = [argument.as_const() for argument in call.args]
            yield call.node.name, arguments, {k.key: k.value.as_const() for k in call.kwargs}
