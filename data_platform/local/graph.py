"""Does things that need each other: each as soon as what it needs is done, side by side where possible."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from data_platform.failures import PlatformError


@dataclass(frozen=True)
class Task:
    """A named thing to do, and the names of what must be done before."""

    name: str
    run: Callable[[], object]
    needs: tuple[str, ...] = ()


class Listener:
    """Hears of progress. The methods here do nothing."""

    def started(self, name: str) -> None:
        """A task has begun."""

    def finished(self, name: str, seconds: float, error: PlatformError | None) -> None:
        """A task has ended, well when ``error`` is None."""


def run_all(tasks: Sequence[Task], listener: Listener) -> None:
    """Runs tasks in threads, in the order of their needs.

    After a failure nothing new is begun, and what is under way is waited for.

    Raises:
        PlatformError: the first failure.
    """
    waiting = {task.name: task for task in tasks}
    if unknown := {need for task in tasks for need in task.needs} - waiting.keys():
        raise ValueError(f"needed but not among the tasks: {', '.join(sorted(unknown))}")
    done: set[str] = set()
    failure: PlatformError | None = None
    running: dict[Future[PlatformError | None], str] = {}

    def guarded(task: Task) -> PlatformError | None:
        listener.started(task.name)
        begun = time.monotonic()
        error = None
        try:
            task.run()
        except PlatformError as caught:
            error = caught
        listener.finished(task.name, time.monotonic() - begun, error)
        return error

    with ThreadPoolExecutor(max_workers=len(tasks) or 1) as pool:
        while True:
            ready = [task for task in waiting.values() if failure is None and done.issuperset(task.needs)]
            for task in ready:
                running[pool.submit(guarded, waiting.pop(task.name))] = task.name
            if not running:
                break
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                name = running.pop(future)
                error = future.result()
                failure = failure or error
                done.add(name)
    if failure:
        raise failure
    if waiting:
        raise ValueError(f"these need each other in a circle: {', '.join(sorted(waiting))}")
