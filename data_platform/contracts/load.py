"""Reads contract files into models; an error names file, line, column, rule and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from data_platform.contracts.model import (
    Column,
    Contract,
    Dialect,
    Duration,
    Quality,
    Strict,
    custom_properties,
    parse_duration,
)
from data_platform.failures import InputError
from data_platform.settings import get_settings

SUFFIX = ".odcs.yaml"
UNITS = {"d": "days", "h": "hours", "m": "minutes", "y": "years"}


class _Description(Strict):
    purpose: str
    usage: str = ""
    limitations: str = ""


class _Member(Strict):
    username: str
    role: str


class _Team(Strict):
    name: str
    members: tuple[_Member, ...] = Field(min_length=1)


class _Server(Strict):
    server: str
    type: Literal["local", "postgres"]
    path: str | None = None
    format: Literal["csv"] | None = None
    host: str | None = None
    port: int | None = None
    database: str | None = None
    db_schema: str | None = Field(None, alias="schema")


class _Table(Strict):
    name: str
    physical_type: Literal["table"] = Field("table", alias="physicalType")
    description: str = ""
    grain: str = Field(alias="dataGranularityDescription")
    properties: tuple[Column, ...] = Field(min_length=1)
    quality: tuple[Quality, ...] = ()


class _ServiceLevel(Strict):
    property: Literal["frequency", "freshness", "retention"]
    value: int
    unit: Literal["d", "h", "m", "y"]
    element: str | None = None


class _Ours(Strict):
    """Custom properties of a contract."""

    kind: Literal["events", "snapshot"] | None = Field(None, alias="datasetKind")
    materialization: Literal["interval", "keyed"] | None = None
    event_day: str | None = Field(None, alias="eventDay")
    extract_day: Literal["path"] | None = Field(None, alias="extractDay")
    unit_key: str | None = Field(None, alias="unitKey")
    arrival_delay: Duration = Field("0h", alias="arrivalDelay", validate_default=True)
    tolerated_broken_share: float = Field(0.0, alias="toleratedBrokenShare", ge=0, le=1)
    missing_day: Literal["error", "empty"] = Field("empty", alias="missingDay")
    dialect: Dialect = Dialect()
    entity: str | None = None
    event_timestamp: str | None = Field(None, alias="eventTimestamp")


class _Document(Strict):
    api_version: Literal["v3.1.0"] = Field(alias="apiVersion")
    document_kind: Literal["DataContract"] = Field(alias="kind")
    id: str
    name: str
    version: str = Field(pattern=r"^\d+\.\d+\.\d+$")
    status: Literal["draft", "active", "deprecated"]
    domain: str
    description: _Description
    team: _Team
    servers: tuple[_Server, ...] = Field(min_length=1, max_length=1)
    tables: tuple[_Table, ...] = Field(alias="schema", min_length=1, max_length=1)
    service_levels: tuple[_ServiceLevel, ...] = Field((), alias="slaProperties")
    ours: _Ours = Field(_Ours(), alias="customProperties")

    @model_validator(mode="before")
    @classmethod
    def _lift_custom_properties(cls, value: Any) -> Any:
        if isinstance(value, dict) and "customProperties" in value:
            allowed = {f.alias or n for n, f in _Ours.model_fields.items()}
            value = {
                **value,
                "customProperties": custom_properties(value["customProperties"], allowed=allowed),
            }
        return value

    def to_contract(self, path: Path) -> Contract:
        table, ours, server = self.tables[0], self.ours, self.servers[0]
        kind = ours.kind or ours.materialization
        if (path.parts[0] == "sources") != (ours.kind is not None) or kind is None:
            raise ValueError("contracts/sources declare datasetKind, marts and features declare materialization")
        if (ours.event_day is None) == (ours.extract_day is None):
            raise ValueError("exactly one of eventDay and extractDay tells the day of a row")
        levels = {level.property: level for level in self.service_levels}
        owner = next((m.username for m in self.team.members if m.role == "owner"), self.team.members[0].username)
        return Contract(
            path=path,
            id=self.id,
            name=self.name,
            version=self.version,
            status=self.status,
            domain=self.domain,
            purpose=self.description.purpose,
            usage=self.description.usage,
            limitations=self.description.limitations,
            owner=owner,
            team=self.team.name,
            dataset=table.name,
            grain=table.grain,
            columns=table.properties,
            quality=table.quality,
            kind=kind,
            day_column=ours.event_day or "extract_day",
            day_from_path=ours.extract_day == "path",
            unit_key=ours.unit_key,
            location=server.path if path.parts[0] == "sources" else None,
            arrival_delay=ours.arrival_delay,
            tolerated_broken_share=ours.tolerated_broken_share,
            missing_day=ours.missing_day,
            dialect=ours.dialect,
            entity=ours.entity,
            event_timestamp=ours.event_timestamp,
            frequency_days=levels["frequency"].value if "frequency" in levels else 1,
            freshness=_duration(levels.get("freshness")),
            retention=_duration(levels.get("retention")),
        )


def _duration(level: _ServiceLevel | None) -> Any:
    if level is None:
        return None
    if level.unit == "y":
        return parse_duration(f"{level.value * 365}d")
    return parse_duration(f"{level.value}{level.unit}")


def load_contract(file: Path, root: Path) -> Contract:
    """Reads one contract.

    Raises:
        InputError: naming file, line, column and the rule that is broken.
    """
    shown = Path(root.name) / file.relative_to(root)
    text = file.read_text(encoding="utf-8")
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        document = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{shown}:{mark.line + 1}:{mark.column + 1}" if mark else str(shown)
        raise InputError(f"{where}: not YAML: {error.problem}", hint="correct the line") from None
    try:
        contract = _Document.model_validate(document).to_contract(file.relative_to(root))
    except ValidationError as error:
        raise InputError("\n".join(_describe(e, node, shown) for e in error.errors())) from None
    except ValueError as error:
        raise InputError(f"{shown}:1:1: {error}") from None
    if contract.location is not None:
        check_location(contract.location, where=str(shown))
    expected = f"{contract.dataset}{SUFFIX}"
    if file.name != expected:
        raise InputError(
            f"{shown}:1:1: the file is named {file.name}, its dataset {contract.dataset}",
            hint=f"rename it to {expected}",
        )
    return contract


def check_location(location: str, *, where: str) -> None:
    """Refuses a path that is not below ``landing/``.

    Raises:
        InputError: naming the path.
    """
    parts = Path(location).parts
    if not parts or parts[0] != "landing" or ".." in parts or len(parts) < 3:
        raise InputError(
            f"{where}: path {location!r} is outside landing",
            hint="a delivery's path looks like landing/<source>/<dataset>/*.csv",
        )


def _describe(error: Any, node: yaml.Node | None, shown: Path) -> str:
    line, column = _position(node, error["loc"])
    key = ".".join(str(p) for p in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"{shown}:{line}:{column}: unknown key {key!r}\n  → remove it or correct its spelling (docs/contracts.md lists the keys)"
    message = error["msg"].removeprefix("Value error, ")
    return f"{shown}:{line}:{column}: {key or 'contract'}: {message} (rule {error['type']})"


def _position(node: yaml.Node | None, location: Iterable[str | int]) -> tuple[int, int]:
    """Line and column (from 1) of the deepest node on the way that exists in the file."""
    if node is None:
        return 1, 1
    mark = node.start_mark
    for step in location:
        child = None
        if isinstance(node, yaml.MappingNode):
            for key_node, value_node in node.value:
                if key_node.value == step:
                    mark, child = key_node.start_mark, value_node
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            child = node.value[step]
            mark = child.start_mark
        if child is None:
            break
        node = child
    return mark.line + 1, mark.column + 1


class Contracts:
    """All contracts, by dataset name."""

    def __init__(self, contracts: Iterable[Contract]) -> None:
        self._by_dataset: dict[str, Contract] = {}
        for contract in contracts:
            other = self._by_dataset.setdefault(contract.dataset, contract)
            if other is not contract:
                raise InputError(
                    f"contracts/{contract.path}:1:1: dataset {contract.dataset!r} is already described by contracts/{other.path}",
                    hint="rename one of the two datasets",
                )

    def __iter__(self) -> Any:
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


def load_contracts(root: Path) -> Contracts:
    """Reads every contract below ``root``.

    Raises:
        InputError: for the first file that is wrong, for two datasets of one name, for none at all.
    """
    files = sorted(root.rglob(f"*{SUFFIX}"))
    if not files:
        raise InputError(f"no contract (*{SUFFIX}) found in {root}", hint="write one, see docs/contracts.md")
    return Contracts(load_contract(f, root) for f in files)


@lru_cache(maxsize=1)
def get_contracts() -> Contracts:
    """The project's contracts, read once a process."""
    return load_contracts(get_settings().contracts_dir)
