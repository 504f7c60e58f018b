"""What the gates of a run said; publication asks here."""

from __future__ import annotations

from data_platform.runs import Verdict
from data_platform.warehouse.connection import Connection, query


def verdicts(connection: Connection, run_id: str) -> dict[str, Verdict]:
    """Dataset → what its gate after stage or build said.

    A verdict lapses when the step that made the relation was taken again: what was checked is then gone.
    """
    rows = query(
        connection,
        """select subject, verdict from ops.run_steps as gate
           where run_id = %s and step in ('gate:stage', 'gate:build') and subject <> '' and verdict is not null
             and not exists (
                 select from ops.run_steps as made
                 where made.run_id = gate.run_id and made.step = substr(gate.step, 6)
                   and made.started_at > gate.started_at
             )""",
        (run_id,),
    )
    return {r["subject"]: r["verdict"] for r in rows}
