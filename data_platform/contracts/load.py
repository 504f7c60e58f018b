"""Reads contract files; an error names file, line, column, rule and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from data_platform.contracts.model import Contract
from data_platform.contracts.odcs import SUFFIX, Document
from data_platform.contracts.parts import Misplaced
from data_platform.contracts.positions import position, twin_keys
from data_platform.contracts.relations import broken_between
from data_platform.failures import InputError
from data_platform.settings import get_settings

# In C where there is one: each command reads all contracts, and written in Python that takes a sixth of a second.
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
HINT = "correct the place; docs/contracts.md explains every key"


def load_contract(file: Path, root: Path) -> Contract:
    """Reads one contract.

    Raises:
        InputError: a line for each problem, naming file, line, column and the rule that is broken.
    """
    shown = Path(root.name) / file.relative_to(root)
    node, document = _parse(file, shown)
    if twins := [f"{shown}:{line}:{column}: key {key!r} stands twice" for key, line, column in twin_keys(node)]:
        raise InputError("\n".join(twins), hint="keep one of the two")
    try:
        return Document.model_validate(document).to_contract(file.relative_to(root))
    except ValidationError as error:
        problems = "\n".join(_describe(each, node, shown) for each in _innermost(error.errors()))
        raise InputError(problems, hint=HINT) from None
    except Misplaced as error:
        line, column = position(node, error.at)
        raise InputError(f"{shown}:{line}:{column}: {error}", hint=HINT) from None


def _parse(file: Path, shown: Path) -> tuple[yaml.Node | None, Any]:
    """The file as nodes, which know their places, and as values."""
    try:
        loader = LOADER(file.read_text(encoding="utf-8"))
        node = loader.get_single_node()
        return node, None if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise InputError(f"{shown}:{line}:{column}: not YAML: {error.problem}", hint="correct the line") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{shown}:1:1: not YAML in UTF-8: {reason}", hint="save it as UTF-8 text") from None


def _innermost(errors: Sequence[Any]) -> Iterator[Any]:
    """Without the echoes: a list with a wrong item is also reported as having no item."""
    places = [error["loc"] for error in errors]
    for error in errors:
        depth = len(error["loc"])
        if not any(len(place) > depth and place[:depth] == error["loc"] for place in places):
            yield error


def _describe(error: Any, node: yaml.Node | None, shown: Path) -> str:
    location = (*error["loc"], *getattr(error.get("ctx", {}).get("error"), "at", ()))
    line, column = position(node, location)
    where = f"{shown}:{line}:{column}"
    if error["type"] == "extra_forbidden":
        return f"{where}: unknown key {str(location[-1])!r} in {_dotted(location[:-1]) or 'the contract'}"
    message = error["msg"].removeprefix("Value error, ")
    return f"{where}: {_dotted(location) or 'contract'}: {message} (rule {error['type']})"


def _dotted(location: Iterable[str | int]) -> str:
    return ".".join(str(step) for step in location)


class Contracts:
    """All contracts, by dataset name.

    Raises:
        InputError: when two describe one dataset.
    """

    def __init__(self, contracts: Iterable[Contract]) -> None:
        self._by_dataset: dict[str, Contract] = {}
        for contract in contracts:
            other = self._by_dataset.setdefault(contract.dataset, contract)
            if other is not contract:
                raise InputError(
                    f"contracts/{contract.path}:1:1: dataset {contract.dataset!r} is already described by "
                    f"contracts/{other.path}",
                    hint="rename one of the two datasets",
                )

    def __iter__(self) -> Iterator[Contract]:
        return iter(self._by_dataset.values())

    def __len__(self) -> int:
        return len(self._by_dataset)

    def __getitem__(self, dataset: str) -> Contract:
        """The contract of a dataset.

        Raises:
            InputError: when there is none; the message lists those that exist.
        """
        if dataset not in self._by_dataset:
            raise InputError(
                f"no contract describes {dataset!r}", hint=f"there are: {', '.join(sorted(self._by_dataset))}"
            )
        return self._by_dataset[dataset]

    def of_layer(self, layer: str) -> list[Contract]:
        """Contracts in ``contracts/<layer>/``, by name."""
        return [c for c in self if c.layer == layer]


def contract_files(root: Path) -> list[Path]:
    """The files that hold contracts.

    Raises:
        InputError: when there is none, and for a YAML file that would be passed over because of its name.
    """
    files = sorted(path for path in root.rglob("*") if path.suffix in {".yaml", ".yml"})
    if not files:
        raise InputError(f"no contract (*{SUFFIX}) found in {root}", hint="write one, see docs/contracts.md")
    for path in files:
        if not path.name.endswith(SUFFIX):
            shown = Path(root.name) / path.relative_to(root)
            raise InputError(f"{shown}:1:1: the name does not end in {SUFFIX}", hint="rename the file")
    return files


def load_contracts(root: Path) -> Contracts:
    """Reads every contract below ``root``.

    Raises:
        InputError: for the first file that is wrong, for two datasets of one name, for contracts that do not fit each
            other, for none at all.
    """
    contracts = Contracts(load_contract(f, root) for f in contract_files(root))
    problems = []
    for contract, problem in broken_between(contracts):
        shown = Path(root.name) / contract.path
        line, column = position(_parse(root / contract.path, shown)[0], problem.at)
        problems.append(f"{shown}:{line}:{column}: {problem}")
    if problems:
        raise InputError("\n".join(problems), hint=HINT)
    return contracts


@lru_cache(maxsize=1)
def get_contracts() -> Contracts:
    """The project's contracts, read once a process."""
    return load_contracts(get_settings().contracts_dir)
