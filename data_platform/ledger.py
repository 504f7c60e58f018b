"""The ledger of deliveries: which files came, which of them count, and what each holds of which day."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from psycopg2.extras import Json, execute_values

from data_platform.clock import business_now
from data_platform.contracts.document import ingest_hash
from data_platform.contracts.model import Contract
from data_platform.failures import InputError
from data_platform.settings import get_settings
from data_platform.warehouse.connection import Connection, execute, query

# Raise it when the parser reads the same file and contract differently: every delivery is then parsed anew.
PARSER_VERSION = 2
MANIFEST = "manifest.jsonl"


@dataclass(frozen=True)
class Delivery:
    """A path with a content, as it stands in ``ops.files``."""

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
    return f"{ingest_hash(contract)[:16]}.{PARSER_VERSION}"


def local_path(path: str) -> Path:
    """Where a delivery's path (``landing/…``) stands on this machine."""
    return Path(get_settings().landing) / Path(path).relative_to("landing")


def discover(connection: Connection, contracts: Sequence[Contract]) -> list[dict[str, Any]]:
    """Registers deliveries that are new or changed; returns them as mappings (dataset, path, what).

    A path whose content is already live under another name (and for the same extract day) is a duplicate. A path that
    has vanished stays as it was: only a manifest or a decision withdraws a delivery.
    """
    found: list[dict[str, Any]] = []
    for contract in contracts:
        known = _present_versions(connection, contract.dataset)
        arrivals = _read_manifest(contract)
        for path, extract_day in _delivered_paths(contract):
            file = local_path(path)
            before = known.get(path)
            stat = file.stat()
            if before and (before["size_bytes"], before["modified_ns"]) == (stat.st_size, stat.st_mtime_ns):
                continue
            sha256 = _sha256(file)
            if before and before["sha256"] == sha256:
                execute(
                    connection,
                    "update ops.files set modified_ns = %s where file_id = %s",
                    (stat.st_mtime_ns, before["file_id"]),
                )
                continue
            twin = _live_twin(connection, contract, sha256, extract_day)
            state = "duplicate" if twin and twin != path else "new"
            execute(
                connection,
                """insert into ops.files
                       (dataset, path, sha256, size_bytes, modified_ns, extract_day, arrived_at, state)
                   values (%s, %s, %s, %s, %s, %s, %s, %s)""",
                (
                    contract.dataset,
                    path,
                    sha256,
                    stat.st_size,
                    stat.st_mtime_ns,
                    extract_day,
                    arrivals.get(path) or business_now(),
                    state,
                ),
            )
            what = f"same content as {twin}" if state == "duplicate" else "changed" if before else "new"
            found.append({"dataset": contract.dataset, "path": path, "what": what})
    return found


def _sha256(file: Path) -> str:
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
        yield path, _extract_day(path, match["extract_day"]) if contract.day_from_path else None


def _extract_day(path: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InputError(
            f"{path}: {text!r} is not the day of an extract",
            hint="name extracts YYYY-MM-DD, or move the file away",
        ) from None


def _read_manifest(contract: Contract) -> dict[str, datetime]:
    """Arrivals that the source's manifest declares, by path."""
    file = Path(get_settings().landing) / contract.source / MANIFEST
    arrivals: dict[str, datetime] = {}
    if not file.exists():
        return arrivals
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            entry = json.loads(line)
            arrivals[f"landing/{entry['path']}"] = datetime.fromisoformat(entry["arrived_at"])
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"landing/{contract.source}/{MANIFEST}:{number}:1: not a manifest line: {error}",
                hint='a line reads {"path": "shop/x.csv", "arrived_at": "1997-01-02T01:00:00+00:00"}',
            ) from None
    return arrivals


def _present_versions(connection: Connection, dataset: str) -> dict[str, dict[str, Any]]:
    rows = query(
        connection,
        """select distinct on (path) file_id, path, sha256, size_bytes, modified_ns from ops.files
           where dataset = %s order by path, file_id desc""",
        (dataset,),
    )
    return {r["path"]: r for r in rows}


def _live_twin(connection: Connection, contract: Contract, sha256: str, extract_day: date | None) -> str | None:
    rows = query(
        connection,
        """select path from ops.files
           where dataset = %s and sha256 = %s and extract_day is not distinct from %s and state in ('new', 'live')
           order by file_id limit 1""",
        (contract.dataset, sha256, extract_day),
    )
    return rows[0]["path"] if rows else None


