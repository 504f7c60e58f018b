"""What is stale and why. Staleness is derived from inputs and publications, never marked, so nothing can lose it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from data_platform import models
from data_platform.answers import held_deliveries
from data_platform.contracts.load import get_contracts
from data_platform.contracts.model import Contract
from data_platform.extraction import failed_extracts
from data_platform.holds import Hold, active_holds
from data_platform.intervals import ONE_DAY, Interval
from data_platform.ledger import fingerprints, input_version, to_ingest
from data_platform.overrides import refixed_contents
from data_platform.rejections import Rejection, standing_rejections
from data_platform.runs import Run, update_plan
from data_platform.vault import outdated_contents
from data_platform.warehouse.connection import Connection, execute, query
from data_platform.words import in_words

# Kinds of runs that do not take all that is stale.
ROLLBACK = "rollback"  # only what rollbacks hold
BACKFILL = "backfill"  # only changes of the days asked for
NIGHT = "night"  # what a night has time for
TRIAL = "trial"  # what its plan names, to see whether it passes the gates; publishes nothing

VAULT_CHANGED = "what the vault knows of whom it speaks of has changed"


@dataclass(frozen=True)
class Stale:
    """Something that the next run has to do.

    ``what`` is a path of a delivery, a day, or empty where the whole table is meant.
    """

    table: str
    what: str
    reason: str


def source_contracts(datasets: Iterable[str] = ()) -> list[Contract]:
    """Contracts of the sources: the named ones, or all."""
    wanted = list(datasets)
    contracts = get_contracts()
    return [contracts[d] for d in wanted] if wanted else contracts.of_layer("sources")


def with_what_they_know(contracts: Iterable[Contract]) -> list[Contract]:
    """Contracts, and those by whose rows the vault knows the subjects of their texts."""
    given = list(contracts)
    subjects = {c.subject for c in given if c.subject and c.redacted_columns}
    known_by = [c for c in source_contracts() if c.identifying_columns and c.subject in subjects and c not in given]
    return given + known_by


def model_contracts() -> list[Contract]:
    """Contracts of what dbt builds."""
    contracts = get_contracts()
    return contracts.of_layer("marts") + contracts.of_layer("features")


def wanted_fingerprints(connection: Connection, contract: Contract, holds: Mapping[date, Hold]) -> dict[date, str]:
    """Day to what it must be published from: its live deliveries, or what a rollback holds it at."""
    live = {d: f for d, f in fingerprints(connection, contract).items() if d not in holds}
    return live | {day: hold.fingerprint for day, hold in holds.items() if hold.fingerprint}


def stale_days(connection: Connection, contract: Contract) -> dict[date, str]:
    """Day to reason, for the days that were published from something else than they must be now, and can be."""
    rejected = rejected_days(connection, contract)
    return {day: reason for day, reason in differing_days(connection, contract).items() if day not in rejected}


def rejected_days(connection: Connection, contract: Contract) -> dict[date, Rejection]:
    """Days of input changes that a gate has rejected as they are; what a rollback holds it does not concern."""
    rejected = standing_rejections(connection, contract)
    holds = active_holds(connection, contract.table) if rejected else {}
    return {day: rejection for day, rejection in rejected.items() if day not in holds}


def differing_days(connection: Connection, contract: Contract) -> dict[date, str]:
    """As ``stale_days``, with those that a gate has rejected."""
    holds = active_holds(connection, contract.table)
    wanted = wanted_fingerprints(connection, contract, holds)
    published = _published_fingerprints(connection, contract)
    outdated = outdated_days(connection, contract)
    version = input_version(contract)
    reasons: dict[date, str] = {}
    for day in sorted(wanted.keys() | published.keys()):
        if wanted.get(day) == published.get(day) or (day in outdated and day not in holds):
            continue
        if day in holds:
            reasons[day] = f"publication {holds[day].publication_id} was rolled back"
        elif day not in published:
            reasons[day] = "delivery new"
        elif day not in wanted:
            reasons[day] = "delivery withdrawn"
        elif not published[day].startswith(f"{version}:"):
            reasons[day] = "contract changed"
        else:
            reasons[day] = "delivery changed"
    return reasons


def _published_fingerprints(connection: Connection, contract: Contract) -> dict[date, str]:
    rows = query(connection, "select day, fingerprint from ops.published_days where table_name = %s", (contract.table,))
    return {r["day"]: r["fingerprint"] for r in rows}


def held_days(connection: Connection, contract: Contract) -> dict[date, str]:
    """Day to reason, for the days whose live deliveries wait until a rollback is released, or a file is mended."""
    live = fingerprints(connection, contract)
    published = _published_fingerprints(connection, contract)
    outdated = {
        day: f"held back: the present contract cannot read {path}; correct it, land it again, or withdraw it"
        for day, path in outdated_days(connection, contract).items()
        if live[day] != published.get(day)
    }
    rejected = {day: f"held back: {rejection}" for day, rejection in rejected_days(connection, contract).items()}
    rolled_back = {
        day: f"held back: publication {hold.publication_id} is rolled back: {hold.reason}"
        for day, hold in active_holds(connection, contract.table).items()
        if live.get(day) != hold.fingerprint
    }
    return rejected | outdated | rolled_back


def outdated_days(connection: Connection, contract: Contract) -> dict[date, str]:
    """Day to a delivery of it that counts as an earlier contract read it: to the present one its file is not readable.

    Whatever else comes for such a day waits with it: rows of two contracts would stand side by side.
    """
    rows = query(
        connection,
        """select day, path, sha256, extract_day from ops.deliveries join ops.file_days using (file_id)
           where dataset = %s and state = 'live' and input_version <> %s order by file_id desc""",
        (contract.dataset, input_version(contract)),
    )
    waiting = {(d.sha256, d.extract_day) for d in to_ingest(connection, contract)} if rows else set()
    return {r["day"]: r["path"] for r in rows if (r["sha256"], r["extract_day"]) not in waiting}


def published_tables(connection: Connection) -> dict[str, dict[str, Any]]:
    """Table to what its last publication recorded: code_hash, through_day, rows."""
    rows = query(connection, "select table_name, code_hash, through_day, rows from ops.published_tables")
    return {r["table_name"]: r for r in rows}


def through_days(connection: Connection) -> dict[str, date]:
    """Table to the last day that its last publication spoke of."""
    return {table: row["through_day"] for table, row in published_tables(connection).items()}


def published_through(connection: Connection) -> date | None:
    """The last day that anything published speaks of, or None before the first publication."""
    return max(through_days(connection).values(), default=None)


def named_days(run: Run, part: str, dataset: str) -> set[date]:
    """Days of a dataset in a part of a run's plan."""
    return {date.fromisoformat(day) for day in run.plan.get(part, {}).get(dataset, ())}


