"""What the platform on one machine is made of: components that can start, stop and be asked whether they answer.

To add one, write a function that returns a ``Component`` and name it in ``data_platform/local/up.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from data_platform.failures import TransientFailure
from data_platform.local.processes import Daemon


@dataclass(frozen=True)
class Component:
    """One part of the running platform.

    Args:
        name: as ``dp status`` shows it.
        check: what can be said before anything is started: raises ``PlatformError`` when it does not run and could
            not start, because its port is taken or a program is missing.
        start: starts it unless it runs, and returns when it answers; raises ``PlatformError`` otherwise.
        stop: ends it and all that it started; does nothing when it does not run.
        pids: its processes, the one that leads them first; empty when it does not run.
        probe: whether it answers now.
        address: where to reach it, empty when nobody needs to.
        needs: names of the components that must answer before it starts.
    """

    name: str
    check: Callable[[], None]
    start: Callable[[], None]
    stop: Callable[[], object]
    pids: Callable[[], list[int]]
    probe: Callable[[], bool]
    address: str = ""
    needs: tuple[str, ...] = ()


def daemon_component(
    daemon: Daemon,
    probe: Callable[[], bool],
    *,
    check: Callable[[], None] = lambda: None,
    before_start: Callable[[], None] = lambda: None,
    after_start: Callable[[], None] = lambda: None,
    after_stop: Callable[[], None] = lambda: None,
    timeout_s: float = 180,
    address: str = "",
    needs: tuple[str, ...] = (),
) -> Component:
    """A component that is one background process.

    Args:
        check: called when it does not run, to see whether it could.
        before_start: called when it does not run, to write its files.
        after_start: called when it answers for the first time, to warm it up.
        after_stop: called when it has ended by itself.
        timeout_s: how long it may take until ``probe`` holds.
    """

    def check_unless_running() -> None:
        if daemon.pid() is None:
            daemon.stop()  # what a killed one left behind
            check()

    def start() -> None:
        if daemon.pid() is not None:
            daemon.wait_ready(probe, timeout_s)
            return
        check_unless_running()
        before_start()
        daemon.start()
        try:
            daemon.wait_ready(probe, timeout_s)
        except TransientFailure:
            check_unless_running()  # tells when somebody else has taken the port in between
            raise
        after_start()

    def stop() -> None:
        if daemon.stop():
            after_stop()

    return Component(daemon.name, check_unless_running, start, stop, daemon.members, probe, address, needs)
