"""The ledger of deliveries: which files came, which of them count, and what each holds of which day."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from psycopg2.extras import Json, execute_values

from data_platform.answers import take_back_withdrawals, write_policy
from data_platform.clock import business_now
from data_platform.contracts.document import ingest_hash
from data_platform.contracts.model import Contract
from data_platform.failures import InputError
from data_platform.landing import local_path
from data_platform.manifest import Said, read_manifest
from data_platform.overrides import OverrideResult, digest_of, record_results
from data_platform.redaction import VERSION as REDACTION_VERSION
from data_platform.settings import get_settings
from data_platform.vault import outdated_deliveries, record_findings
from data_platform.vault_records import Findings
from data_platform.warehouse.connection import Connection, execute, query
from data_platform.withdrawals import end_versions

# Raise it when the parser reads the same file and contract differently: every delivery is then parsed anew.
PARSER_VERSION = 5
NOTHING = Findings()


@dataclass(frozen=True)
class Delivery:
    """A path with a content, as it stands in ``ops.files``; ``ops.deliveries`` tells which of them count."""

    file_id: int
    dataset: str
    path: str
    sha256: str
    size_bytes: int
    extract_day: date | None
    arrived_at: datetime


@dataclass(frozen=True)
class DayDigest:
    """What a delivery holds of one day: live rows, and the sum of the first 60 bits of their content hashes."""

    day: date
    rows: int
    digest: Decimal


@dataclass(frozen=True)
class QuarantinedRow:
    """A row that broke a rule; ``raw`` is plain text, or a Fernet token where the dataset is personal.

    ``key`` holds the contract's ``entity_key`` where it could be read.
    """

    line: int
    rule: str
    column: str | None
    raw: str | bytes
    key: Mapping[str, str] | None = None


def input_version(contract: Contract) -> str:
    """Names the contract and the parser that rows were read with."""
    redaction = f".{REDACTION_VERSION}" if contract.redacted_columns else ""
    return f"{ingest_hash(contract)[:16]}.{PARSER_VERSION}{redaction}"


def discover(connection: Connection, contracts: Sequence[Contract]) -> list[dict[str, Any]]:
    """Registers deliveries that are new, changed or withdrawn; returns them as mappings (dataset, path, what).

    Which of them count is not decided here, but derived: see ``ops.deliveries``. A path that has vanished stays as it
    was: only a manifest or a decision withdraws a delivery.
    """
    found: list[dict[str, Any]] = []
    for contract in contracts:
        write_policy(connection, contract)
        known = _newest_versions(connection, contract.dataset)
        said = read_manifest(contract.source)
        withdrawn = [path for path, words in said.items() if words.is_withdrawn]
        what: dict[str, str] = {}
        for path in withdrawn:
            if path in known and not known[path]["is_said_withdrawn"]:
                end_versions(connection, path, "withdrawn by the manifest", by_manifest=True)
                what[path] = "withdrawn"
        take_back_withdrawals(connection, contract.dataset, still_said=withdrawn)
        delivered = [(path, day) for path, day in _delivered_paths(contract) if path not in withdrawn]
        for path, extract_day in delivered:
            if registered := _register(connection, contract, path, extract_day, known.get(path), said.get(path)):
                what[path] = registered
        _forget_times(connection, [known[path] for path in known.keys() - {path for path, _ in delivered}])
        if what:
            what |= _duplicates(connection, contract, what)
        found += [{"dataset": contract.dataset, "path": path, "what": words} for path, words in what.items()]
    return found


def _newest_versions(connection: Connection, dataset: str) -> dict[str, dict[str, Any]]:
    rows = query(
        connection,
        """select distinct on (path) file_id, path, sha256, size_bytes, modified_ns, f.arrived_at,
                  said.file_id is not null as is_said_withdrawn, w.file_id is not null as is_withdrawn
           from ops.files as f
           left join ops.withdrawals as said using (file_id)
           left join ops.standing_withdrawals as w using (file_id)
           where dataset = %s order by path, file_id desc""",
        (dataset,),
    )
    return {r["path"]: r for r in rows}


def _register(
    connection: Connection,
    contract: Contract,
    path: str,
    extract_day: date | None,
    before: Mapping[str, Any] | None,
    said: Said | None,
) -> str | None:
    """Writes down what stands at a path if that is not what the ledger has; returns what it is."""
    file = local_path(path)
    stat = file.stat()
    arrived_at = said.arrived_at if said else None
    is_withdrawn = before is not None and before["is_withdrawn"]
    if before and (before["size_bytes"], before["modified_ns"]) == (stat.st_size, stat.st_mtime_ns):
        came_later = is_withdrawn and arrived_at is not None and arrived_at > before["arrived_at"]
        if not came_later:
            return None
    sha256 = sha256_of(file)
    if before and before["sha256"] == sha256 and not is_withdrawn:
        execute(
            connection,
            "update ops.files set modified_ns = %s where file_id = %s",
            (stat.st_mtime_ns, before["file_id"]),
        )
        return None
    # What is found together came together: the transaction's time, so that of files that were renamed none comes first.
    execute(
        connection,
        """insert into ops.files
               (dataset, path, sha256, size_bytes, modified_ns, extract_day, arrived_at, discovered_at)
           values (%s, %s, %s, %s, %s, %s, %s, now())""",
        (
            contract.dataset,
            path,
            sha256,
            stat.st_size,
            stat.st_mtime_ns,
            extract_day,
            arrived_at or business_now(),
        ),
    )
    return "delivered again" if is_withdrawn else "changed" if before else "new"


def _forget_times(connection: Connection, vanished: Iterable[Mapping[str, Any]]) -> None:
    """A withdrawn file that has left is delivered anew when it comes back, with its old time too."""
    gone = [version["file_id"] for version in vanished if version["is_withdrawn"] and version["modified_ns"]]
    if gone:
        execute(connection, "update ops.files set modified_ns = 0 where file_id = any(%s)", (gone,))


def _duplicates(connection: Connection, contract: Contract, paths: Iterable[str]) -> dict[str, str]:
    """Those of the paths whose newest version says what another delivery says that counts, each with a message."""
    rows = query(
        connection,
        """select distinct on (d.path) d.path, twin.path as twin
           from ops.deliveries as d join ops.deliveries as twin using (dataset, sha256)
           where dataset = %s and d.path = any(%s) and twin.state in ('live', 'new')
               and (d.state = 'duplicate' or d.state in ('asked', 'refused') and d.kind = 'duplicate')
               and d.extract_day is not distinct from twin.extract_day
           order by d.path, twin.file_id""",
        (contract.dataset, list(paths)),
    )
    return {r["path"]: f"same content as {r['twin']}" for r in rows}


def sha256_of(file: Path) -> str:
    """A file's content as the ledger knows it."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _delivered_paths(contract: Contract) -> Iterator[tuple[str, date | None]]:
    """Paths that match the contract's location, in order, each with its extract day if the path tells one."""
    assert contract.location is not None
    pattern = contract.location.replace("{extract_day}", "*")
    matcher = re.compile(
        re.escape(contract.location)
        .replace(re.escape("{extract_day}"), r"(?P<extract_day>[^/]+)")
        .replace(r"\*", r"[^/]*")
    )
    root = Path(get_settings().landing)
    for file in sorted(root.glob(str(Path(pattern).relative_to("landing")))):
        path = f"landing/{file.relative_to(root)}"
        match = matcher.fullmatch(path)
        if match is None or not file.is_file():
            continue
        if not file.resolve().is_relative_to(root.resolve()):
            raise InputError(
                f"{path} leads outside landing, to {file.resolve()}",
                hint="copy the file instead of linking it",
            )
        yield path, _extract_day(match["extract_day"]) if contract.day_from_path else None


