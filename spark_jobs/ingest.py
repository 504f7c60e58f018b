"""Files → lake: each delivery is parsed once, whole; good and quarantined rows apart; then one commit makes it count.

The lake is written first, the ledger last. What a killed attempt leaves in the lake carries an ``ingest_id`` that the
ledger never names, and is invisible.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from data_platform import lake
from data_platform.contracts.compile.spark import identifier
from data_platform.contracts.inferred import suggested
from data_platform.contracts.model import Contract
from data_platform.drift import MOST_NAMES, DriftedColumn, add_columns, most_frequent, record_drift
from data_platform.failures import PermanentFailure
from data_platform.file_forms import compression_by_name
from data_platform.ledger import Delivery, mark_failed, mark_live, next_ingest_id, to_ingest
from data_platform.overrides import Override, count_by_state, wanted_overrides
from data_platform.runs import Run, StepLog
from data_platform.settings import get_settings
from data_platform.staleness import source_contracts, with_what_they_know
from data_platform.vault import add_records, present_state, refuse_other_key, remember_compared
from data_platform.warehouse.connection import execute, open_connection, query, transaction
from data_platform.words import count_of
from spark_jobs.accounts import ACCOUNT_COLUMNS, Account, take_accounts
from spark_jobs.corrections import read_corrections
from spark_jobs.differences import NOT_SHOWN, printable_name
from spark_jobs.objects import PLAIN
from spark_jobs.overriding import corrections_of, due_overrides, settle
from spark_jobs.reading import layout_of, read_sources, source_of
from spark_jobs.session import get_spark
from spark_jobs.transform import IS_LIVE, transform

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

log = logging.getLogger(__name__)
ROWS_PER_FILE = 2_000_000
COMPRESSION_RATIO = 6
SHOWN_FIELDS = 10
LOCK_SPACE = 7_410_002
# What came is read; then, which of it row overrides speak of is known, and that is read again.
ROUNDS = 2


def run_step(run: Run, step_log: StepLog) -> None:
    """Brings every delivery that the lake does not hold yet into it; one that cannot be read is held back alone.

    Where texts are redacted, what tells of their subjects is read before, whether the run takes it or not.

    Raises:
        PermanentFailure: when none can be read, and nothing that came earlier could: there is nothing to go on with.
    """
    contracts = with_what_they_know(source_contracts(run.datasets))
    accounts = [a for contract in in_order(contracts) for a in ingest_dataset(contract, run.run_id, step_log)]
    failed = [a for a in accounts if a.failure]
    if failed and len(failed) == len(accounts) and not _is_any_live(contracts):
        raise PermanentFailure(
            f"none of {len(failed)} deliveries can be read; the first: {failed[0].failure}",
            hint="correct the files; they are read again as soon as they change",
        )


def in_order(contracts: Sequence[Contract]) -> list[Contract]:
    """Contracts in the order in which to read them: texts are redacted by what others have brought to the vault."""
    return sorted(contracts, key=lambda c: (bool(c.redacted_columns), not c.vaulted_columns))


def _is_any_live(contracts: Sequence[Contract]) -> bool:
    with transaction() as connection:
        live = "select from ops.deliveries where state = 'live' and dataset = any(%s) limit 1"
        return bool(query(connection, live, ([contract.dataset for contract in contracts],)))


def ingest_dataset(contract: Contract, run_id: str, step_log: StepLog) -> list[Account]:
    """Ingests a dataset's waiting deliveries, batch by batch, and reports them."""
    accounts: dict[int, Account] = {}
    guard = open_connection(application=f"dp ingest {run_id}")
    try:
        # Two runs must not read the same delivery at once; the lock ends with the connection, also of a killed run.
        execute(guard, "select pg_advisory_lock(%s, hashtext(%s))", (LOCK_SPACE, contract.dataset))
        for _ in range(ROUNDS):
            waiting = to_ingest(guard, contract)
            guard.commit()
            for batch in batches(waiting):
                started = time.monotonic()
                accounts |= {a.delivery.file_id: a for a in ingest_batch(contract, batch, run_id)}
                seconds = time.monotonic() - started
                log.info("%s: %d of %d files read, %.1f s", contract.dataset, len(batch), len(waiting), seconds)
        if contract.redacted_columns:
            remember_compared(guard, contract.dataset)
            guard.commit()
        overrides = count_by_state(guard, contract.dataset) if accounts else {}
    finally:
        guard.close()
    _report(contract, list(accounts.values()), overrides, step_log)
    return list(accounts.values())


