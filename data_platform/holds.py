"""Holds: days that a rollback pins at what they were before a publication, until somebody releases them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from data_platform.warehouse.connection import Connection, query

RECORDED_DAYS = "ops.published_days"  # before-images under this name tell what days were published from


@dataclass(frozen=True)
class Hold:
    """A pinned day.

    Args:
        publication_id: the publication that was rolled back.
        fingerprint: of what the day was published from before it; None when it had no row.
        reason: why somebody rolled it back.
    """

    publication_id: int
    fingerprint: str | None
    reason: str


def active_holds(connection: Connection, table: str) -> dict[date, Hold]:
    """Day to its hold. Of a day that several rollbacks hold, the state before the earliest publication counts."""
    rows = query(
        connection,
        "select day, publication_id, fingerprint, reason from ops.active_holds where table_name = %s order by day",
        (table,),
    )
    return {r["day"]: Hold(r["publication_id"], r["fingerprint"], r["reason"]) for r in rows}


def rows_of(fingerprint: str | None) -> int:
    """How many rows a fingerprint speaks of."""
    return int(fingerprint.split(":")[1]) if fingerprint else 0
