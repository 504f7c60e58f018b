"""What needs something waits for it; what does not runs beside it; a failure stops what has not begun."""

from __future__ import annotations

import threading

import pytest

from data_platform.failures import PlatformError, TransientFailure
from data_platform.local.graph import Listener, Task, run_all


class Recorder(Listener):
    def __init__(self) -> None:
        self.events: list[str] = []

    def started(self, name: str) -> None:
        self.events.append(f"+{name}")

    def finished(self, name: str, seconds: float, error: PlatformError | None) -> None:
        self.events.append(f"!{name}" if error else f"-{name}")


def nothing() -> None:
    """A task that does nothing."""


def fail() -> None:
    raise TransientFailure("down")


def test_needs_come_first() -> None:
    recorder = Recorder()
    run_all([Task("c", nothing, ("b",)), Task("b", nothing, ("a",)), Task("a", nothing)], recorder)
    assert recorder.events == ["+a", "-a", "+b", "-b", "+c", "-c"]


def test_independent_tasks_run_side_by_side() -> None:
    meeting = threading.Barrier(3, timeout=5)
    run_all([Task(name, meeting.wait) for name in "abc"], Listener())


def test_after_a_failure_nothing_new_begins_and_it_is_raised() -> None:
    recorder = Recorder()
    with pytest.raises(TransientFailure, match="down"):
        run_all([Task("a", fail), Task("b", nothing, ("a",))], recorder)
    assert recorder.events == ["+a", "!a"]


def test_what_is_under_way_is_waited_for() -> None:
    recorder = Recorder()
    release = threading.Event()

    def fail_then_release() -> None:
        threading.Timer(0.2, release.set).start()
        fail()

    with pytest.raises(TransientFailure):
        run_all([Task("a", fail_then_release), Task("b", lambda: release.wait(5))], recorder)
    assert recorder.events[-1] == "-b"


def test_an_unexpected_error_is_not_swallowed() -> None:
    with pytest.raises(ZeroDivisionError):
        run_all([Task("a", lambda: 1 / 0)], Listener())


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ([Task("a", nothing, ("z",))], "not among the tasks: z"),
        ([Task("a", nothing, ("b",)), Task("b", nothing, ("a",))], "in a circle: a, b"),
    ],
)
def test_needs_that_cannot_be_met_are_an_error(tasks: list[Task], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run_all(tasks, Listener())
