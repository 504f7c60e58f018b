"""Contracts → the catalog: a page that lists every dataset with its columns, policies, owner and rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta

from data_platform.contracts.compile import heading
from data_platform.contracts.compile.checks import checks, describe
from data_platform.contracts.compile.spark import row_rules
from data_platform.contracts.model import Column, Contract
from data_platform.contracts.odcs import LAYERS


def catalog_page(contracts: Iterable[Contract]) -> str:
    """The page, in Markdown: sources, marts, features, each by name."""
    ordered = sorted(contracts, key=lambda contract: (LAYERS.index(contract.layer), contract.dataset))
    lines = [f"<!-- {heading('')} -->", "# Catalog", "", "| table | what it is for | owner |", "|---|---|---|"]
    lines += [f"| [{c.table}](#{c.table.replace('.', '')}) | {_cell(c.purpose)} | {c.owner} |" for c in ordered]
    for contract in ordered:
        lines += ["", *_section(contract)]
    return "\n".join(lines) + "\n"


def _section(contract: Contract) -> Iterator[str]:
    yield f"## {contract.table}"
    yield ""
    yield f"{contract.purpose} {contract.usage}".strip()
    yield ""
    yield from (f"- {name}: {value}" for name, value in _facts(contract) if value)
    yield ""
    yield "| column | type | required | policy | description |"
    yield "|---|---|---|---|---|"
    yield from (_row(column) for column in contract.columns)
    yield ""
    yield "Rules:"
    yield ""
    for rule in dict.fromkeys((r.column, r.rule, r.severity) for r in row_rules(contract) if contract.source):
        yield f"- row, {rule[2]}: `{rule[0]}` {rule[1]} (else the row goes to quarantine)"
    for check in checks(contract):
        yield f"- table, {check.severity}, `{check.rule_id}`: {describe(check)} ({check.reason})"


def _facts(contract: Contract) -> Iterator[tuple[str, str]]:
    yield "grain", contract.grain
    yield "key", ", ".join(contract.key)
    yield "day", "" if contract.is_reference else contract.day_column
    yield "kind", contract.kind
    yield "version", f"{contract.version} ({contract.status})"
    yield "owner", f"{contract.owner} (team {contract.team})"
    yield "known after", _duration(contract.arrival_delay)
    yield "freshness", _duration(contract.freshness)
    yield "kept for", _duration(contract.retention)
    yield "limitations", contract.limitations


def _duration(length: timedelta | None) -> str:
    if not length:
        return ""
    days, hours = length.days, length.seconds // 3600
    return f"{days} days" if days else f"{hours} hours" if hours else f"{length.seconds // 60} minutes"


def _row(column: Column) -> str:
    required = "yes" if column.required else ""
    published = column.published
    policy = ""
    if column.privacy is not None:
        detail = column.privacy.purpose or (published.name if published else "")
        policy = f"{column.privacy.policy}: {detail}" if detail else column.privacy.policy
    cells = (f"`{column.name}`", column.physical_type, required, policy, column.description)
    return "| " + " | ".join(map(_cell, cells)) + " |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
