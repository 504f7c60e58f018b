"""Files → lake: each delivery is parsed once, whole; good and quarantined rows apart; then one commit makes it count.

The lake is written first, the ledger last. What a killed attempt leaves in the lake carries an ``ingest_id`` that the
ledger never names, and is invisible.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from data_platform import lake
from data_platform.contracts.compile.spark import identifier
from data_platform.contracts.model import Contract
from data_platform.failures import PermanentFailure
from data_platform.ledger import (
    DayDigest,
    Delivery,
    QuarantinedRow,
    mark_failed,
    mark_live,
    next_ingest_id,
    to_ingest,
)
from data_platform.runs import Run, StepLog
from data_platform.settings import get_settings
from data_platform.staleness import source_contracts
from data_platform.warehouse.connection import execute, open_connection, transaction
from spark_jobs.reading import layout_of, read_sources, source_of
from spark_jobs.session import get_spark
from spark_jobs.transform import transform

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

log = logging.getLogger(__name__)
ROWS_PER_FILE = 500_000
GZIP_RATIO = 6
LOCK_SPACE = 7_410_002


@dataclass
class Account:
    """What one delivery came to."""

    delivery: Delivery
    records: int | None = None
    failure: str | None = None
    quarantined: int = 0
    days: list[DayDigest] = field(default_factory=list)

    @property
    def live(self) -> int:
        return sum(d.rows for d in self.days)


def run_step(run: Run, step_log: StepLog) -> None:
    """Brings every delivery that the lake does not hold yet into it.

    Raises:
        PermanentFailure: when every delivery of the step failed.
    """
    accounts = [
        a for contract in source_contracts(run.datasets) for a in ingest_dataset(contract, run.run_id, step_log)
    ]
    failed = [a for a in accounts if a.failure]
    if failed and len(failed) == len(accounts):
        raise PermanentFailure(
            f"none of {len(failed)} deliveries can be read; the first: {failed[0].failure}",
            hint="correct the files; they are read again as soon as they change",
        )


def ingest_dataset(contract: Contract, run_id: str, step_log: StepLog) -> list[Account]:
    """Ingests a dataset's waiting deliveries, batch by batch, and reports them."""
    layout_of(contract)
    accounts: list[Account] = []
    guard = open_connection(application="dp ingest")
    try:
        # Two runs must not read the same delivery at once; the lock ends with the connection, also of a killed run.
        execute(guard, "select pg_advisory_lock(%s, hashtext(%s))", (LOCK_SPACE, contract.dataset))
        waiting = to_ingest(guard, contract)
        guard.commit()
        for batch in batches(waiting):
            started = time.monotonic()
            done = ingest_batch(contract, batch, run_id)
            accounts += done
            seconds = time.monotonic() - started
            log.info("%s: %d of %d files read, %.1f s", contract.dataset, len(accounts), len(waiting), seconds)
    finally:
        guard.close()
    _report(contract, accounts, step_log)
    return accounts


def batches(deliveries: Sequence[Delivery]) -> Iterator[list[Delivery]]:
    """Deliveries in their order, cut so that the text of a batch stays within ``ingest_batch_mb``."""
    limit = get_settings().ingest_batch_mb * 1_000_000
    batch: list[Delivery] = []
    size = 0
    for delivery in deliveries:
        text = delivery.size_bytes * (GZIP_RATIO if delivery.path.endswith(".gz") else 1)
        if batch and size + text > limit:
            yield batch
            batch, size = [], 0
        batch.append(delivery)
        size += text
    if batch:
        yield batch


def ingest_batch(contract: Contract, deliveries: Sequence[Delivery], run_id: str) -> list[Account]:
    """Reads a batch, writes the lake, then marks each delivery live or failed in one transaction."""
    from pyspark.storagelevel import StorageLevel

    with transaction(application="dp ingest") as connection:
        ingest_id = next_ingest_id(connection)
    strings = read_sources(get_spark(), [source_of(d) for d in deliveries], layout_of(contract))
    rows = transform(strings, contract).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        accounts = count(rows, contract, deliveries)
        failed = [a.delivery.file_id for a in accounts if a.failure]
        good = rows.where(f"file_id NOT IN ({', '.join(map(str, failed))})") if failed else rows
        quarantined = collect_quarantined(good, contract) if any(a.quarantined for a in accounts) else {}
        live = sum(a.live for a in accounts if not a.failure)
        if live:
            write_attempt(good, contract, ingest_id, live)
            committed = lake.commit_attempt(contract, ingest_id, run_id)
            if committed != live:
                raise PermanentFailure(
                    f"{contract.dataset}: {live} rows are live, but {committed} reached the lake",
                    hint="this is a fault of the platform; nothing of this attempt counts",
                )
    finally:
        rows.unpersist()
    with transaction(application="dp ingest") as connection:
        for account in accounts:
            if account.failure:
                mark_failed(connection, contract, account.delivery, account.failure)
                continue
            mark_live(
                connection,
                contract,
                account.delivery,
                ingest_id=ingest_id,
                rows_read=account.records or 0,
                days=account.days,
                quarantined=quarantined.get(account.delivery.file_id, []),
            )
    return accounts


