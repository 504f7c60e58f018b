"""The steps of a run, by name. Rooms above the library register theirs by entry point."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points

from data_platform import logs
from data_platform.causes import explained
from data_platform.failures import InputError, PermanentFailure, TransientFailure
from data_platform.runs import STEPS, Run, StepLog, close_run, get_run, recorded_step, renew_versions, reopen
from data_platform.staleness import settle_through_day
from data_platform.warehouse.connection import transaction

Step = Callable[[Run, StepLog], None]
GROUP = "data_platform.steps"
# Step → the layers whose code and contracts it is the first to read. Taken again, it reads what was mended meanwhile.
FIRST_READ = {"ingest": ("sources",), "build": ("marts", "features")}


def find_step(name: str) -> Step:
    """The function behind a step.

    Raises:
        PermanentFailure: when no installed room provides it.
    """
    if name.startswith("gate:"):
        from data_platform.gates.gate import gate_step

        return gate_step(name.removeprefix("gate:"))
    if name == "build":
        from data_platform.build import run_step

        return run_step
    if name == "publish":
        from data_platform.publish import run_step

        return run_step
    for entry in entry_points(group=GROUP, name=name):
        return entry.load()
    raise PermanentFailure(f"no room provides the step {name!r}", hint="install the project again: `make up`")


def perform(run_id: str, name: str) -> StepLog:
    """Takes one step of a run and records it; a failure fails the run, unless it may pass when taken again.

    A step of a failed run may be repeated as long as the run's schema is there: what failed may have been mended.

    Raises:
        InputError: when the run has nothing to do or is gone, or the step unknown.
        PlatformError: what the step raises.
    """
    if name not in STEPS[1:]:
        raise InputError(f"there is no step {name!r}", hint=f"steps are: {', '.join(STEPS[1:])}")
    with transaction() as connection:
        run = reopen(connection, get_run(connection, run_id))
        if name == "stage" and run.state == "open":
            run = settle_through_day(connection, run)
        if name in FIRST_READ and run.state == "open":
            run = renew_versions(connection, run, FIRST_READ[name])
    step = find_step(name)
    try:
        with logs.bound(run_id=run_id, step=name), recorded_step(run, name) as log, explained():
            step(run, log)
    except TransientFailure:
        raise
    except Exception as error:
        with transaction() as connection:
            if get_run(connection, run_id).state == "open":
                close_run(connection, run, "failed", f"{name}: {error}")
        raise
    return log
