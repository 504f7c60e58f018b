"""Rows that broke a rule, for the steward: to find them, read them on the record, and say what they should read."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal

from data_platform.clock import business_now
from data_platform.contracts.load import get_contracts
from data_platform.contracts.model import Contract
from data_platform.failures import InputError, PermanentFailure
from data_platform.landing import in_landing
from data_platform.overrides import Decision, decide, in_words
from data_platform.privacy import decrypt, encrypter, quarantine_key
from data_platform.settings import get_settings
from data_platform.warehouse.connection import Connection, execute, query

GROUP = "data_platform.row_check"
SHOWN_PROBLEMS = 10
# What somebody has decided about a row in quarantine, so far; rows that an override put right are not there any more.
ROWS = """
    select
        q.dataset, d.path, q.line, q.rule, q.column_name, d.file_id, d.extract_day, f.sha256, q.raw_text,
        q.raw_encrypted, b.raw_digest, b.occurrence,
        case
            when o.override_id is null then 'open'
            when o.corrected is null then 'settled'
            when o.override_id = any(f.overrides) then 'failing'
            else 'overridden'
        end as state
    from quarantine.rows as q
    join ops.deliveries as d using (file_id)
    join ops.files as f using (file_id)
    left join quarantine.broken_rows as b on (b.file_id, b.line) = (q.file_id, q.line)
    left join quarantine.active_overrides as o
        on
            (o.dataset, o.raw_digest, o.occurrence) = (b.dataset, b.raw_digest, b.occurrence)
            and o.extract_day is not distinct from b.extract_day
    where d.state = 'live'
"""


@dataclass(frozen=True)
class Candidate:
    """A text that may stand in the place of a broken row; all else is of its delivery."""

    text: str = field(repr=False)
    extract_day: date | None = None
    path: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class Breach:
    """The first rule that a text breaks, and of which column, where one can be named."""

    rule: str
    column: str | None


@dataclass(frozen=True)
class BrokenRow:
    """A row in quarantine; ``raw`` is plain text, or a Fernet token where the dataset is personal."""

    dataset: str
    path: str
    line: int
    rule: str
    column: str | None
    file_id: int
    extract_day: date | None
    sha256: str
    raw_digest: str
    occurrence: int
    raw: str | bytes = field(repr=False)

    @property
    def contract(self) -> Contract:
        return get_contracts()[self.dataset]

    @property
    def place(self) -> str:
        return f"{self.path}:{self.line}"

    @property
    def message(self) -> str:
        """What the row breaks, in words."""
        return f"breaks {in_words(self.rule, self.column)}"

    def text(self) -> str:
        """The raw text, decrypted; call it on the record only, see ``record_access``."""
        return self.raw if isinstance(self.raw, str) else decrypt(self.raw, quarantine_key())


@dataclass(frozen=True)
class Fix:
    """What a row should read instead; None when it is to stay out for good. ``told_in`` names where that was said."""

    row: BrokenRow
    corrected: str | None = field(repr=False)
    told_in: str = ""


RowCheck = Callable[[Contract, Sequence[Candidate]], list[Breach | None]]


def row_check() -> RowCheck:
    """What tells whether a text would be a good row.

    Raises:
        PermanentFailure: when no installed room can tell.
    """
    for entry in entry_points(group=GROUP):
        return entry.load()
    raise PermanentFailure("no room can check rows", hint="install the project again: `make up`")


def ledger_path(text: str) -> str:
    """A delivery's path, of itself with or without ``landing/``, or of where its file stands on this machine."""
    landing = Path(get_settings().landing).resolve()
    if Path(text).is_absolute() and Path(text).resolve().is_relative_to(landing):
        text = str(Path(text).resolve().relative_to(landing))
    return in_landing(text)


def list_rows(connection: Connection, dataset: str | None) -> list[dict[str, Any]]:
    """Rows in quarantine with their state: ``open``, ``overridden`` (by the next run), ``failing``, ``settled``."""
    return query(
        connection,
        f"""select dataset, path, line, rule, column_name, state from ({ROWS}) as r
            where dataset = coalesce(%s, dataset) order by dataset, path, line""",  # noqa: S608
        (dataset,),
    )


def count_rows(connection: Connection, dataset: str | None) -> list[dict[str, Any]]:
    """How many rows, of how many files, break each rule, by their state."""
    return query(
        connection,
        f"""select dataset, rule, column_name, state, count(*) as rows, count(distinct path) as files
            from ({ROWS}) as r where dataset = coalesce(%s, dataset)
            group by 1, 2, 3, 4 order by 1, 2, 3, 4""",  # noqa: S608
        (dataset,),
    )


def find_rows(connection: Connection, *, dataset: str | None = None, rule: str | None = None) -> list[BrokenRow]:
    """Rows in quarantine that nobody has settled, in the order of their files."""
    return _broken_rows(
        connection,
        "state <> 'settled' and dataset = coalesce(%s, dataset) and rule = coalesce(%s, rule)",
        (dataset, rule),
    )


