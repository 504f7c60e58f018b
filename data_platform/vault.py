"""The vault: personal values that contracts want kept, for the steward and for the redaction of free text.

It is a function of the ledger: a record counts while a live delivery holds it. Of a delivery of redacted text the
ledger keeps whom it speaks of, and the sum of the records that it was redacted by; it is to be read again when another
sum counts now. So a late, corrected or withdrawn profile makes its subject's texts stale, and no others.
"""

from __future__ import annotations

import getpass
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from psycopg2.extras import execute_values

from data_platform.failures import InputError
from data_platform.privacy import TOKEN, decrypt, token_key, vault_key
from data_platform.privacy import token as token_of
from data_platform.vault_records import Findings, Record, open_record
from data_platform.warehouse.connection import Connection, execute, query


@dataclass(frozen=True)
class StoredRecord:
    """A record that counts, with when the first delivery came that holds it."""

    record: int
    subject: int
    sealed: bytes = field(repr=False)
    arrived_at: datetime


def refuse_other_key(connection: Connection) -> None:
    """Stops before texts are redacted by a vault that cannot be read, as by an empty one.

    Raises:
        InputError: when VAULT_KEY is missing, or not the one that records were sealed with.
    """
    key = vault_key()
    for row in query(connection, "select sealed from vault.records limit 1"):
        decrypt(bytes(row["sealed"]), key, name="VAULT_KEY")


def add_records(connection: Connection, records: Collection[Record]) -> None:
    """Keeps records. They count once a live delivery holds them.

    Those that are there already stay as they are, but for tokens: a contract may publish others than before. Several
    workers may have sealed the same one; each is given to the database once.
    """
    once = {record.number: record for record in records}
    with connection.cursor() as cursor:
        execute_values(
            cursor,
            "insert into vault.records (record, dataset, subject, identifies, tokens, sealed) values %s"
            " on conflict (record) do update set tokens = excluded.tokens"
            " where records.tokens is distinct from excluded.tokens",
            [(r.number, r.dataset, r.subject, r.identifies, list(r.tokens), r.sealed.encode()) for r in once.values()],
        )


def present_state(connection: Connection) -> str:
    """Names what people are known by now."""
    (row,) = query(connection, "select state from vault.present_state")
    return str(row["state"])


def record_findings(
    connection: Connection, file_id: int, ingest_id: int, found: Findings, vault_state: str | None = None
) -> None:
    """Makes a reading's findings those of the delivery, in the transaction that makes the reading count.

    Args:
        vault_state: the state in which all its texts were redacted, where that is known.
    """
    execute(
        connection,
        """with redaction as (delete from ops.redactions where file_id = %(file)s),
               subject as (delete from ops.file_subjects where file_id = %(file)s)
           delete from vault.held_records where file_id = %(file)s""",
        {"file": file_id},
    )
    if found.records:
        execute(
            connection,
            """insert into vault.held_records (file_id, ingest_id, identifies, records)
               select %s, %s, exists (select from vault.records as r where r.record = any(held) and r.identifies), held
               from (select %s::bigint[] as held) as given""",
            (file_id, ingest_id, sorted(found.records)),
        )
    if found.subjects:
        execute(connection, "insert into ops.redactions values (%s, %s)", (file_id, vault_state))
        with connection.cursor() as cursor:
            execute_values(
                cursor,
                "insert into ops.file_subjects (file_id, subject, known) values %s",
                [(file_id, subject, known) for subject, known in sorted(found.subjects.items())],
            )


def known_records(connection: Connection, subjects: Collection[int]) -> dict[int, list[StoredRecord]]:
    """Subject to the records that he is known by and that count; those of whom there are none are left out."""
    rows = query(
        connection,
        """with wanted as materialized (
               select record, subject, sealed from vault.records where subject = any(%s) and identifies
           ),
           live as materialized (select file_id, arrived_at from ops.deliveries where state = 'live')
           select w.record, w.subject, w.sealed, min(l.arrived_at) as arrived_at
           from wanted as w
           cross join lateral vault.holders(w.record) as h (file_id)
           join live as l using (file_id)
           group by w.record, w.subject, w.sealed order by w.record""",
        (list(subjects),),
    )
    found: dict[int, list[StoredRecord]] = {}
    for row in rows:
        found.setdefault(row["subject"], []).append(StoredRecord(**{**row, "sealed": bytes(row["sealed"])}))
    return found


