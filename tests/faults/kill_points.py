"""Ends this process by SIGKILL at a chosen point: before a statement that changes state, a commit, or the lake's."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from psycopg2.extensions import cursor as Cursor  # noqa: N812 - it is a class

READS = re.compile(
    r"\s*(/\*.*?\*/\s*)?(select(?!\s+ops\.)|with|show|set|begin|fetch|explain|deallocate)\b", re.IGNORECASE | re.DOTALL
)
SHOWN = 60


class Points:
    """Counts the points that this process passes, and ends it at one of them.

    Args:
        last: number of the point, from 1, that is not passed; 0 passes all.
        log: gets a line for each point that is reached.
    """

    def __init__(self, last: int, log: Path) -> None:
        self._last = last
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._reached = 0
        self._lock = threading.Lock()  # dbt works in threads

    def reach(self, what: str) -> None:
        """Says that something is about to change."""
        with self._lock:
            self._reached += 1
            os.write(self._log, f"{' '.join(what.split())[:SHOWN]}\n".encode())
            if self._reached == self._last:
                os.kill(os.getpid(), signal.SIGKILL)


def run_to(last: int, log: Path, function: Callable[..., Any], *arguments: Any) -> None:
    """Runs a function up to a point; for a process of its own, which it changes."""
    points = Points(last, log)
    _watch_psycopg2(points)
    _watch_psycopg(points)
    _watch_lake(points)
    function(*arguments)


def _watch_psycopg2(points: Points) -> None:
    def text(cursor: Cursor, statement: Any) -> str:
        if isinstance(statement, bytes):
            return statement.decode()
        return statement if isinstance(statement, str) else str(statement.as_string(cursor))

    def watching(factory: type[Cursor]) -> type[Cursor]:
        class Watched(factory):  # type: ignore[misc, valid-type]
            def execute(self, statement: Any, parameters: Any = None) -> None:
                if not READS.match(said := text(self, statement)):
                    points.reach(said)
                super().execute(statement, parameters)

            def copy_expert(self, statement: Any, file: Any, size: int = 8192) -> None:
                if re.search(r"\bfrom\s+stdin", said := text(self, statement), re.IGNORECASE):
                    points.reach(said)
                super().copy_expert(statement, file, size)

        return Watched

    class WatchedConnection(Connection):
        def cursor(self, *arguments: Any, **options: Any) -> Cursor:
            options["cursor_factory"] = watching(options.get("cursor_factory") or self.cursor_factory or Cursor)
            return super().cursor(*arguments, **options)

        def commit(self) -> None:
            points.reach("commit")
            super().commit()

    connect = psycopg2.connect
    psycopg2.connect = lambda *arguments, **options: connect(  # type: ignore[assignment]
        *arguments, **{**options, "connection_factory": WatchedConnection}
    )


def _watch_psycopg(points: Points) -> None:
    """Feast's store writes by the newer driver."""
    import psycopg

    for kind, name in ((psycopg.Cursor, "executemany"), (psycopg.Connection, "commit")):
        original = getattr(kind, name)

        def watched(self: Any, *arguments: Any, _original: Any = original, _name: str = name, **options: Any) -> Any:
            points.reach(f"feast: {_name}")
            return _original(self, *arguments, **options)

        setattr(kind, name, watched)


def _watch_lake(points: Points) -> None:
    from deltalake import DeltaTable

    commit = DeltaTable.create_write_transaction

    def watched(self: DeltaTable, *arguments: Any, **options: Any) -> None:
        points.reach("lake: commit")
        commit(self, *arguments, **options)
        points.reach("lake: committed")

    DeltaTable.create_write_transaction = watched  # type: ignore[method-assign]
