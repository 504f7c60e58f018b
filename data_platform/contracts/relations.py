"""Rules between contracts: subjects are the same people, and a foreign key points to what its gate can ask."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from data_platform.contracts.consistency import DATASET, OURS
from data_platform.contracts.model import Column, Contract
from data_platform.contracts.parts import Misplaced, Relationship


def broken_between(contracts: Iterable[Contract]) -> Iterator[tuple[Contract, Misplaced]]:
    """What is wrong between contracts, each with the contract that is to be mended."""
    by_dataset = {contract.dataset: contract for contract in contracts}
    yield from _of_subjects([contract for contract in by_dataset.values() if contract.subject])
    for contract in by_dataset.values():
        for problem in _of_relationships(contract, by_dataset):
            yield contract, problem


def chain_length(contract: Contract, contracts: Mapping[str, Contract], seen: frozenset[str] = frozenset()) -> int:
    """How many foreign keys in a row, at most, lead on from a dataset; a circle is gone round once."""
    seen |= {contract.dataset}
    onward = [contracts[dataset] for dataset in contract.refers_to - seen]
    return 1 + max((chain_length(each, contracts, seen) for each in onward), default=-1)


def reached(contract: Contract, contracts: Mapping[str, Contract]) -> frozenset[str]:
    """The datasets that foreign keys lead to from a dataset, one after the other; in a circle its own is among them."""
    found: frozenset[str] = frozenset()
    while more := contract.refers_to.union(*(contracts[dataset].refers_to for dataset in found)) - found:
        found |= more
    return found


def _of_subjects(named: list[Contract]) -> Iterator[tuple[Contract, Misplaced]]:
    first: dict[str, Contract] = {}
    for contract in named:
        assert contract.subject
        other = first.setdefault(contract.subject, contract)
        (_, its_type), (at, own_type) = _subject_type(other), _subject_type(contract)
        if own_type != its_type:
            message = (
                f"subject {contract.subject!r} is {own_type}, in {other.dataset} it is {its_type}: nobody is in both"
            )
            yield contract, Misplaced(message, *DATASET, "properties", at, "physicalType")
    known = {contract.subject for contract in named if contract.identifying_columns}
    for contract in named:
        if contract.redacted_columns and contract.subject not in known:
            message = (
                f"texts are redacted by what is known of {contract.subject!r}, but no dataset of this subject has a"
                " column with `vault`; name one, or take the subject away to redact by patterns alone"
            )
            yield contract, Misplaced(message, OURS, "subject")


def _subject_type(contract: Contract) -> tuple[int, str]:
    return next((at, c.physical_type) for at, c in enumerate(contract.columns) if c.name == contract.subject)


def _of_relationships(contract: Contract, contracts: Mapping[str, Contract]) -> Iterator[Misplaced]:
    for position, column in enumerate(contract.columns):
        for number, relationship in enumerate(column.relationships):
            if problem := _problem(contract, column, relationship, contracts):
                yield Misplaced(problem, *DATASET, "properties", position, "relationships", number, "to")


def _problem(contract: Contract, column: Column, relationship: Relationship, contracts: Mapping[str, Contract]) -> str:
    target = contracts.get(relationship.dataset)
    if target is None:
        return f"no contract describes {relationship.dataset!r}"
    if contract.layer == "sources" and target.layer != "sources":
        return f"{target.table} is built after sources are judged: a source points to a source"
    found = next((each for each in target.columns if each.name == relationship.column), None)
    if found is None:
        return f"{relationship.column!r} is not a column of {target.dataset}"
    if found.privacy:
        return f"{relationship.to} is personal: its values are not compared with others"
    if not (found.primary_key or found.unique):
        return f"{relationship.to} is neither (a part of) the primaryKey nor unique: it tells no rows apart"
    if found.physical_type != column.physical_type:
        return f"{relationship.to} is {found.physical_type}, and {column.name!r} is {column.physical_type}"
    return ""