def batches(deliveries: Sequence[Delivery]) -> Iterator[list[Delivery]]:
    """Deliveries in their order, cut so that the text of a batch stays within ``ingest_batch_mb``."""
    limit = get_settings().ingest_batch_mb * 1_000_000
    batch: list[Delivery] = []
    size = 0
    for delivery in deliveries:
        text = delivery.size_bytes * (1 if compression_by_name(delivery.path) == "none" else COMPRESSION_RATIO)
        if batch and size + text > limit:
            yield batch
            batch, size = [], 0
        batch.append(delivery)
        size += text
    if batch:
        yield batch


def ingest_batch(contract: Contract, deliveries: Sequence[Delivery], run_id: str) -> list[Account]:
    """Reads a batch into the lake, then marks each delivery live or failed in one transaction."""
    with transaction(application="dp ingest") as connection:
        if contract.vaulted_columns or contract.redacted_columns:
            refuse_other_key(connection)
        vault_state = present_state(connection) if contract.redacted_columns else None
        ingest_id = next_ingest_id(connection)
        wanted = wanted_overrides(connection, [d.file_id for d in deliveries])
    readable = [d for d in deliveries if not _lacks_day(d, contract)]
    accounts = [Account(d, failure=_no_day(d, contract)) for d in deliveries if _lacks_day(d, contract)]
    files: list[lake.WrittenFile] = []
    if readable:
        strings = read_sources(get_spark(), [source_of(d, ingest_id) for d in readable], layout_of(contract))
        write_attempt(transform(strings, contract), contract, ingest_id)
        files = lake.written_files(contract.dataset, ingest_id)
        accounts += take_accounts(contract, readable, files)
        if due := due_overrides(accounts, wanted):
            files += write_corrections(contract, accounts, due, ingest_id, before=files)
        if any(a.live for a in accounts if not a.failure):
            lake.commit_attempt(contract, files, ingest_id, run_id)
    mark(contract, accounts, wanted, ingest_id, vault_state)
    lake.drop_account(contract.dataset, files)
    return accounts


def _lacks_day(delivery: Delivery, contract: Contract) -> bool:
    return contract.day_from_path and delivery.extract_day is None


def _no_day(delivery: Delivery, contract: Contract) -> str:
    return (
        f"{delivery.path}: no day stands where {contract.location} has it;"
        " name the file by its day, like 1998-06-24, and withdraw this path"
    )


def write_attempt(rows: DataFrame, contract: Contract, ingest_id: int) -> None:
    """Writes all rows in one pass: live ones by month, sorted by day; what tells of the others into ``month=account``.

    The account's columns stand in all files, empty in those of the table, whose schema does not name them: one pass
    over the text costs less than a second one, or than keeping the rows until they are counted. Nothing of this attempt
    stands in an expression as a constant: a warm Spark would have to compile the pass anew.
    """
    names = [identifier(f.name) for f in lake.arrow_schema(contract)]
    account = [identifier(name) for name in ACCOUNT_COLUMNS if identifier(name) not in names]
    day = identifier(contract.day_column)
    month = f"CASE WHEN {IS_LIVE} THEN date_format({day}, 'yyyy-MM') ELSE '{lake.ACCOUNT}' END AS {lake.MONTH}"
    (
        rows.selectExpr(*names, *account, month)
        .sortWithinPartitions(lake.MONTH, contract.day_column, "file_id", "line")
        .write.partitionBy(lake.MONTH)
        .option("maxRecordsPerFile", ROWS_PER_FILE)
        .mode("append")
        .parquet(f"{lake.table_url(contract.dataset)}/{lake.attempt_folder(ingest_id)}")
    )


