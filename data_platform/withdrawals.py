"""Withdrawals: a person, or the manifest of a source, says that a delivery does not count."""

from __future__ import annotations

from dataclasses import dataclass

from data_platform.clock import business_now
from data_platform.failures import InputError
from data_platform.landing import in_landing
from data_platform.warehouse.connection import Connection, execute, query

LIVE_VERSIONS = "select file_id from ops.deliveries where path = %(path)s and state = 'live'"


@dataclass(frozen=True)
class Withdrawn:
    """A path whose versions no longer count, and how many live rows of how many days go with it.

    Those that a delivery of the same content has too stay.
    """

    path: str
    rows: int
    days: int


def withdraw(connection: Connection, path: str, reason: str) -> Withdrawn:
    """Withdraws a path, with or without its leading ``landing/``; the next run removes its rows.

    A file that is written again afterwards is delivered anew.

    Raises:
        InputError: when no delivery came under that path, or it is withdrawn already.
    """
    path = in_landing(path)
    rows = query(
        connection,
        """select w.reason from ops.files as f left join ops.standing_withdrawals as w using (file_id)
           where f.path = %s order by f.file_id desc limit 1""",
        (path,),
    )
    if not rows:
        raise InputError(
            f"no delivery came as {path}",
            hint="name the file as `dp stale` does: landing/ and what follows, not where it stands on this machine",
        )
    if rows[0]["reason"] is not None:
        raise InputError(f"{path} is withdrawn already: {rows[0]['reason']}", hint="land it again to let it count")
    live = [r["file_id"] for r in query(connection, LIVE_VERSIONS, {"path": path})]
    end_versions(connection, path, reason)
    gone = query(
        connection,
        f"""select coalesce(sum(rows), 0)::bigint as rows, count(distinct day) as days
            from ops.file_days where file_id = any(%(live)s) and file_id not in ({LIVE_VERSIONS})""",  # noqa: S608
        {"path": path, "live": live},
    )
    return Withdrawn(path, gone[0]["rows"], gone[0]["days"])


def end_versions(connection: Connection, path: str, reason: str, *, by_manifest: bool = False) -> None:
    """Writes the decision for every version of a path that came so far; a person's stands for the manifest's too."""
    execute(
        connection,
        """insert into ops.withdrawals (file_id, reason, arrived_at, by_manifest)
           select file_id, %s, %s, %s from ops.files where path = %s
           on conflict (file_id) do update
           set (reason, arrived_at, decided_at, by_manifest) = (excluded.reason, excluded.arrived_at, default, false)
           where withdrawals.by_manifest and not excluded.by_manifest
               and withdrawals.file_id not in (select file_id from ops.standing_withdrawals)""",
        (reason, business_now(), by_manifest, path),
    )
