"""Runs the resident worker with a command line of its own, whose commands show what a command gets to see."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

from data_platform.cli import main as command_line
from data_platform.local import worker

RESTARTED = 42


def _show(*_arguments: str) -> None:
    sys.stdout.write(f"{sys.argv} {Path.cwd()} {os.environ.get('PROBE')} {sys.stdin.read()}")
    sys.stderr.write("on stderr")
    Path("made").touch(mode=0o666)


def _sleep(ready: str) -> None:
    """Sleeps beside a program of its own, until a signal comes."""
    program = subprocess.Popen(["sleep", "600"])
    Path(ready).write_text(f"{os.getpid()} {program.pid}")
    time.sleep(600)


def _stop_kindly(ready: str) -> None:
    """Ends with code 7 when it is interrupted."""
    try:
        _sleep(ready)
    except KeyboardInterrupt:
        sys.exit(7)


def _stubborn(ready: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _sleep(ready)


COMMANDS = {
    "show": _show,
    "exit": lambda code: sys.exit(int(code)),
    "exit-with-message": lambda: sys.exit("a last word"),
    "raise": lambda: 1 / 0,
    "sleep": _sleep,
    "stop-kindly": _stop_kindly,
    "stubborn": _stubborn,
}


def main() -> None:
    COMMANDS[sys.argv[1]](*sys.argv[2:])  # type: ignore[operator]


def _restart(_program: str, _arguments: list[str]) -> NoReturn:
    os._exit(RESTARTED)


if __name__ == "__main__":
    command_line.main = main
    worker.preload = lambda: None
    worker.os.execv = _restart  # type: ignore[assignment]
    worker.main()