def delivered_through(connection: Connection, through_day: date, run: Run | None = None) -> date:
    """The last day, not after ``through_day``, that every dataset which must come daily has brought.

    Without any such dataset, or before the first delivery, that is ``through_day`` itself.

    Args:
        run: what it leaves out has not come for it.
    """
    for contract in source_contracts():
        if contract.missing_day == "error":
            lacking = _lacking_days(connection, contract, run)
            there = fingerprints(connection, contract).keys() - lacking
            before_the_first = min((through_day, *(day - ONE_DAY for day in lacking)))
            through_day = max((d for d in there if d <= through_day), default=before_the_first)
    return through_day


def _lacking_days(connection: Connection, contract: Contract, run: Run | None = None) -> set[date]:
    """Days that have rows, but were never published, and are left out: rejected, or not tried."""
    left_out = set(rejected_days(connection, contract))
    if run:
        left_out |= named_days(run, "untried", contract.dataset)
    return left_out - _published_fingerprints(connection, contract).keys() if left_out else left_out


def is_any_lacking(connection: Connection, asked: Interval, run: Run | None = None) -> bool:
    """Whether an asked day is left out, though its rows are there, of a dataset that must come daily."""
    required = [contract for contract in source_contracts() if contract.missing_day == "error"]
    return any(not _lacking_days(connection, contract, run).isdisjoint(asked) for contract in required)


def settle_through_day(connection: Connection, run: Run) -> Run:
    """Once deliveries are read: a run speaks of no day that has not come yet, or that is left out of it.

    A run that was asked for days speaks of these all the same when one has not come: it will fail.
    """
    through_day = run.opened_through
    if not run.asked or is_any_lacking(connection, run.asked, run):
        through_day = delivered_through(connection, through_day, run)
    through_day = max(through_day, published_through(connection) or through_day)
    if through_day == run.through_day:
        return run
    execute(connection, "update ops.runs set through_day = %s where run_id = %s", (through_day, run.run_id))
    return update_plan(connection, run, opened_through=str(run.opened_through))


