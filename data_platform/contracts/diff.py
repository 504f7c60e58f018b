"""What changed between two contracts of a dataset, and what of it breaks those who read or fill the table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from data_platform.contracts.compile.checks import checks, describe
from data_platform.contracts.model import Column, Contract
from data_platform.contracts.types import is_widening


@dataclass(frozen=True)
class Change:
    """One difference. ``where`` is the dataset or ``dataset.column``; ``message`` reads as a sentence."""

    kind: str
    breaking: bool
    where: str
    message: str


def diff(old: Contract, new: Contract) -> list[Change]:
    """All changes from ``old`` to ``new``, those of the whole first; empty exactly when the two are equal."""
    changes = [*_of_dataset(old, new), *_of_columns(old, new), *_of_rules(old, new)]
    if not changes and old != new:
        changes.append(Change("text changed", False, new.dataset, "descriptions or other texts are written anew"))
    return changes


def diff_all(old: Mapping[str, Contract], new: Mapping[str, Contract]) -> list[Change]:
    """All changes of two sets of contracts, by dataset."""
    changes: list[Change] = []
    for dataset in sorted(old.keys() | new.keys()):
        if dataset not in new:
            changes.append(Change("dataset removed", True, dataset, f"no contract describes {dataset!r} any more"))
        elif dataset not in old:
            changes.append(Change("dataset added", False, dataset, f"{new[dataset].table} is new"))
        else:
            changes += diff(old[dataset], new[dataset])
    return changes


def _of_dataset(old: Contract, new: Contract) -> Iterator[Change]:
    aspects: list[tuple[str, bool, Callable[[Contract], Any]]] = [
        ("key changed", True, _declared_key),
        ("grain changed", True, lambda contract: contract.grain),
        ("kind changed", True, lambda contract: contract.kind),
        ("day changed", True, lambda contract: contract.day_column),
        ("unit key changed", True, lambda contract: contract.unit_key),
        ("table changed", True, lambda contract: contract.table),
        ("dialect changed", False, lambda contract: contract.dialect.model_dump(exclude_defaults=True)),
        ("extract changed", False, lambda contract: contract.extract),
        ("schema drift changed", False, lambda contract: contract.drift),
        ("format changed", False, lambda contract: contract.format),
        ("subject changed", False, lambda contract: contract.subject),
        ("location changed", False, lambda contract: contract.location),
        ("owner changed", False, lambda contract: contract.owner),
        ("version changed", False, lambda contract: contract.version),
        ("arrival delay changed", False, lambda contract: contract.arrival_delay),
        ("tolerated broken share changed", False, lambda contract: contract.tolerated_broken_share),
        ("freshness changed", False, lambda contract: contract.freshness),
        ("retention changed", False, lambda contract: contract.retention),
    ]
    for kind, breaking, aspect in aspects:
        before, after = aspect(old), aspect(new)
        if before != after:
            yield Change(kind, breaking, new.dataset, f"{kind.removesuffix(' changed')} was {before}, is {after}")


def _declared_key(contract: Contract) -> tuple[str, ...]:
    return tuple(column.name for column in contract.columns if column.primary_key)


def _of_columns(old: Contract, new: Contract) -> Iterator[Change]:
    before, after = {c.name: c for c in old.columns}, {c.name: c for c in new.columns}
    renamed = _renames(old, new)
    for name, column in before.items():
        where = f"{new.dataset}.{name}"
        if name in renamed:
            yield Change("column renamed", True, where, f"column {name!r} is now called {renamed[name]!r}")
        elif name not in after:
            yield Change("column removed", True, where, f"column {name!r} is gone")
        yield from _of_column(column, after.get(renamed.get(name, name)), where)
    for name, column in after.items():
        if name not in before and name not in renamed.values():
            needed = " and required" if column.required else ""
            message = f"column {name!r} ({column.physical_type}) is new{needed}"
            yield Change("column added", column.required, f"{new.dataset}.{name}", message)


def _renames(old: Contract, new: Contract) -> dict[str, str]:
    """Columns that went while one of the same type came with their description, or in their place."""
    before, after = {c.name for c in old.columns}, {c.name for c in new.columns}
    gone = [(at, c) for at, c in enumerate(old.columns) if c.name not in after]
    come = [(at, c) for at, c in enumerate(new.columns) if c.name not in before]
    found: dict[str, str] = {}
    for same in (_same_description, _same_place):
        for at, column in gone:
            candidates = [c.name for place, c in come if c.name not in found.values() and same(at, column, place, c)]
            if column.name not in found and len(candidates) == 1:
                found[column.name] = candidates[0]
    return found


def _same_description(_at: int, old: Column, _place: int, new: Column) -> bool:
    return old.physical_type == new.physical_type and old.description == new.description


def _same_place(at: int, old: Column, place: int, new: Column) -> bool:
    return old.physical_type == new.physical_type and at == place


def _of_column(old: Column, new: Column | None, where: str) -> Iterator[Change]:
    if new is None:
        return
    name = repr(new.name)
    if old.physical_type != new.physical_type:
        wider = is_widening(old.physical_type, new.physical_type)
        message = f"type of {name} was {old.physical_type}, is {new.physical_type}"
        yield Change("type widened" if wider else "type narrowed", not wider, where, message)
    if new.required and not old.required:
        yield Change("newly required", True, where, f"{name} must have a value now")
    if old.required and not new.required:
        yield Change("no longer required", False, where, f"{name} may be absent now")
    if _policy(old) != _policy(new):
        message = f"personal-data policy of {name} was {_policy(old)}, is {_policy(new)}"
        yield Change("privacy changed", True, where, message)
    if _vault(old) != _vault(new):
        message = f"the vault kept {name} as {_vault(old)}, now as {_vault(new)}"
        yield Change("vault changed", False, where, message)
    if old.physical_name != new.physical_name:
        message = f"{name} was delivered as {old.delivered_name!r}, now as {new.delivered_name!r}"
        yield Change("delivered name changed", False, where, message)
    if old.description != new.description:
        yield Change("description changed", False, where, f"{name} is described anew")


def _policy(column: Column) -> str:
    if column.privacy is None:
        return f"none ({column.classification})"
    detail = column.privacy.generaliser or column.privacy.purpose
    return f"{column.privacy.policy} ({detail})" if detail else column.privacy.policy


def _vault(column: Column) -> str:
    return (column.privacy and column.privacy.vault) or "nothing"


def _of_rules(old: Contract, new: Contract) -> Iterator[Change]:
    before, after = {c.rule_id: c for c in checks(old)}, {c.rule_id: c for c in checks(new)}
    for rule_id in sorted(before.keys() | after.keys()):
        was, now = before.get(rule_id), after.get(rule_id)
        if rule_id.endswith(".required") or was == now:
            continue  # a required column is reported as such
        if was is None and now is not None:
            yield Change("rule added", False, new.dataset, f"rule {rule_id}: {describe(now)} ({now.severity})")
        elif now is None and was is not None:
            yield Change("rule removed", False, new.dataset, f"rule {rule_id}: {describe(was)} ({was.severity})")
        elif was is not None and now is not None:
            message = f"rule {rule_id} was: {describe(was)} ({was.severity}); is: {describe(now)} ({now.severity})"
            yield Change("rule changed", False, new.dataset, message)