def _extract_day(text: str) -> date | None:
    with suppress(ValueError):
        return date.fromisoformat(text.replace("_", "-"))
    return None


def to_ingest(connection: Connection, contract: Contract) -> list[Delivery]:
    """Deliveries whose rows should count, but are not in the lake as the present contract reads them, oldest first.

    Of equal ones it is the first that still stands at its path; and none, when one has been read already, or cannot be.
    What has been read is read again when its row overrides have changed, or what the vault knows of those that its
    texts speak of, as long as the file is there and could be read.
    """
    version = input_version(contract)
    redacts = contract.redacted_columns
    outdated = outdated_deliveries(connection, contract.dataset, unreadable=version) if redacts else []
    rows = query(
        connection,
        """with version as (
               select *, file_id = max(file_id) over (partition by path) as is_there
               from ops.judged_deliveries where dataset = %(dataset)s and not is_withdrawn
           ),
           present as (
               select distinct on (path) * from version
               where
                   not is_held and (ingest_id is not null or (is_there and failed_version is distinct from %(version)s))
               order by path, file_id desc
           ),
           refixed as (
               select file_id from quarantine.refixed_deliveries where dataset = %(dataset)s
               union
               select unnest(%(outdated)s::bigint[])
           ),
           content as (
               select
                   min(file_id) filter (where is_there) as file_id,
                   bool_or(coalesce(%(version)s in (input_version, failed_version), false)) as is_done
               from present group by sha256, extract_day
               having
                   not bool_or(coalesce(%(version)s in (input_version, failed_version), false))
                   or bool_or(file_id in (table refixed))
           )
           select is_done, file_id, dataset, path, sha256, size_bytes, extract_day, arrived_at
           from ops.files join content using (file_id) order by file_id""",
        {
            "dataset": contract.dataset,
            "version": version,
            "outdated": [delivery["file_id"] for delivery in outdated],
        },
    )
    return [Delivery(**r) for r in rows if not r.pop("is_done") or local_path(r["path"]).exists()]


def next_ingest_id(connection: Connection) -> int:
    """A number for one attempt to bring deliveries into the lake; rows of the lake carry it."""
    return int(query(connection, "select nextval('ops.ingest_id') as id")[0]["id"])


