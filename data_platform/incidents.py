"""Incidents: the same failure, from its first occurrence until it is mended, is one. People are told of it once.

The book of incidents is ``ops.incidents``. While the warehouse is away, a file in ``STATE_DIR`` stands in; the next
report that reaches the warehouse brings over what it holds. What another machine keeps is not seen from here, and what
was open before the warehouse went away is not known without it: either may cost a second alert, never the first one.
"""

from __future__ import annotations

import fcntl
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from io import FileIO
from typing import Any, Protocol, TypeVar

import psycopg2

from data_platform.alerts import Alert, has_reached_somebody, send
from data_platform.failures import InputError, PlatformError
from data_platform.settings import get_settings
from data_platform.warehouse.connection import Connection, execute, query, transaction

log = logging.getLogger(__name__)

FIELDS = ("dag", "step", "kind", "severity", "message", "run_id", "runbook", "log_url")
UNREACHABLE = (PlatformError, psycopg2.Error)
KEPT = "incidents.json"
Entry = dict[str, Any]
T = TypeVar("T")


class Book(Protocol):
    """What is open, and whether somebody was told."""

    def note(self, alert: Alert) -> bool:
        """Opens the alert's incident or counts one more occurrence; returns whether somebody was told of it."""
        ...

    def note_told(self, alert: Alert) -> None:
        """Notes that somebody was."""
        ...

    def end(self, dag: str, step: str) -> list[Alert]:
        """Resolves what is open of a step; returns the notices for those who were told of it."""
        ...


class WarehouseBook:
    """``ops.incidents``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def take_over(self, kept: dict[str, Entry]) -> None:
        """Empties the file that stood in for this book into it."""
        for key, entry in kept.items():
            self._upsert(key, entry)
        kept.clear()

    def note(self, alert: Alert) -> bool:
        self._close_what_passed_since(alert)
        return self._upsert(alert.incident_key, _entry(alert))

    def note_told(self, alert: Alert) -> None:
        execute(
            self._connection,
            "update ops.incidents set told_at = clock_timestamp() where incident_key = %s and resolved_at is null",
            (alert.incident_key,),
        )

    def end(self, dag: str, step: str) -> list[Alert]:
        rows = query(
            self._connection,
            """update ops.incidents set resolved_at = clock_timestamp()
               where dag = %s and step = %s and resolved_at is null returning *""",
            (dag, step),
        )
        return [_notice(row) for row in rows if row["told_at"]]

    def _upsert(self, key: str, entry: Entry) -> bool:
        (row,) = query(
            self._connection,
            """insert into ops.incidents as known
                   (incident_key, dag, step, kind, severity, message, run_id, runbook, log_url,
                    occurrences, opened_at, last_seen_at, told_at)
               values (%(incident_key)s, %(dag)s, %(step)s, %(kind)s, %(severity)s, %(message)s, %(run_id)s,
                       %(runbook)s, %(log_url)s, %(occurrences)s, %(opened_at)s, %(last_seen_at)s, %(told_at)s)
               on conflict (incident_key) where resolved_at is null do update
               set message = excluded.message, run_id = excluded.run_id, log_url = excluded.log_url,
                   last_seen_at = greatest(known.last_seen_at, excluded.last_seen_at),
                   occurrences = known.occurrences + excluded.occurrences,
                   told_at = coalesce(known.told_at, excluded.told_at)
               returning told_at is not null as is_told""",
            {"incident_key": key, **entry},
        )
        return bool(row["is_told"])

    def _close_what_passed_since(self, alert: Alert) -> None:
        """Resolves an incident whose step has passed since by hand: then this failure is news.

        Airflow reports successes of its own tasks; of ``dp run`` on a command line only the steps' record tells.
        """
        execute(
            self._connection,
            """update ops.incidents as i set resolved_at = clock_timestamp()
               where i.incident_key = %s and i.resolved_at is null and exists (
                   select from ops.run_steps as s join ops.runs as r on r.run_id = s.run_id and r.kind <> 'trial'
                   where replace(s.step, ':', '_') = i.step and s.subject = '' and s.state = 'done'
                       and s.started_at > i.last_seen_at)""",
            (alert.incident_key,),
        )


class FileBook:
    """A file's entries, by incident key, as long as the warehouse is away."""

    def __init__(self, kept: dict[str, Entry]) -> None:
        self._kept = kept

    def note(self, alert: Alert) -> bool:
        new = _entry(alert)
        known = self._kept.get(alert.incident_key, {"occurrences": 0, "opened_at": new["opened_at"], "told_at": None})
        told = {name: known[name] for name in ("opened_at", "told_at")}
        self._kept[alert.incident_key] = {**new, **told, "occurrences": known["occurrences"] + 1}
        return known["told_at"] is not None

    def note_told(self, alert: Alert) -> None:
        self._kept[alert.incident_key]["told_at"] = _now()

    def end(self, dag: str, step: str) -> list[Alert]:
        ended = [key for key, entry in self._kept.items() if (entry["dag"], entry["step"]) == (dag, step)]
        entries = [self._kept.pop(key) for key in ended]
        return [_notice(entry) for entry in entries if entry["told_at"]]


