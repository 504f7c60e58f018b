"""The resident worker: pays for the heavy imports once, then forks a warm child for each `dp` command.

A connection brings one command (see ``client.py``). The parent forks a keeper, which reads the request, forks the
command into a session of its own, passes signals on to it and tells the client how it ended. The parent itself only
accepts and forks; it holds no threads and no connections, because neither would survive a fork.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import random
import select
import signal
import socket
import struct
import sys
import threading
import traceback
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from data_platform.local.client import (
    ACCEPTED,
    EXITED,
    FORWARDED,
    KILLED,
    LENGTH,
    OUTCOME,
    PROJECT_ROOT,
    SIGNAL,
    SOCKET_NAME,
    run_dir,
)

REQUEST_TIMEOUT_S = 5
GRACE_S = 5  # between TERM and KILL, for a command whose client is gone
HEAVY = (
    "psycopg2",
    "pyarrow",
    "pandas",
    "pyspark.sql",
    "pyspark.sql.connect.session",
    "deltalake",
    "great_expectations",
    "dbt.cli.main",
    "dbt.adapters.postgres",
    "feast",
    "cryptography.fernet",
    "rich.table",
    "typer",
)
OWN_PACKAGES = ("data_platform", "spark_jobs", "feature_repo", "sample_company")
# What looks at its terminal, settings or contracts while it is imported is left to each child.
COMMAND_LINES = ("data_platform.cli", "spark_jobs.cli", "feature_repo.cli", "sample_company.cli")
MADE_OF_CONTRACTS = ("feature_repo.definitions", "feature_repo.on_demand", "feature_repo.services")
NOT_PRELOADED = (*COMMAND_LINES, *MADE_OF_CONTRACTS, "data_platform.local")


def _own_modules() -> list[str]:
    found = (
        module.name
        for package in OWN_PACKAGES
        for module in pkgutil.walk_packages([str(PROJECT_ROOT / package)], f"{package}.")
    )
    return [name for name in found if not name.startswith(NOT_PRELOADED)]


def preload() -> None:
    """Imports what commands import.

    A module of ours that does not import now, perhaps because somebody is writing it, is left to the commands that
    need it: they say what is wrong with it.

    Raises:
        RuntimeError: when an import left a thread behind; children would inherit its locks, not the thread.
    """
    for name in HEAVY:
        importlib.import_module(name)
    for name in _own_modules():
        try:
            importlib.import_module(name)
        except Exception as error:  # noqa: BLE001 — whatever an unfinished module raises
            sys.stderr.write(f"not preloaded: {name}: {error!r}\n")
    if threading.active_count() > 1:
        names = ", ".join(thread.name for thread in threading.enumerate())
        raise RuntimeError(f"the imports started threads: {names}")
    gc.collect()
    gc.freeze()  # collections in children leave the shared pages alone


def source_state() -> dict[str, int]:
    """Modification time in ns of each of our source files, and of the environment's stamp."""
    files = [Path(sys.prefix) / ".bootstrap.json"]
    for package in OWN_PACKAGES:
        files.extend((PROJECT_ROOT / package).rglob("*.py"))
    return {str(file): file.stat().st_mtime_ns for file in files if file.exists()}


def _receive_request(connection: socket.socket) -> tuple[dict, list[int]]:
    """The request and the client's standard input, output and error.

    Raises:
        OSError, ValueError: when it does not come whole and in time, or from another user.
    """
    connection.settimeout(REQUEST_TIMEOUT_S)
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    if struct.unpack("3i", credentials)[1] != os.geteuid():
        raise ValueError("the client is another user")
    header, streams, _, _ = socket.recv_fds(connection, LENGTH.size, 3)
    if len(header) < LENGTH.size or len(streams) != 3:
        raise ValueError("the request is cut off")
    (size,) = LENGTH.unpack(header)
    body = bytearray()
    while len(body) < size:
        part = connection.recv(size - len(body))
        if not part:
            raise ValueError("the request is cut off")
        body += part
    return json.loads(body), streams


def _reopen_streams() -> None:
    """Makes Python's streams anew: those of the parent know nothing of the client's terminal."""
    encoding = sys.stdout.encoding
    sys.stdin = open(0, encoding=encoding, closefd=False)  # noqa: SIM115 — open as long as the process lives
    sys.stdout = open(1, "w", buffering=1 if os.isatty(1) else -1, encoding=encoding, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, encoding=encoding, errors="backslashreplace", closefd=False)  # noqa: SIM115