def outdated_deliveries(connection: Connection, dataset: str, *, unreadable: str | None = None) -> list[dict[str, Any]]:
    """Live deliveries (file_id, path, sha256, extract_day) that were redacted by other records than count now.

    Args:
        unreadable: leave out those that failed when a contract of this version read them: they would fail again.
    """
    unsure = _unsure_deliveries(connection, dataset)
    if not unsure:
        return []
    return query(
        connection,
        """with subject_of as (
               select file_id, subject, known from ops.file_subjects where file_id = any(%(files)s)
           ),
           live as materialized (select file_id from ops.deliveries where state = 'live'),
           present as (
               select r.subject, sum(r.record) as known
               from vault.records as r
               where
                   r.identifies and r.subject in (select subject from subject_of)
                   and exists (
                       select from vault.holders(r.record) as h (file_id) join live using (file_id)
                   )
               group by r.subject
           )
           select file_id, path, sha256, extract_day from ops.files
           where file_id in (
               select s.file_id from subject_of as s left join present as p using (subject)
               where s.known is distinct from coalesce(p.known, 0)
           ) and (%(unreadable)s::text is null or failed_version is distinct from %(unreadable)s)
           order by path""",
        {"files": unsure, "unreadable": unreadable},
    )


def _unsure_deliveries(connection: Connection, dataset: str) -> list[int]:
    """Live deliveries of redacted texts that were not compared with what people are known by now."""
    rows = query(
        connection,
        """select r.file_id
           from ops.redactions as r join ops.deliveries as d using (file_id) cross join vault.present_state as p
           where d.dataset = %s and d.state = 'live' and r.vault_state is distinct from p.state""",
        (dataset,),
    )
    return [row["file_id"] for row in rows]


def remember_compared(connection: Connection, dataset: str) -> None:
    """Writes down of which deliveries it is known that they are redacted by what counts now.

    Call it first in a transaction: all that it compares must be of one moment.
    """
    execute(connection, "set transaction isolation level repeatable read")
    if unsure := _unsure_deliveries(connection, dataset):
        outdated = {delivery["file_id"] for delivery in outdated_deliveries(connection, dataset)}
        execute(
            connection,
            "update ops.redactions set vault_state = %s where file_id = any(%s)",
            (present_state(connection), [file_id for file_id in unsure if file_id not in outdated]),
        )


def outdated_contents(connection: Connection, dataset: str, unreadable: str) -> dict[tuple[str, date | None], str]:
    """Contents (sha256, extract day) of ``outdated_deliveries``, each with its path."""
    found = outdated_deliveries(connection, dataset, unreadable=unreadable)
    return {(r["sha256"], r["extract_day"]): r["path"] for r in found}


def find_values(connection: Connection, wanted: str) -> list[StoredRecord]:
    """Records that count and hold what a token stands for.

    Raises:
        InputError: when there is none.
    """
    rows = query(
        connection,
        """select r.record, coalesce(r.subject, 0) as subject, r.sealed, min(l.arrived_at) as arrived_at
           from vault.records as r join vault.live_records as l using (record)
           where r.tokens @> array[%s] group by r.record order by 4, 1""",
        (wanted,),
    )
    if not rows:
        raise InputError(
            f"no delivery that counts holds what {wanted!r} stands for",
            hint=f"a token begins with {TOKEN}; columns named …_token hold them",
        )
    return [StoredRecord(**{**row, "sealed": bytes(row["sealed"])}) for row in rows]


def record_access(connection: Connection, wanted: str, records: Sequence[StoredRecord], purpose: str) -> None:
    """Writes down who reads what a token stands for; commit it before anything is shown.

    Raises:
        InputError: when no purpose is given.
    """
    if not purpose.strip():
        raise InputError("the vault is opened for a purpose only", hint="say it with --purpose; that is kept")
    execute(
        connection,
        "insert into ops.vault_accesses (token, records, purpose, accessed_by) values (%s, %s, %s, %s)",
        (wanted, len(records), purpose, getpass.getuser()),
    )


def values_of(wanted: str, records: Sequence[StoredRecord], pseudonyms: bytes) -> list[Mapping[str, str]]:
    """What a token stands for, in each way of writing that was delivered, with its column.

    Raises:
        InputError: when it was sealed under another VAULT_KEY.
    """
    tokens, key = token_key(pseudonyms), vault_key()
    found = {
        (column, text): None
        for record in records
        for column, _, text in open_record(record.sealed, key)
        if token_of(text, tokens) == wanted
    }
    return [{"column": column, "value": text} for column, text in found]
