"""Contract → who may read its published table."""

from __future__ import annotations

from data_platform.contracts.compile.ddl import quote
from data_platform.contracts.model import Contract

READERS = {
    "raw": ("analyst", "developer"),
    "marts": ("analyst", "developer", "training"),
    "features": ("analyst", "developer", "serving", "training"),
}
# Who builds on published data sees of it what its purpose allows: no column that the contract calls personal.
# Models are trained and tested for fairness on all of it.
WITHOUT_PERSONAL = {"analyst", "developer", "serving"}
ROLES = ("analyst", "developer", "serving", "training", "steward")


def grants(contract: Contract) -> str:
    """Statements that give each role exactly what the contract lets it read, whatever it could read before.

    Revoking from a table takes back its columns too. Run all in one transaction, so that no reader finds the
    table shut.
    """
    table, schema = quote(contract.table), contract.schema_name
    plain = _plain_columns(contract)
    statements = [f"revoke all on {table} from {', '.join(ROLES)}"]
    for role in READERS[schema]:
        columns = f" ({plain})" if plain and role in WITHOUT_PERSONAL else ""
        statements.append(f"grant select{columns} on {table} to {role}")
    return "".join(f"{statement};\n" for statement in statements)


def _plain_columns(contract: Contract) -> str:
    """The columns that are not personal, or nothing where all are such and the whole table may be granted."""
    plain = [column.name for column in contract.published_columns if column.classification != "personal"]
    if len(plain) == len(contract.published_columns):
        return ""
    own = ["row_id"] if contract.layer == "sources" else []
    return ", ".join(map(quote, [*own, *plain, "known_at"]))