def mark_live(
    connection: Connection,
    contract: Contract,
    delivery: Delivery,
    *,
    ingest_id: int,
    rows_read: int,
    days: Sequence[DayDigest],
    quarantined: Sequence[QuarantinedRow],
    overridden: Sequence[OverrideResult] = (),
    findings: Findings = NOTHING,
    vault_state: str | None = None,
) -> None:
    """Makes an attempt the one that counts; call it after the lake's commit, in one transaction a batch.

    Args:
        findings: what it brings to the vault, whose records are there already, and took from it.
        vault_state: see ``record_findings``.
        overridden: what became of the row overrides that were looked at; those that hold are among the live rows.

    Raises:
        AssertionError: when rows read are not rows live plus rows quarantined.
    """
    rows_live = sum(d.rows for d in days)
    assert rows_read == rows_live + len(quarantined), (
        f"{delivery.path}: {rows_read} rows read, but {rows_live} live and {len(quarantined)} quarantined"
    )
    overrides = record_results(connection, delivery.file_id, ingest_id, overridden)
    execute(
        connection,
        """update ops.files
           set ingest_id = %s, input_version = %s, rows_read = %s, rows_live = %s, rows_quarantined = %s,
               failure = null, failed_version = null, overrides = %s
           where file_id = %s""",
        (ingest_id, input_version(contract), rows_read, rows_live, len(quarantined), overrides, delivery.file_id),
    )
    record_findings(connection, delivery.file_id, ingest_id, findings, vault_state)
    execute(connection, "delete from ops.file_days where file_id = %s", (delivery.file_id,))
    execute(connection, "delete from quarantine.rows where file_id = %s", (delivery.file_id,))
    with connection.cursor() as cursor:
        execute_values(
            cursor,
            "insert into ops.file_days (file_id, day, rows, digest) values %s",
            [(delivery.file_id, d.day, d.rows, d.digest) for d in days],
        )
        execute_values(
            cursor,
            "insert into quarantine.rows"
            " (dataset, file_id, line, rule, column_name, raw_text, raw_encrypted, raw_digest, row_key) values %s",
            [
                (
                    delivery.dataset,
                    delivery.file_id,
                    q.line,
                    q.rule,
                    q.column,
                    q.raw if isinstance(q.raw, str) else None,
                    q.raw if isinstance(q.raw, bytes) else None,
                    digest_of(q.raw),
                    Json(q.key) if q.key else None,
                )
                for q in quarantined
            ],
        )


def mark_failed(
    connection: Connection, contract: Contract, delivery: Delivery, failure: str, *, overrides: Sequence[int] = ()
) -> None:
    """Records that a delivery cannot be read; what was live of its path before, or of itself, stays live.

    Args:
        overrides: numbers of the row overrides that it was to be read with; with others it is tried again.
    """
    execute(
        connection,
        "update ops.files set failed_version = %s, failure = %s, overrides = %s where file_id = %s",
        (input_version(contract), failure, sorted(overrides), delivery.file_id),
    )


def live_attempts(connection: Connection, dataset: str, days: Sequence[date]) -> list[tuple[int, int]]:
    """(file_id, ingest_id) of the deliveries that hold rows of these days: all that a reader of the lake may see."""
    rows = query(
        connection,
        """select distinct file_id, ingest_id from ops.deliveries join ops.file_days using (file_id)
           where dataset = %s and state = 'live' and day = any(%s) order by file_id""",
        (dataset, list(days)),
    )
    return [(r["file_id"], r["ingest_id"]) for r in rows]


def fingerprints(connection: Connection, contract: Contract) -> dict[date, str]:
    """Day to the fingerprint of what its live deliveries hold. Equal rows give an equal fingerprint, in any files.

    It begins with the version that they were read with: what a new contract cannot read keeps the one it has. Of a
    snapshot it is also which keys are unknown: a broken row that is mended or taken out may be all that changes.
    """
    rows = query(
        connection,
        """select day, string_agg(distinct coalesce(input_version, ''), '+') as version,
                  sum(rows) as rows, sum(digest) as digest
           from ops.deliveries join ops.file_days using (file_id)
           where dataset = %s and state = 'live' group by day""",
        (contract.dataset,),
    )
    unknown = _digests_of_unknown_keys(connection, contract)
    return {r["day"]: ":".join([r["version"], f"{r['rows']}:{r['digest']}", *unknown.get(r["day"], ())]) for r in rows}


def _digests_of_unknown_keys(connection: Connection, contract: Contract) -> dict[date, tuple[str]]:
    if contract.kind != "snapshot":
        return {}
    rows = query(
        connection,
        """select extract_day, md5(string_agg(distinct coalesce(row_key::text, ''), ',')) as digest
           from ops.deliveries as f join quarantine.rows as q using (file_id)
           where f.dataset = %s and f.state = 'live' group by extract_day""",
        (contract.dataset,),
    )
    return {r["extract_day"]: (r["digest"],) for r in rows}
