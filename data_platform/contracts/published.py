"""The contracts that the published tables were made under, as the last publications recorded them."""

from __future__ import annotations

from data_platform.contracts.model import Contract
from data_platform.warehouse.connection import Connection, query


def published_contracts(connection: Connection) -> dict[str, Contract]:
    """Dataset → the contract of its last publication; datasets never published are absent."""
    rows = query(connection, "select dataset, document from ops.contracts order by dataset")
    return {row["dataset"]: Contract.model_validate(row["document"]) for row in rows}
