"""What became of each delivery, counted from the files that an attempt has written."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data_platform import lake
from data_platform.contracts.model import Contract
from data_platform.drift import DriftedColumn, add_value
from data_platform.failures import PermanentFailure
from data_platform.ledger import DayDigest, Delivery, QuarantinedRow
from data_platform.overrides import OverrideResult, in_words
from data_platform.vault_records import Findings, Record
from spark_jobs.object_shapes import innermost
from spark_jobs.protection import NOTE, read_note

# Columns of the account's rows: broken rows with their rule, the last row (line 0) of each file, and notes.
ACCOUNT_COLUMNS = ("file_id", "line", "records", "failure", "missing_columns", "rule", "rule_column", "raw", NOTE)
HIGH_DIGITS, LOW_DIGITS = 8, 7
HASH_HEX = 32


@dataclass
class Account:
    """A delivery's rows: ``records`` were counted by the reader, the others are what is in the lake.

    ``failure`` is why the whole delivery does not count; ``overridden`` what became of row overrides; ``unknown`` are
    the columns that the contract does not name, by their names, of the live rows; ``missing`` those that are not there;
    ``sealed`` are records that the vault may not have yet.
    """

    delivery: Delivery
    records: int | None = None
    failure: str | None = None
    quarantined: list[QuarantinedRow] = field(default_factory=list)
    days: dict[date, DayDigest] = field(default_factory=dict)
    overridden: list[OverrideResult] = field(default_factory=list)
    unknown: dict[str, DriftedColumn] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    findings: Findings = field(default_factory=Findings)
    sealed: list[Record] = field(default_factory=list)

    @property
    def live(self) -> int:
        return sum(d.rows for d in self.days.values())

    def add_note(self, text: str) -> None:
        """Adds what a worker noted."""
        note = read_note(text)
        self.sealed += note.new
        self.findings.records |= note.records
        for subject, known in note.subjects.items():
            self.findings.add_subject(subject, known)

    def add_day(self, more: DayDigest) -> None:
        """Adds rows of a day."""
        before = self.days.get(more.day, DayDigest(more.day, 0, Decimal(0)))
        self.days[more.day] = DayDigest(more.day, before.rows + more.rows, before.digest + more.digest)


def take_accounts(
    contract: Contract, deliveries: Sequence[Delivery], files: Iterable[lake.WrittenFile]
) -> list[Account]:
    """Accounts of the deliveries of an attempt.

    Raises:
        PermanentFailure: when a delivery's records are not its rows, live and quarantined.
    """
    accounts = {d.file_id: Account(d) for d in deliveries}
    kept = [c.name for c in contract.published_columns if c.name == contract.unknown_fields]
    for file in files:
        if file.month == lake.ACCOUNT:
            columns = (*ACCOUNT_COLUMNS, *contract.entity_key)
            _add_account_rows(accounts, lake.read_columns(contract.dataset, file, columns), contract)
        else:
            rows = lake.read_columns(contract.dataset, file, ("file_id", contract.day_column, "content_hash", *kept))
            for (file_id, _), digest in digest_days(rows).items():
                accounts[file_id].add_day(digest)
            for name in kept:
                _count_unknown(accounts, rows.select(["file_id", name]))
    for account in accounts.values():
        account.quarantined.sort(key=lambda row: row.line)
        if account.failure is None:
            account.failure = _judge(account, contract)
    return list(accounts.values())


def _add_account_rows(accounts: dict[int, Account], rows: pa.Table, contract: Contract) -> None:
    for row in rows.to_pylist():
        account = accounts[row["file_id"]]
        if row[NOTE] is not None:
            account.add_note(row[NOTE])
        elif row["line"]:
            raw = row["raw"].encode() if contract.is_personal else row["raw"]
            key = {name: str(row[name]) for name in contract.entity_key if row[name] is not None}
            complete = key if key and len(key) == len(contract.entity_key) else None
            account.quarantined.append(QuarantinedRow(row["line"], row["rule"], row["rule_column"], raw, complete))
        else:
            account.records, account.failure = row["records"], row["failure"]
            account.missing = tuple(row["missing_columns"].split(",")) if row["missing_columns"] else ()


def _count_unknown(accounts: dict[int, Account], rows: pa.Table) -> None:
    for file_id, text in zip(*rows.to_pydict().values(), strict=True):
        if text is not None:
            with suppress(RecursionError):  # of what is nested to the limit the ways are not told
                found = json.loads(text, parse_float=Decimal)
                for way, value in innermost(found):
                    add_value(accounts[file_id].unknown, way, value)


def digest_days(rows: pa.Table) -> dict[tuple[int, date], DayDigest]:
    """(file, day) to rows and digest, of a table of file, day and content hash.

    The digest is the sum of the first 60 bits of the hashes, summed in two parts, which fit 64 bits for 2^31 rows.
    """
    high, low = hash_bits(rows.column(2))
    parts = pa.table([rows.column(0), rows.column(1), pa.array(high), pa.array(low)], ["file", "day", "high", "low"])
    sums = parts.group_by(["file", "day"]).aggregate([("high", "sum"), ("low", "sum"), ("low", "count")])
    return {
        (row["file"], row["day"]): DayDigest(
            row["day"], row["low_count"], Decimal((row["high_sum"] << 4 * LOW_DIGITS) + row["low_sum"])
        )
        for row in sums.to_pylist()
    }


def hash_bits(hashes: pa.ChunkedArray) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The first 32 and the next 28 bits of hashes in lower-case hex."""
    text = np.frombuffer("".join(hashes.to_pylist()).encode(), dtype=np.uint8)
    digits = text.reshape(len(hashes), HASH_HEX)[:, : HIGH_DIGITS + LOW_DIGITS]
    values = np.where(digits >= ord("a"), digits - ord("a") + 10, digits - ord("0")).astype(np.uint64)
    weights = [np.uint64(16) ** np.arange(width - 1, -1, -1, dtype=np.uint64) for width in (HIGH_DIGITS, LOW_DIGITS)]
    return values[:, :HIGH_DIGITS] @ weights[0], values[:, HIGH_DIGITS:] @ weights[1]


def _judge(account: Account, contract: Contract) -> str | None:
    """Why a delivery that could be read does not count all the same."""
    path, records, broken = account.delivery.path, account.records, len(account.quarantined)
    if records is None or records != account.live + broken:
        raise PermanentFailure(
            f"{path}: {records} records were read, but {account.live} rows are live and {broken} quarantined",
            hint="this is a fault of the platform; nothing of this attempt counts",
        )
    if records and broken / records > contract.tolerated_broken_share:
        return (
            f"{path}: {broken} of {records} rows are broken, more than the {contract.tolerated_broken_share:.1%}"
            f" that the contract tolerates; the first: line {account.quarantined[0].line},"
            f" {in_words(account.quarantined[0].rule, account.quarantined[0].column)}"
        )
    return None