def report_failure(alert: Alert) -> None:
    """Notes the failure, and sends the alert unless somebody was told of the same incident before.

    An alert that no channel took is sent again at the next occurrence.
    """
    _in_book(lambda book: _tell_once(book, alert))


def _tell_once(book: Book, alert: Alert) -> None:
    if not book.note(alert) and has_reached_somebody(send(alert)):
        book.note_told(alert)


def report_success(dag: str, step: str) -> None:
    """Ends the incidents of a step, and tells so whoever was told of them."""
    for notice in _in_book(lambda book: book.end(dag, step)):
        send(notice)


def _in_book(act: Callable[[Book], T]) -> T:
    """Does something with the warehouse's book, or with the file while the warehouse is away."""
    try:
        with _kept_entries() as kept, transaction(application="dp alert") as connection:
            book = WarehouseBook(connection)
            book.take_over(kept)
            return act(book)
    except UNREACHABLE as error:
        log.warning("the warehouse cannot keep incidents now (%s); %s does", type(error).__name__, KEPT)
        with _kept_entries() as kept:
            return act(FileBook(kept))


def resolve(incident_id: int) -> Alert:
    """Ends an incident by hand, and tells so whoever was told of it.

    Raises:
        InputError: when no such incident is open.
    """
    with transaction(application="dp alert") as connection:
        rows = query(
            connection,
            """update ops.incidents set resolved_at = clock_timestamp()
               where incident_id = %s and resolved_at is null returning *""",
            (incident_id,),
        )
    if not rows:
        raise InputError(f"no open incident has the number {incident_id}", hint="`dp incidents --open` lists them")
    notice = _notice(rows[0])
    if rows[0]["told_at"]:
        send(notice)
    return notice


def list_incidents(connection: Connection, *, open_only: bool, limit: int) -> list[dict[str, Any]]:
    """Incidents, the newest first."""
    return query(
        connection,
        """select incident_id, severity, dag, step, kind, occurrences,
                  date_trunc('second', opened_at) as opened_at, date_trunc('second', last_seen_at) as last_seen_at,
                  date_trunc('second', told_at) as told_at, date_trunc('second', resolved_at) as resolved_at,
                  run_id, runbook, message
           from ops.incidents where resolved_at is null or not %s order by incident_id desc limit %s""",
        (open_only, limit),
    )


def _entry(alert: Alert) -> Entry:
    """A first occurrence, as columns of ``ops.incidents``."""
    now = _now()
    fields = asdict(alert)
    return {
        **{name: fields[name] for name in FIELDS},
        "occurrences": 1,
        "opened_at": now,
        "last_seen_at": now,
        "told_at": None,
    }


def _notice(row: dict[str, Any]) -> Alert:
    """The notice that an incident is over."""
    return replace(Alert(**{name: row[name] for name in FIELDS}), status="resolved")


def _now() -> str:
    return datetime.now(UTC).isoformat()


@contextmanager
def _kept_entries() -> Iterator[dict[str, Entry]]:
    """The file's entries, which this process alone may change; they are written back unless something is raised.

    On a disk that is full or read-only there are none, and none are kept: the alert goes out all the same.
    """
    path = get_settings().state_dir / KEPT
    with ExitStack() as stack:
        file = None
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            # Without a buffer, as closing would try once more to write what did not fit.
            file = stack.enter_context(path.open("a+b", buffering=0))
            fcntl.flock(file, fcntl.LOCK_EX)
        kept = _read(file)
        before = json.dumps(kept)
        yield kept
        after = json.dumps(kept)
        if file and after != before:
            with suppress(OSError):
                file.truncate(0)
                file.write(after.encode())


def _read(file: FileIO | None) -> dict[str, Entry]:
    """Entries of a file; none when there is no file, or a kill cut it off."""
    if file is None:
        return {}
    file.seek(0)
    try:
        return json.loads(file.read())
    except ValueError:
        return {}