def count(rows: DataFrame, contract: Contract, deliveries: Sequence[Delivery]) -> list[Account]:
    """Accounts of the deliveries; those that are unreadable, or too broken, have a failure.

    Raises:
        PermanentFailure: when the records counted at their borders are not the rows that came out.
    """
    from pyspark.sql.functions import expr

    is_live, is_broken = "line > 0 AND rule IS NULL", "line > 0 AND rule IS NOT NULL"
    # 60 bits in two parts, 32 and 28: their sums fit a BIGINT for 2^31 rows, and sums of DECIMAL are slow.
    high, low = (
        f"CAST(conv(substring(content_hash, {at}, {width}), 16, 10) AS BIGINT)" for at, width in ((1, 8), (9, 7))
    )

    found = (
        rows.groupBy("file_id", contract.day_column)
        .agg(
            expr(f"count_if({is_live})").alias("live"),
            expr(f"count_if({is_broken})").alias("quarantined"),
            expr("max(records)").alias("records"),
            expr("max(failure)").alias("failure"),
            expr(f"sum({high})").alias("high"),
            expr(f"sum({low})").alias("low"),
        )
        .collect()
    )
    accounts = {d.file_id: Account(d) for d in deliveries}
    for row in found:
        _add(accounts[row["file_id"]], row, contract)
    for account in accounts.values():
        _judge(account, contract)
    return list(accounts.values())


def _add(account: Account, row: Any, contract: Contract) -> None:
    account.quarantined += row["quarantined"]
    account.records = row["records"] if row["records"] is not None else account.records
    account.failure = row["failure"] or account.failure
    if row["live"]:
        digest = Decimal(row["high"]) * (1 << 28) + Decimal(row["low"])
        account.days.append(DayDigest(row[contract.day_column], row["live"], digest))


def _judge(account: Account, contract: Contract) -> None:
    if account.failure:
        return
    path, records = account.delivery.path, account.records
    if records != account.live + account.quarantined:
        raise PermanentFailure(
            f"{path}: {records} records were read, but {account.live} rows are live and {account.quarantined} quarantined",
            hint="this is a fault of the platform; nothing of this attempt counts",
        )
    tolerated = contract.tolerated_broken_share
    if records and account.quarantined / records > tolerated:
        account.failure = f"{path}: {account.quarantined} of {records} rows are broken, more than the {tolerated:.1%} that the contract tolerates"


def collect_quarantined(rows: DataFrame, contract: Contract) -> dict[int, list[QuarantinedRow]]:
    """Quarantined rows by file, in the order of the file."""
    found: dict[int, list[QuarantinedRow]] = {}
    columns = rows.where("rule IS NOT NULL").select("file_id", "line", "rule", "rule_column", "raw")
    for row in sorted(columns.collect()):
        raw = row["raw"].encode() if contract.is_personal else row["raw"]
        found.setdefault(row["file_id"], []).append(QuarantinedRow(row["line"], row["rule"], row["rule_column"], raw))
    return found


def write_attempt(rows: DataFrame, contract: Contract, ingest_id: int, live: int) -> None:
    """Writes the live rows as Parquet into the attempt's folder, by month, sorted by day."""
    names = [identifier(f.name) for f in lake.arrow_schema(contract)]
    values = [f"CAST({ingest_id} AS BIGINT) AS ingest_id" if n == "`ingest_id`" else n for n in names]
    month = f"date_format({identifier(contract.day_column)}, 'yyyy-MM') AS {lake.MONTH}"
    chosen = rows.where("line > 0 AND rule IS NULL").selectExpr(*values, month)
    files = 1 + live // ROWS_PER_FILE
    # A single file needs no shuffle; several are cut by day, so that a reader of some days skips the others.
    parted = chosen.coalesce(1) if files == 1 else chosen.repartitionByRange(files, contract.day_column)
    (
        parted.sortWithinPartitions(lake.MONTH, contract.day_column, "file_id", "line")
        .write.partitionBy(lake.MONTH)
        .mode("overwrite")
        .parquet(f"{lake.table_url(contract.dataset)}/{lake.attempt_folder(ingest_id)}")
    )


def _report(contract: Contract, accounts: Sequence[Account], step_log: StepLog) -> None:
    """One line for the dataset, and one for each file that failed."""
    good, failed = [a for a in accounts if not a.failure], [a for a in accounts if a.failure]
    step_log.add(
        contract.dataset,
        rows_read=sum(a.records or 0 for a in good),
        rows_live=sum(a.live for a in good),
        rows_quarantined=sum(a.quarantined for a in good),
        verdict="warned" if failed else "passed",
        message=f"{len(good)} files" + (f", {len(failed)} failed" if failed else ""),
    )
    for account in failed:
        step_log.add(account.delivery.path, verdict="failed", message=account.failure or "")
