"""`dp-warm`: runs a `dp` command in the resident worker, which has the heavy imports behind it.

Same arguments, output, signals and exit code as `dp`. Where no worker listens, or it declines, this becomes a plain
`dp`. Standard library only: starting takes some 20 ms, where importing the engines takes seconds.
"""

from __future__ import annotations

import array
import json
import os
import signal
import socket
import struct
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

from data_platform.environment import PROJECT_ROOT, default_state_dir, env_file

SOCKET_NAME = "worker.sock"
CONNECT_TIMEOUT_S = 2
LENGTH = struct.Struct("!I")  # of the request that follows
SIGNAL = struct.Struct("!B")  # client → worker, while the command runs
OUTCOME = struct.Struct("!Bi")  # worker → client, at the end: one of EXITED, KILLED and the code or signal
ACCEPTED = b"A"
EXITED, KILLED = 0, 1
FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
LOST = 75  # like a transient failure: the command may or may not have ended, and all commands may be run again


def run_dir() -> Path:
    """Folder of the worker's socket. Reads one line of ``.env``, because importing the settings would take longer."""
    state_dir = os.environ.get("STATE_DIR")
    if not state_dir:
        try:
            lines = env_file().read_text(encoding="utf-8").splitlines()
        except OSError:
            lines = []
        state_dir = next((line.partition("=")[2].strip() for line in lines if line.startswith("STATE_DIR=")), "")
    return PROJECT_ROOT / (state_dir or default_state_dir()) / "run"


def connect(folder: Path) -> socket.socket:
    """A connection to the worker whose socket lies in ``folder``.

    Raises:
        OSError: when none listens.
    """
    # A socket's path has at most 107 bytes; through the folder's descriptor it is short however deep that lies.
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(CONNECT_TIMEOUT_S)
        connection.connect(f"/proc/self/fd/{descriptor}/{SOCKET_NAME}")
    finally:
        os.close(descriptor)
    return connection


def send_request(connection: socket.socket, arguments: list[str]) -> None:
    """Sends the command, where it runs, and our three standard streams themselves."""
    mask = os.umask(0o077)
    os.umask(mask)
    request = {"argv": arguments, "cwd": str(Path.cwd()), "env": dict(os.environ), "umask": mask}
    body = json.dumps(request).encode()
    streams = array.array("i", [0, 1, 2])
    connection.sendmsg([LENGTH.pack(len(body))], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
    connection.sendall(body)


def _await_outcome(connection: socket.socket) -> tuple[int, int] | None:
    """How the command ended; None when the worker was lost on the way."""
    answer = b""
    while len(answer) < OUTCOME.size:
        try:
            part = connection.recv(OUTCOME.size - len(answer))
        except OSError:
            return None
        if not part:
            return None
        answer += part
    kind, code = OUTCOME.unpack(answer)
    return kind, code


def run_warm(arguments: list[str]) -> int | None:
    """Runs a command in the worker and returns its exit code; None when the worker did not take it."""
    try:
        connection = connect(run_dir())
    except OSError:
        return None
    try:
        send_request(connection, arguments)
        if connection.recv(1) != ACCEPTED:
            return None
    except OSError:
        return None
    connection.settimeout(None)

    def forward(number: int, _frame: FrameType | None) -> None:
        connection.sendall(SIGNAL.pack(number))

    for number in FORWARDED:
        signal.signal(number, forward)
    outcome = _await_outcome(connection)
    if outcome is None:
        sys.stderr.write("dp-warm: the resident worker ended before the command did\n")
        return LOST
    kind, code = outcome
    if kind == KILLED:  # end in the same way, so that whoever waits for us sees the same
        signal.signal(code, signal.SIG_DFL)
        os.kill(os.getpid(), code)
    return code


def run_plain(arguments: list[str]) -> NoReturn:
    """Becomes a plain `dp`."""
    program = str(Path(sys.executable).parent / "dp")
    os.execv(program, [program, *arguments])  # noqa: S606 — our own program, no shell wanted


def main() -> None:
    """Entry point of `dp-warm`."""
    arguments = sys.argv[1:]
    code = run_warm(arguments)
    if code is None:
        run_plain(arguments)
    sys.exit(code)
