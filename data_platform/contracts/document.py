"""A contract as JSON, and the hashes by which a change of it is seen."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from data_platform.contracts.model import Column, Contract, Dialect

# Keys of the dialect that the platform has learnt since: where they say nothing, they change no older contract's hash.
LEARNT = ("escape", "thousands", "skip_lines", "comment", "footer")


def contract_document(contract: Contract) -> dict[str, Any]:
    """The whole contract as JSON values: ``Contract.model_validate(document) == contract``.

    Defaults are left out, so that a key which the platform learns later changes no older contract's hash.
    """
    return contract.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def contract_hash(contract: Contract) -> str:
    """Fingerprint of everything that the contract says."""
    return _hash(contract_document(contract))


def ingest_hash(contract: Contract) -> str:
    """Fingerprint of what decides how a delivery's rows come out of the parser, and of nothing else.

    A new description or a gate's limit leaves it alone, so no file is read again for their sake.
    """
    return _hash(
        {
            "columns": [_parsed(column) for column in contract.columns],
            "dialect": _dialect(contract.dialect),
            "day": [contract.day_column, contract.day_from_path],
        }
        # What the platform has learnt since changes no older contract's hash.
        | ({"format": contract.format, "unknown": contract.unknown_fields} if contract.format != "csv" else {})
        | ({"subject": contract.subject} if contract.vaulted_columns or contract.redacted_columns else {})
        | _drift(contract)
    )


def _drift(contract: Contract) -> dict[str, Any]:
    learnt_first = "freeze" if contract.format == "csv" else "evolve" if contract.unknown_fields else "quarantine"
    return {} if contract.drift == learnt_first else {"drift": [contract.drift, contract.unknown_fields]}


def _dialect(dialect: Dialect) -> dict[str, Any]:
    learnt = {name for name in LEARNT if getattr(dialect, name) == Dialect.model_fields[name].default}
    return dialect.model_dump(mode="json", exclude=learnt)


def _parsed(column: Column) -> dict[str, Any]:
    privacy = column.privacy
    return {
        "name": column.name,
        "delivered": column.delivered_name,
        "type": column.physical_type,
        "required": column.required,
        "options": column.options.model_dump(mode="json"),
        "allowed": [[rule.arguments, rule.severity] for rule in column.quality if rule.tells_single_rows],
        "privacy": [privacy.policy, privacy.generaliser, *filter(None, [privacy.vault])] if privacy else None,
    }


def _hash(document: Any) -> str:
    text = json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
