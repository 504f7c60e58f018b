"""Row overrides in a reading: corrected texts of rows that broke a rule are read, checked and written with the rest.

A row that passes unaided never meets an override, and a corrected text passes the same rules as any row, or its row
stays in quarantine. Either way the file's account adds up: a row moves from quarantined to live, none comes or goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date

from data_platform import lake
from data_platform.contracts.model import Contract
from data_platform.failures import PermanentFailure
from data_platform.overrides import Override, OverrideResult, digest_of
from spark_jobs.accounts import ACCOUNT_COLUMNS, Account, digest_days
from spark_jobs.corrections import Correction
from spark_jobs.protection import NOTE
from spark_jobs.reading import source_of

Row = tuple[int, int]  # file_id, line


def due_overrides(accounts: Iterable[Account], wanted: Iterable[Override]) -> list[Override]:
    """Those of the overrides whose row was found broken in this reading."""
    broken = {(a.delivery.file_id, row.line): row.raw for a in accounts if not a.failure for row in a.quarantined}
    return [
        o for o in wanted if (raw := broken.get((o.file_id, o.line))) is not None and digest_of(raw) == o.raw_digest
    ]


def corrections_of(overrides: Iterable[Override], accounts: Iterable[Account], ingest_id: int) -> list[Correction]:
    """What to read instead of the broken rows. A corrected row has not arrived before its correction."""
    sources = {a.delivery.file_id: source_of(a.delivery, ingest_id) for a in accounts}
    return [
        Correction(
            replace(sources[o.file_id], arrived_at=max(o.arrived_at, sources[o.file_id].arrived_at)),
            o.line,
            o.corrected,
        )
        for o in overrides
    ]


def settle(
    contract: Contract, accounts: Sequence[Account], overrides: Sequence[Override], files: Sequence[lake.WrittenFile]
) -> None:
    """Enters into the accounts what became of the corrections, from the files that they were written to.

    Raises:
        PermanentFailure: when a correction is neither a live nor a broken row.
    """
    by_file = {a.delivery.file_id: a for a in accounts}
    days: dict[Row, date] = {}
    rules: dict[Row, tuple[str, str | None]] = {}
    for file in files:
        if file.month == lake.ACCOUNT:
            for row in lake.read_columns(contract.dataset, file, ACCOUNT_COLUMNS).to_pylist():
                if row[NOTE] is None:
                    rules[row["file_id"], row["line"]] = (row["rule"], row["rule_column"])
                else:
                    by_file[row["file_id"]].add_note(row[NOTE])
            continue
        rows = lake.read_columns(contract.dataset, file, ("file_id", contract.day_column, "content_hash", "line"))
        for (file_id, _), digest in digest_days(rows).items():
            by_file[file_id].add_day(digest)
        days |= {(row["file_id"], row["line"]): row[contract.day_column] for row in rows.to_pylist()}
    for override in overrides:
        by_file[override.file_id].overridden.append(_result(override, days, rules))
    for account in accounts:
        live = {result.line for result in account.overridden if result.day}
        account.quarantined = [row for row in account.quarantined if row.line not in live]


def _result(
    override: Override, days: Mapping[Row, date], rules: Mapping[Row, tuple[str, str | None]]
) -> OverrideResult:
    row = (override.file_id, override.line)
    if row in days:
        return OverrideResult(override.override_id, override.line, day=days[row])
    if row in rules:
        rule, column = rules[row]
        return OverrideResult(override.override_id, override.line, rule=rule, column=column)
    raise PermanentFailure(
        f"override {override.override_id} was applied, but its row is neither live nor in quarantine",
        hint="this is a fault of the platform; nothing of this attempt counts",
    )