def _run_command(request: dict, streams: list[int]) -> NoReturn:
    """Turns this process into the command: its session, streams, folder, environment and signals; never returns."""
    os.setsid()
    for target, source in enumerate(streams):
        os.dup2(source, target)
        os.close(source)
    _reopen_streams()
    for number in (*FORWARDED, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(request["env"])
    os.umask(request["umask"])
    os.chdir(request["cwd"])
    sys.argv = ["dp", *request["argv"]]
    sys.modules["__main__"] = ModuleType("__main__")  # usage texts name the program by it
    Path("/proc/self/comm").write_text(" ".join(sys.argv)[:15], encoding="utf-8")
    random.seed()
    numpy = sys.modules.get("numpy")
    if numpy:
        numpy.random.seed()
    code = 1
    try:
        from data_platform.cli.main import main
        from data_platform.settings import get_settings

        get_settings.cache_clear()
        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
    except BaseException:  # noqa: BLE001 — what the interpreter does at the top level
        traceback.print_exc()
    finally:
        _leave(code)


def _leave(code: int) -> NoReturn:
    """Ends the process as the interpreter would, exit handlers too: Spark's JVM is ended by one."""
    threading._shutdown()  # type: ignore[attr-defined]  # waits for non-daemon threads
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            code = code or 120  # as the interpreter does when its last words are lost
    os._exit(code)


def _signal_session(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)


def _watch(command: int, connection: socket.socket) -> None:
    """Passes the client's signals to the command until it ends; ends it when the client is gone."""
    ended = os.pidfd_open(command)
    connection.settimeout(None)
    poll = select.poll()
    poll.register(ended, select.POLLIN)
    poll.register(connection, select.POLLIN)
    timeout_ms: float | None = None
    while True:
        events = poll.poll(timeout_ms)
        if not events:
            _signal_session(command, signal.SIGKILL)
        for descriptor, _ in events:
            if descriptor == ended:
                return
            number = connection.recv(1)
            if number:
                _signal_session(command, SIGNAL.unpack(number)[0])
            else:
                poll.unregister(connection)
                _signal_session(command, signal.SIGTERM)
                timeout_ms = GRACE_S * 1000


def _keep(connection: socket.socket) -> None:
    """A keeper's whole life: one command, from its request to its outcome."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        request, streams = _receive_request(connection)
    except (OSError, ValueError):
        return
    connection.sendall(ACCEPTED)
    command = os.fork()
    if command == 0:
        connection.close()
        _run_command(request, streams)
    for stream in streams:
        os.close(stream)
    _watch(command, connection)
    _, status = os.waitpid(command, 0)
    code = os.waitstatus_to_exitcode(status)
    with contextlib.suppress(OSError):  # the client may be gone
        connection.sendall(OUTCOME.pack(KILLED, -code) if code < 0 else OUTCOME.pack(EXITED, code))


def listen(folder: Path) -> socket.socket:
    """The worker's socket, which only its user can open."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.chdir(folder)  # a socket's path has at most 107 bytes
    Path(SOCKET_NAME).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    mask = os.umask(0o177)
    listener.bind(SOCKET_NAME)
    os.umask(mask)
    listener.listen(16)
    return listener


def serve(listener: socket.socket, loaded: dict[str, int]) -> None:
    """Accepts commands until our source differs from what was loaded."""
    while True:
        connection, _ = listener.accept()
        with connection:
            if source_state() != loaded:
                return
            if os.fork() == 0:
                listener.close()
                try:
                    _keep(connection)
                finally:
                    os._exit(0)


def main() -> None:
    """Loads, serves, and starts itself anew when the code has changed; the client then runs a plain process."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # its threads would not survive the fork
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # keepers are reaped by the kernel
    folder = run_dir()
    loaded = source_state()
    preload()
    listener = listen(folder)
    serve(listener, loaded)
    listener.close()
    Path(SOCKET_NAME).unlink(missing_ok=True)
    os.chdir(PROJECT_ROOT)
    os.execv(sys.executable, [sys.executable, "-m", "data_platform.local.worker"])  # noqa: S606 — ourselves


if __name__ == "__main__":
    main()