def missing_days(connection: Connection, run: Run) -> dict[str, list[date]]:
    """Asked days of a run without a live row, for datasets whose contract calls that an error."""
    return days_without_rows(connection, run.asked, run.datasets) if run.asked else {}


def days_without_rows(connection: Connection, asked: Interval, datasets: Iterable[str]) -> dict[str, list[date]]:
    """Days without a live row, for datasets whose contract calls that an error."""
    missing: dict[str, list[date]] = {}
    for contract in source_contracts(datasets):
        if contract.missing_day == "error":
            live = fingerprints(connection, contract)
            if days := [d for d in asked if d not in live]:
                missing[contract.dataset] = days
    return missing


def rejected_in_words(connection: Connection, datasets: Iterable[str], within: Interval | None = None) -> list[str]:
    """What gates have rejected, of these days or of all: a line for all days that were judged together."""
    together: dict[tuple[str, str], list[date]] = {}
    for contract in source_contracts(datasets):
        for day, rejection in rejected_days(connection, contract).items():
            if within is None or day in within:
                together.setdefault((contract.dataset, str(rejection)), []).append(day)
    return [f"{dataset} of {in_words(days)}: {rejection}" for (dataset, rejection), days in together.items()]


def find_stale(connection: Connection, through_day: date, datasets: Iterable[str] = ()) -> list[Stale]:
    """Everything that a run up to ``through_day`` has to do; empty when published state is what its inputs say."""
    found: list[Stale] = []
    held = [h for h in held_deliveries(connection) if not h.is_answered]
    not_taken_out = failed_extracts(connection)
    for contract in source_contracts(datasets):
        if contract.dataset in not_taken_out:
            found.append(Stale(contract.table, "", f"held back: {not_taken_out[contract.dataset]}"))
        version = input_version(contract)
        failed = query(
            connection,
            """select path, failure from ops.deliveries
               where dataset = %s and state in ('live', 'failed') and failed_version = %s""",
            (contract.dataset, version),
        )
        found += _unread(connection, contract)
        found += [Stale(contract.table, f["path"], f"held back: {f['failure']}") for f in failed]
        found += [
            Stale(contract.table, h.path, f"held back: {h.reason}") for h in held if h.dataset == contract.dataset
        ]
        found += [
            Stale(contract.table, "" if contract.is_reference else str(day), reason)
            for day, reason in (held_days(connection, contract) | stale_days(connection, contract)).items()
            if day <= through_day
        ]
    waiting = query(connection, "select publication_id, target from ops.exports where state = 'waiting' order by 1, 2")
    found += [Stale(e["target"], f"publication {e['publication_id']}", "not exported yet") for e in waiting]
    delivered = delivered_through(connection, through_day)
    waits = f"held back: deliveries are there through {delivered} only"
    published = published_tables(connection)
    for contract in model_contracts():
        last = published.get(contract.table)
        if last is None:
            found.append(Stale(contract.table, "", "never published"))
        elif last["code_hash"] != models.code_hash(contract):
            found.append(Stale(contract.table, "", "code or contract changed"))
        elif last["through_day"] < through_day:
            due = [
                last["through_day"] + timedelta(days=n) for n in range(1, (through_day - last["through_day"]).days + 1)
            ]
            found += [Stale(contract.table, str(day), "due" if day <= delivered else waits) for day in due]
    return found


def _unread(connection: Connection, contract: Contract) -> list[Stale]:
    """Deliveries that are to be read, again where a decision or the vault changes them; of some the file is gone."""
    outdated, fixed = _outdated(connection, contract), refixed_contents(connection, contract.dataset)
    reasons = {content: (path, VAULT_CHANGED) for content, path in outdated.items()}
    reasons |= {content: (path, "quarantine fixed") for content, path in fixed.items()}
    found = []
    for delivery in to_ingest(connection, contract):
        _, reason = reasons.pop((delivery.sha256, delivery.extract_day), ("", "delivery not read yet"))
        found.append(Stale(contract.table, delivery.path, reason))
    gone = "but the file has left landing; land it again with the same content"
    return found + [Stale(contract.table, path, f"held back: {reason}, {gone}") for path, reason in reasons.values()]


def _outdated(connection: Connection, contract: Contract) -> dict[tuple[str, date | None], str]:
    version = input_version(contract)
    return outdated_contents(connection, contract.dataset, version) if contract.redacted_columns else {}


def is_work(stale: Stale) -> bool:
    """Whether a run can do something about it; a delivery that is held back waits for somebody to mend it."""
    return not stale.reason.startswith("held back")
