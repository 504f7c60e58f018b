"""The step ``export``: after a publication, the online store follows it.

``ops.exports`` is the outbox: a publication writes a row for each view whose table it changed. All that wait are taken
together, because what counts is the state after the last of them. Killed anywhere, the next export does it again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date

from data_platform.logs import bind
from data_platform.runs import Run, StepLog
from data_platform.warehouse.connection import Connection, execute, open_connection, query
from feature_repo.online import (
    Target,
    Written,
    bring_up,
    entities_since,
    is_filled,
    is_published,
    targets,
    touched_entities,
)
from feature_repo.registry import apply
from feature_repo.store import open_store, server_failures

LOCK = 7_410_003
PREFIX = "feast:"
REMOVED = "no contract of contracts/features describes the view any more"


@dataclass(frozen=True)
class Work:
    """What is to follow for one view.

    Args:
        publications: that wait for it, oldest first.
        whole: whether the online table must be filled anew.
    """

    target: Target
    publications: tuple[int, ...]
    whole: bool


def run_step(run: Run, log: StepLog) -> None:  # noqa: ARG001 - the outbox names the work, whichever run it came from
    """Brings the online store up to the last publication; loads no Feast when none waits.

    Raises:
        TransientFailure: when the warehouse does not answer.
    """
    with exclusive_snapshot() as connection:
        for view in drop_removed(connection):
            log.add(view, rows_changed=0, message=REMOVED)
        work = find_work(connection)
        if not work:
            log.add("feast", rows_changed=0, message="nothing waits")
            return
        if waited_for := [publication for one in work for publication in one.publications]:
            bind(publication_id=max(waited_for))
        store = open_store()
        apply(store)
        for one in work:
            started = time.monotonic()
            entities = None if one.whole else touched_entities(connection, one.target, one.publications)
            written = bring_up(connection, store, one.target, entities)
            log.add(
                one.target.view,
                rows_changed=written.changed,
                message=describe(written, one.publications),
                seconds=round(time.monotonic() - started, 3),
            )
        _mark_done(connection, work)


@contextmanager
def exclusive_snapshot() -> Iterator[Connection]:
    """A transaction that sees one state of the warehouse, while no other export runs.

    The lock comes first: a snapshot that is older than the last exporter's could take the store back.
    """
    with closing(open_connection(application="dp export")) as connection, server_failures():
        execute(connection, "select pg_advisory_lock(%s)", (LOCK,))
        connection.commit()
        with connection:
            execute(connection, "set transaction isolation level repeatable read")
            execute(connection, "set local timezone to 'UTC'")
            yield connection


def drop_removed(connection: Connection) -> list[str]:
    """Closes what waits for views that there are no more, and returns their names: else it would wait for ever."""
    rows = query(
        connection,
        """update ops.exports set state = 'dropped', reason = %s, finished_at = clock_timestamp()
           where state = 'waiting' and starts_with(target, %s) and target <> all (%s) returning target""",
        (REMOVED, PREFIX, [f"{PREFIX}{target.view}" for target in targets()]),
    )
    return sorted({row["target"].removeprefix(PREFIX) for row in rows})


def find_work(connection: Connection) -> list[Work]:
    """Views that publications wait for, and those whose online table is not filled with their present features."""
    rows = query(
        connection,
        """select target, array_agg(publication_id order by publication_id) as publications
           from ops.exports where state = 'waiting' and starts_with(target, %s) group by target""",
        (PREFIX,),
    )
    waiting = {row["target"].removeprefix(PREFIX): tuple(row["publications"]) for row in rows}
    work = [
        Work(target, waiting.get(target.view, ()), whole=not is_filled(connection, target))
        for target in targets()
        if is_published(connection, target)
    ]
    return [one for one in work if one.publications or one.whole]


def describe(written: Written, publications: Sequence[int]) -> str:
    """What an export did, for people."""
    what = f"{written.written} entities written, {written.deleted} deleted"
    if not publications:
        return what
    first, last = publications[0], publications[-1]
    return f"{what}; publication {last}" if first == last else f"{what}; publications {first} to {last}"


def _mark_done(connection: Connection, work: Sequence[Work]) -> None:
    for one in work:
        execute(
            connection,
            """update ops.exports set state = 'done', finished_at = clock_timestamp()
               where target = %s and publication_id = any(%s)""",
            (f"{PREFIX}{one.target.view}", list(one.publications)),
        )


def materialize_all(since: date | None = None) -> list[Written]:
    """Brings every view online, whatever the outbox says.

    Args:
        since: only entities with a row of this event day or later; None writes all, and deletes those without rows.

    Raises:
        TransientFailure: when the warehouse does not answer.
    """
    with exclusive_snapshot() as connection:
        published = [target for target in targets() if is_published(connection, target)]
        store = open_store()
        apply(store)
        return [
            bring_up(connection, store, target, entities_since(connection, target, since) if since else None)
            for target in published
        ]
