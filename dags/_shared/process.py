"""Runs a program without a shell: its lines go to a log as they come, and it can be ended with all it started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO

KEPT_LINES = 10_000  # a command's JSON must be whole
GRACE_SECONDS = 10


@dataclass(frozen=True)
class Finished:
    """How a program ended. ``code`` is negative when a signal ended it; of each stream the last lines are kept."""

    code: int
    output: tuple[str, ...]
    errors: tuple[str, ...]


class StreamedProcess:
    """A program in a process group of its own.

    Args:
        command: program and arguments.
        environment: the whole environment of the program.
        on_line: called with each line of either stream, from two threads.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._process = subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="backslashreplace",
            bufsize=1,
            start_new_session=True,
        )

    def wait(self) -> Finished:
        """Passes lines on until the program has ended."""
        output: deque[str] = deque(maxlen=KEPT_LINES)
        errors: deque[str] = deque(maxlen=KEPT_LINES)
        reader = threading.Thread(target=self._drain, args=(self._process.stdout, output), daemon=True)
        reader.start()
        self._drain(self._process.stderr, errors)
        reader.join()
        return Finished(self._process.wait(), tuple(output), tuple(errors))

    def _drain(self, stream: IO[str] | None, kept: deque[str]) -> None:
        assert stream is not None
        with stream:
            for raw in stream:
                line = raw.rstrip("\n")
                kept.append(line)
                self._on_line(line)

    def kill(self) -> None:
        """Ends the program and what it started: TERM first, KILL after a grace period."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(GRACE_SECONDS)