def to_ingest(connection: Connection, contract: Contract) -> list[Delivery]:
    """Deliveries whose rows are not in the lake as the present contract and parser read them, oldest first."""
    rows = query(
        connection,
        """select file_id, dataset, path, sha256, size_bytes, extract_day, arrived_at from ops.files
           where dataset = %s and (state = 'new' or (state in ('live', 'failed') and input_version <> %s))
           order by file_id""",
        (contract.dataset, input_version(contract)),
    )
    return [Delivery(**r) for r in rows]


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
) -> None:
    """Makes an attempt the one that counts; call it after the lake's commit, in one transaction a batch.

    Raises:
        AssertionError: when rows read are not rows live plus rows quarantined.
    """
    rows_live = sum(d.rows for d in days)
    assert rows_read == rows_live + len(quarantined), (
        f"{delivery.path}: {rows_read} rows read, but {rows_live} live and {len(quarantined)} quarantined"
    )
    execute(
        connection,
        """update ops.files set state = 'superseded'
           where dataset = %s and path = %s and file_id < %s and state in ('new', 'live', 'failed')""",
        (delivery.dataset, delivery.path, delivery.file_id),
    )
    execute(
        connection,
        """update ops.files
           set state = 'live', ingest_id = %s, input_version = %s, rows_read = %s, rows_live = %s,
               rows_quarantined = %s, failure = null
           where file_id = %s""",
        (ingest_id, input_version(contract), rows_read, rows_live, len(quarantined), delivery.file_id),
    )
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
            "insert into quarantine.rows (dataset, file_id, line, rule, column_name, raw_text, raw_encrypted, row_key)"
            " values %s",
            [
                (
                    delivery.dataset,
                    delivery.file_id,
                    q.line,
                    q.rule,
                    q.column,
                    q.raw if isinstance(q.raw, str) else None,
                    q.raw if isinstance(q.raw, bytes) else None,
                    Json(q.key) if q.key else None,
                )
                for q in quarantined
            ],
        )


def mark_failed(connection: Connection, contract: Contract, delivery: Delivery, failure: str) -> None:
    """Records that a delivery cannot be read; what was live of its path before stays live."""
    execute(
        connection,
        "update ops.files set state = 'failed', input_version = %s, failure = %s where file_id = %s",
        (input_version(contract), failure, delivery.file_id),
    )


def live_attempts(connection: Connection, dataset: str, days: Sequence[date]) -> list[tuple[int, int]]:
    """(file_id, ingest_id) of the deliveries that hold rows of these days: all that a reader of the lake may see."""
    rows = query(
        connection,
        """select distinct file_id, ingest_id from ops.files join ops.file_days using (file_id)
           where dataset = %s and state = 'live' and day = any(%s) order by file_id""",
        (dataset, list(days)),
    )
    return [(r["file_id"], r["ingest_id"]) for r in rows]


def fingerprints(connection: Connection, contract: Contract) -> dict[date, str]:
    """Day to the fingerprint of what its live deliveries hold. Equal rows give an equal fingerprint, in any files.

    Of a snapshot that is also which keys are unknown: a broken row that is mended or taken out may be all that changes.
    """
    rows = query(
        connection,
        """select day, sum(rows) as rows, sum(digest) as digest
           from ops.files join ops.file_days using (file_id)
           where dataset = %s and state = 'live' group by day""",
        (contract.dataset,),
    )
    version, unknown = input_version(contract), _digests_of_unknown_keys(connection, contract)
    return {r["day"]: ":".join([version, f"{r['rows']}:{r['digest']}", *unknown.get(r["day"], ())]) for r in rows}


def _digests_of_unknown_keys(connection: Connection, contract: Contract) -> dict[date, tuple[str]]:
    if contract.kind != "snapshot":
        return {}
    rows = query(
        connection,
        """select extract_day, md5(string_agg(distinct coalesce(row_key::text, ''), ',')) as digest
           from ops.files as f join quarantine.rows as q using (file_id)
           where f.dataset = %s and f.state = 'live' group by extract_day""",
        (contract.dataset,),
    )
    return {r["extract_day"]: (r["digest"],) for r in rows}