def find_row(connection: Connection, path: str, line: int, dataset: str | None = None) -> BrokenRow:
    """The row in quarantine on a line of a delivery.

    Raises:
        InputError: when there is none; says so when an override has put it right.
    """
    path = ledger_path(path)
    found = _broken_rows(
        connection, "path = %s and line = %s and dataset = coalesce(%s, dataset)", (path, line, dataset)
    )
    if len(found) == 1:
        return found[0]
    if found:
        named = ", ".join(sorted(row.dataset for row in found))
        raise InputError(f"{path} belongs to several datasets: {named}", hint="name one with --dataset")
    applied = query(
        connection,
        """select override_id from quarantine.override_results join ops.files using (file_id, ingest_id)
           where path = %s and line = %s and rule is null""",
        (path, line),
    )
    if applied:
        number = applied[0]["override_id"]
        raise InputError(
            f"{path}:{line} is no longer in quarantine: override {number} put it right",
            hint=f"`dp quarantine revoke {number}` and a run bring it back",
        )
    raise InputError(
        f"{path}:{line} is not in quarantine", hint="`dp quarantine list --rows` names files and lines that are"
    )


def _broken_rows(connection: Connection, condition: str, parameters: Sequence[Any]) -> list[BrokenRow]:
    rows = query(
        connection,
        f"select * from ({ROWS}) as r where {condition} order by dataset, path, line",  # noqa: S608
        parameters,
    )
    return [
        BrokenRow(
            **{name: r[name] for name in ("dataset", "path", "line", "rule", "file_id", "extract_day", "sha256")},
            column=r["column_name"],
            raw_digest=r["raw_digest"],
            occurrence=r["occurrence"],
            raw=r["raw_text"] if r["raw_encrypted"] is None else bytes(r["raw_encrypted"]),
        )
        for r in rows
    ]


def record_access(
    connection: Connection, what: Literal["show", "export"], rows: Sequence[BrokenRow], reason: str
) -> None:
    """Writes down who reads raw text of these rows; commit it before anything is shown.

    Raises:
        InputError: when a dataset is personal, and no reason is given.
    """
    for name in sorted({row.dataset for row in rows}):
        of_dataset = [row for row in rows if row.dataset == name]
        if get_contracts()[name].is_personal and not reason.strip():
            raise InputError(f"{name} holds personal data", hint="say with --reason why you read it; that is kept")
        one = of_dataset[0] if what == "show" else None
        execute(
            connection,
            """insert into quarantine.accesses (what, dataset, path, line, rows, reason, accessed_by)
               values (%s, %s, %s, %s, %s, %s, %s)""",
            (what, name, one and one.path, one and one.line, len(of_dataset), reason, getpass.getuser()),
        )


def refuse_broken(fixes: Iterable[Fix]) -> None:
    """Checks corrected texts by the present contracts.

    Raises:
        InputError: names each row whose corrected text breaks a rule too; values are not shown.
    """
    by_dataset: dict[str, list[Fix]] = {}
    for fix in fixes:
        if fix.corrected is not None:
            by_dataset.setdefault(fix.row.dataset, []).append(fix)
    problems = []
    for of_dataset in by_dataset.values():
        candidates = [
            Candidate(fix.corrected or "", fix.row.extract_day, fix.row.path, fix.row.sha256) for fix in of_dataset
        ]
        breaches = row_check()(of_dataset[0].row.contract, candidates)
        for fix, breach in zip(of_dataset, breaches, strict=True):
            if breach:
                where = f"{fix.told_in} ({fix.row.place})" if fix.told_in else fix.row.place
                problems.append(f"{where}: the corrected text breaks {in_words(breach.rule, breach.column)}")
    if problems:
        more = [f"and {len(problems) - SHOWN_PROBLEMS} more"] if len(problems) > SHOWN_PROBLEMS else []
        raise InputError("\n  ".join(problems[:SHOWN_PROBLEMS] + more), hint="nothing was written; correct them all")


def write_fixes(connection: Connection, fixes: Sequence[Fix], reason: str) -> list[int]:
    """Writes what was decided, all or nothing, and returns the overrides' numbers.

    Raises:
        InputError: when no reason is given.
    """
    if not reason.strip():
        raise InputError("a decision needs a reason", hint="say it with --reason; never a customer's name or number")
    encrypt = encrypter(quarantine_key())
    decisions = [
        Decision(
            dataset=fix.row.dataset,
            extract_day=fix.row.extract_day,
            raw_digest=fix.row.raw_digest,
            occurrence=fix.row.occurrence,
            file_id=fix.row.file_id,
            line=fix.row.line,
            corrected=None if fix.corrected is None else encrypt(fix.corrected).encode(),
        )
        for fix in fixes
    ]
    return decide(connection, decisions, reason=reason, by=getpass.getuser(), at=business_now())