def write_corrections(
    contract: Contract,
    accounts: Sequence[Account],
    due: Sequence[Override],
    ingest_id: int,
    before: Sequence[lake.WrittenFile],
) -> list[lake.WrittenFile]:
    """Writes corrected rows into the attempt, enters them into the accounts, and returns the files that came."""
    strings = read_corrections(get_spark(), corrections_of(due, accounts, ingest_id), contract)
    write_attempt(transform(strings, contract), contract, ingest_id)
    files = [f for f in lake.written_files(contract.dataset, ingest_id) if f not in before]
    settle(contract, accounts, due, files)
    return files


def mark(
    contract: Contract,
    accounts: Sequence[Account],
    wanted: Sequence[Override],
    ingest_id: int,
    vault_state: str | None = None,
) -> None:
    """Makes the attempt count, in one transaction; failed deliveries are recorded as such.

    Args:
        vault_state: in which the attempt began, where it redacts.
    """
    with transaction(application="dp ingest") as connection:
        add_records(connection, [record for account in accounts for record in account.sealed])
        now = present_state(connection) if vault_state else None
        for account in accounts:
            if account.failure:
                tried = [o.override_id for o in wanted if o.file_id == account.delivery.file_id]
                mark_failed(connection, contract, account.delivery, account.failure, overrides=tried)
                continue
            mark_live(
                connection,
                contract,
                account.delivery,
                ingest_id=ingest_id,
                rows_read=account.records or 0,
                days=list(account.days.values()),
                quarantined=account.quarantined,
                overridden=account.overridden,
                findings=account.findings,
                vault_state=vault_state if vault_state == now else None,
            )
            record_drift(connection, account.delivery.file_id, drifted_columns(account, contract))


def drifted_columns(account: Account, contract: Contract) -> list[tuple[str, DriftedColumn]]:
    """What a delivery has beside its contract's columns, and what it lacks of these.

    Names that are no plain text are left out, and beside personal data all new ones: they may be somebody's.
    """
    new = {name: c for name, c in account.unknown.items() if not contract.is_personal and _can_be_shown(name, contract)}
    missing = {name: DriftedColumn(account.records or 0, change="missing") for name in account.missing}
    return [*most_frequent(new, MOST_NAMES), *missing.items()]


def _report(contract: Contract, accounts: Sequence[Account], overrides: Mapping[str, int], step_log: StepLog) -> None:
    """One line for the dataset, and one for each file that failed."""
    good, failed = [a for a in accounts if not a.failure], [a for a in accounts if a.failure]
    told = [f"{len(good)} files"] + ([f"{len(failed)} failed"] if failed else [])
    told += _drift_in_words(contract, good)
    told += [f"{number} overrides {state} (`dp quarantine overrides`)" for state, number in overrides.items()]
    step_log.add(
        contract.dataset,
        rows_read=sum(a.records or 0 for a in good),
        rows_live=sum(a.live for a in good),
        rows_quarantined=sum(len(a.quarantined) for a in good),
        verdict="warned" if failed or overrides else "passed",
        message=", ".join(told),
    )
    for account in failed:
        step_log.add(account.delivery.path, verdict="failed", message=account.failure or "")


def _can_be_shown(name: str, contract: Contract) -> bool:
    """Whether a new column's name is one: a key of an object may be a value as well."""
    return bool(PLAIN.fullmatch(name)) or (contract.format == "csv" and name == printable_name(name))


def _drift_in_words(contract: Contract, accounts: Sequence[Account]) -> list[str]:
    """What the contract does not name, and what did not come; beside personal data a field's name may be somebody's."""
    unknown: dict[str, DriftedColumn] = {}
    for account in accounts:
        add_columns(unknown, account.unknown)
    named = [
        f"{name if _can_be_shown(name, contract) else NOT_SHOWN}"
        f" ({suggested(column.type or 'empty')}, {count_of(column.rows, 'row')})"
        for name, column in most_frequent(unknown, SHOWN_FIELDS)
    ]
    number = count_of(len(unknown), "unknown field")
    told = [number if contract.is_personal else f"{number}: {', '.join(named)}"] if unknown else []
    lacking = Counter(name for account in accounts for name in account.missing)
    if lacking:
        told.append("missing: " + ", ".join(f"{name} ({count_of(n, 'file')})" for name, n in lacking.items()))
    return told
