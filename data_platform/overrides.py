"""Row overrides: what a broken row should read, decided by a person, bound to the row's raw text.

A binding is the keyed hash of the raw text and an occurrence number among the equal broken rows of the dataset's live
deliveries (of an extract: of those of its day). Equal texts are interchangeable, so it does not matter in which file,
or on which line, the row stands: a renamed or split file changes nothing. An override is looked at where its row breaks
a rule, and nowhere else; without such a row it has lapsed.

Of each delivery the ledger keeps the overrides that it was read with. It is to be read again when others are wanted:
that is derived, like all staleness, so a decision is a changed input and goes the way of any other.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from psycopg2.extras import execute_values

from data_platform.failures import InputError
from data_platform.privacy import decrypt, quarantine_key
from data_platform.warehouse.connection import Connection, execute, query


@dataclass(frozen=True)
class Override:
    """An override to be looked at in a delivery, should the row on ``line`` break a rule.

    ``corrected`` is a Fernet token of the text to read instead; ``arrived_at`` is on the business clock.
    """

    override_id: int
    file_id: int
    line: int
    raw_digest: str
    corrected: bytes
    arrived_at: datetime


@dataclass(frozen=True)
class OverrideResult:
    """What became of an override: a live row of ``day``, or another broken ``rule``."""

    override_id: int
    line: int
    day: date | None = None
    rule: str | None = None
    column: str | None = None


@dataclass(frozen=True)
class Decision:
    """What somebody decided about a broken row.

    ``corrected`` is a Fernet token of the text to read instead, or None when the row is to stay out for good.
    """

    dataset: str
    extract_day: date | None
    raw_digest: str
    occurrence: int
    file_id: int
    line: int
    corrected: bytes | None


def raw_digest(text: str, key: bytes) -> str:
    """The keyed hash that an override binds to, in hex."""
    derived = hmac.digest(key, b"raw text of a row", "sha256")
    return hmac.digest(derived, text.encode(), "sha256").hex()


def digest_of(raw: str | bytes) -> str:
    """The hash of a quarantined row's raw text as it is kept: plain, or a Fernet token.

    Raises:
        InputError: when QUARANTINE_KEY is missing, or not the one it was encrypted with.
    """
    key = quarantine_key()
    return raw_digest(raw if isinstance(raw, str) else decrypt(raw, key), key)


def hash_older_rows(connection: Connection) -> None:
    """Hashes raw texts that were quarantined before there were overrides."""
    rows = query(
        connection, "select quarantine_id, raw_text, raw_encrypted from quarantine.rows where raw_digest is null"
    )
    for row in rows:
        raw = row["raw_text"] if row["raw_text"] is not None else bytes(row["raw_encrypted"])
        statement = "update quarantine.rows set raw_digest = %s where quarantine_id = %s"
        execute(connection, statement, (digest_of(raw), row["quarantine_id"]))


def wanted_overrides(connection: Connection, file_ids: Sequence[int]) -> list[Override]:
    """The overrides to be looked at where these deliveries are read."""
    rows = query(
        connection,
        """select w.override_id, w.file_id, w.line, o.raw_digest, o.corrected, o.arrived_at
           from quarantine.wanted_overrides as w join quarantine.row_overrides as o using (override_id)
           where w.file_id = any(%s) order by w.file_id, w.line""",
        (list(file_ids),),
    )
    return [Override(**{**r, "corrected": bytes(r["corrected"])}) for r in rows]


def record_results(
    connection: Connection, file_id: int, ingest_id: int, results: Sequence[OverrideResult]
) -> list[int]:
    """Keeps what became of overrides in a reading; returns their numbers, in order."""
    with connection.cursor() as cursor:
        execute_values(
            cursor,
            "insert into quarantine.override_results"
            " (file_id, ingest_id, override_id, line, day, rule, column_name) values %s",
            [(file_id, ingest_id, r.override_id, r.line, r.day, r.rule, r.column) for r in results],
        )
    return sorted(r.override_id for r in results)


def refixed_contents(connection: Connection, dataset: str) -> dict[tuple[str, date | None], str]:
    """Contents (sha256, extract day) that are to be read again as their overrides have changed; each with its path."""
    rows = query(
        connection,
        "select sha256, extract_day, path from quarantine.refixed_deliveries where dataset = %s order by path",
        (dataset,),
    )
    return {(r["sha256"], r["extract_day"]): r["path"] for r in rows}


def decide(connection: Connection, decisions: Sequence[Decision], *, reason: str, by: str, at: datetime) -> list[int]:
    """Writes decisions and returns their numbers; an earlier one on the same row no longer counts."""
    with connection.cursor() as cursor:
        rows = execute_values(
            cursor,
            """insert into quarantine.row_overrides
                   (dataset, extract_day, raw_digest, occurrence, corrected, file_id, line,
                    reason, decided_by, arrived_at)
               values %s returning override_id""",
            [
                (d.dataset, d.extract_day, d.raw_digest, d.occurrence, d.corrected, d.file_id, d.line, reason, by, at)
                for d in decisions
            ],
            fetch=True,
        )
    return [row[0] for row in rows]


def revoke(connection: Connection, override_id: int, *, reason: str, by: str, at: datetime) -> None:
    """Takes a decision back; where it was applied, the next run quarantines the row again.

    Raises:
        InputError: when there is no such override, or it does not count any more.
    """
    found = list_overrides(connection, override_id=override_id)
    if not found:
        raise InputError(f"there is no override {override_id}", hint="`dp quarantine overrides` lists them")
    if found[0]["state"] in ("revoked", "replaced"):
        raise InputError(f"override {override_id} is {found[0]['state']} already: {found[0]['why']}")
    execute(
        connection,
        "insert into quarantine.revocations (override_id, reason, decided_by, arrived_at) values (%s, %s, %s, %s)",
        (override_id, reason, by, at),
    )


def list_overrides(
    connection: Connection, *, dataset: str | None = None, override_id: int | None = None
) -> list[dict[str, Any]]:
    """Decisions with their state and why, the newest first; texts are not among it.

    States: ``waiting`` for the next run, ``applied``, ``failing`` (the corrected text breaks a rule too), ``settled``
    (the row stays out), ``lapsed``, ``replaced``, ``revoked``.
    """
    rows = query(
        connection,
        """with live as materialized (
               select dataset, sha256, extract_day from ops.deliveries where state = 'live'
           ),
           broken as materialized (select * from quarantine.broken_rows)
           select
               o.override_id, o.dataset, coalesce(b.path, f.path) as path, coalesce(b.line, o.line) as line,
               o.corrected is null as is_settling, b.file_id is not null as is_bound,
               o.override_id = any(present.overrides) as is_read, result.rule, result.column_name,
               revocation.reason as revoked_because, a.override_id is null as is_replaced,
               exists (
                   select from live as d
                   where (d.dataset, d.sha256) = (f.dataset, f.sha256)
                       and d.extract_day is not distinct from f.extract_day
               ) as is_text_live,
               o.reason, o.decided_by, date_trunc('second', o.decided_at) as decided_at
           from quarantine.row_overrides as o
           join ops.files as f using (file_id)
           left join quarantine.revocations as revocation using (override_id)
           left join quarantine.active_overrides as a using (override_id)
           left join broken as b
               on (b.dataset, b.raw_digest, b.occurrence) = (o.dataset, o.raw_digest, o.occurrence)
               and b.extract_day is not distinct from o.extract_day
           left join ops.files as present on present.file_id = b.file_id
           left join quarantine.override_results as result
               on (result.file_id, result.ingest_id, result.override_id)
               = (present.file_id, present.ingest_id, o.override_id)
           where o.dataset = coalesce(%s, o.dataset) and o.override_id = coalesce(%s, o.override_id)
           order by o.override_id desc""",
        (dataset, override_id),
    )
    return [_described(row) for row in rows]


def _described(row: Mapping[str, Any]) -> dict[str, Any]:
    state, why = _state(row)
    shown = ("override_id", "dataset", "path", "line")
    decided = ("reason", "decided_by", "decided_at")
    return {n: row[n] for n in shown} | {"state": state, "why": why} | {n: row[n] for n in decided}


def _state(row: Mapping[str, Any]) -> tuple[str, str]:
    if row["revoked_because"] is not None:
        return "revoked", row["revoked_because"]
    if row["is_replaced"]:
        return "replaced", "a later decision on the same row counts"
    if not row["is_bound"]:
        return "lapsed", "the row passes unaided" if row["is_text_live"] else "no live delivery has that text any more"
    if row["is_settling"]:
        return "settled", "the row stays out"
    if not row["is_read"]:
        return "waiting", "the next run reads it"
    return ("failing", in_words(row["rule"], row["column_name"])) if row["rule"] else ("applied", "")


def in_words(rule: str, column: str | None) -> str:
    """A broken rule as messages name it."""
    return f"rule {rule}" + (f" of {column}" if column else "")


def count_by_state(connection: Connection, dataset: str) -> dict[str, int]:
    """How many of a dataset's overrides need somebody's look: those that fail, and those that lapsed."""
    states = [row["state"] for row in list_overrides(connection, dataset=dataset)]
    return {state: states.count(state) for state in ("failing", "lapsed") if state in states}
