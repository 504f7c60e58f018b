"""What the gates of a run said, and whether it still holds; publication asks here."""

from __future__ import annotations

from collections.abc import Iterable

from data_platform.contracts.model import Contract
from data_platform.failures import GateFailure
from data_platform.runs import Run, Verdict
from data_platform.warehouse.connection import Connection, query

# Step → the steps that made what it works on.
WORKS_ON = {"gate:stage": ("stage",), "build": ("stage",), "gate:build": ("stage", "build")}


def refuse_ungated(connection: Connection, run: Run, changed: Iterable[Contract]) -> None:
    """Stops a publication whose changed tables have not passed their gates as they now are.

    Raises:
        GateFailure: naming the tables, or the step that has to be taken again.
    """
    for step, reason in outdated(connection, run.run_id).items():
        raise GateFailure(
            f"run {run.run_id}: {step} is out of date: {reason}; nothing is published",
            hint=f"take {step} again, and all steps that follow it",
        )
    passed = verdicts(connection, run.run_id)
    ungated = [c.table for c in changed if passed.get(c.dataset) not in {"passed", "warned"}]
    if ungated:
        raise GateFailure(
            f"run {run.run_id}: no passed gate for {', '.join(ungated)}; nothing is published",
            hint=f"`dp gate --run {run.run_id} --after build` tells why",
        )


def verdicts(connection: Connection, run_id: str) -> dict[str, Verdict]:
    """Dataset → what its gate after stage or build said.

    A verdict lapses when anything beneath what it judged was made anew: what was checked is then gone.
    """
    lapsed = outdated(connection, run_id)
    rows = query(
        connection,
        """select step, subject, verdict from ops.run_steps
           where run_id = %s and step in ('gate:stage', 'gate:build') and subject <> '' and verdict is not null""",
        (run_id,),
    )
    return {r["subject"]: r["verdict"] for r in rows if r["step"] not in lapsed}


def outdated(connection: Connection, run_id: str) -> dict[str, str]:
    """Step → why what it made or judged is no more what the run has."""
    rows = query(
        connection,
        """select step, max(started_at) as recorded_at, bool_and(state = 'done') as is_done
           from ops.run_steps where run_id = %s group by step""",
        (run_id,),
    )
    taken = {r["step"]: r for r in rows}
    found: dict[str, str] = {}
    for step in [s for s in WORKS_ON if s in taken]:
        for made in [s for s in WORKS_ON[step] if s in taken]:
            if made in found:
                found[step] = found[made]
            elif taken[made]["recorded_at"] > taken[step]["recorded_at"]:
                found[step] = f"{made} was taken again since"
            elif not taken[made]["is_done"]:
                found[step] = f"{made} failed"
    return found
