"""Background processes: started detached, found again by their pid file, stopped with all that they started.

Linux only: what runs is read from ``/proc``, which also tells a recycled process id from ours.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from data_platform.failures import PermanentFailure, TransientFailure
from data_platform.local.secrets import write_private

TAG = "DP_DAEMON"
LOG_LIMIT_BYTES = 20 * 1024**2
POLL_SECONDS = 0.05
CHILDREN_TIMEOUT_S = 2


@dataclass(frozen=True)
class ProcessInfo:
    """One line of the process table. ``started`` is in clock ticks since boot."""

    pid: int
    state: str
    parent: int
    session: int
    started: int


def process_info(pid: int) -> ProcessInfo | None:
    """What ``/proc`` says of a process; None when there is none, or a zombie, which nobody may ever reap."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = stat[stat.rindex(")") + 2 :].split()  # the name before it may hold blanks and brackets
    if fields[0] in "ZX":
        return None
    return ProcessInfo(pid, fields[0], parent=int(fields[1]), session=int(fields[3]), started=int(fields[19]))


def all_pids() -> list[int]:
    """Every process of this machine."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _environment(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def memory_mb(pids: Iterable[int]) -> float:
    """Resident memory in MB (10^6 bytes); pages that several processes share are divided among them.

    Of a process that we may not look into, as another user's in a container, shared pages count whole.
    """
    total_kb = 0
    for pid in pids:
        for file, name in (("smaps_rollup", "Pss:"), ("status", "VmRSS:")):
            with suppress(OSError):
                lines = Path(f"/proc/{pid}/{file}").read_text(encoding="utf-8").splitlines()
                total_kb += next((int(line.split()[1]) for line in lines if line.startswith(name)), 0)
                break
    return round(total_kb * 1024 / 1e6, 1)


def signal_all(pids: Iterable[int], number: signal.Signals) -> None:
    """Sends a signal to each process that still exists."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def ask_to_end(pids: Iterable[int], number: signal.Signals = signal.SIGTERM) -> None:
    """Asks processes to end, also one that was stopped, which would never hear of it."""
    for pid in pids:
        signal_all([pid], number)
        signal_all([pid], signal.SIGCONT)


def wait_until(is_done: Callable[[], bool], timeout_s: float, poll_s: float = POLL_SECONDS) -> bool:
    """Polls until ``is_done()`` or the time is over; returns whether it came true."""
    deadline = time.monotonic() + timeout_s
    while not is_done():
        if time.monotonic() >= deadline:
            return False
        time.sleep(poll_s)
    return True


def is_listening(port: int) -> bool:
    """Whether something accepts TCP connections on 127.0.0.1:port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _listening_sockets(port: int) -> set[str]:
    sockets = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text(encoding="utf-8").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            columns = line.split()
            if columns[3] == "0A" and int(columns[1].rsplit(":", 1)[1], 16) == port:
                sockets.add(f"socket:[{columns[9]}]")
    return sockets


def _open_files(pid: int) -> set[str]:
    targets = set()
    with suppress(OSError):  # another user's process, or it ended
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):  # closed meanwhile
                targets.add(str(entry.readlink()))
    return targets


def port_holder(port: int) -> str | None:
    """Names the process that listens on a port, as far as this user may know; None when it is free."""
    wanted = _listening_sockets(port)
    if not wanted:
        return None
    for pid in all_pids():
        if wanted & _open_files(pid):
            name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
            return f"process {pid} ({name})"
    return "a process of another user"


def require_free_port(port: int, *, what: str, setting: str) -> None:
    """Checks that nothing listens on a port yet.

    Raises:
        PermanentFailure: names the port, who holds it and the setting to change.
    """
    if holder := port_holder(port):
        raise PermanentFailure(
            f"{what} cannot start: port {port} is taken by {holder}",
            hint=f"stop that process, or set {setting} in .env to a free port",
        )


@dataclass(frozen=True)
class Daemon:
    """A background process.

    Args:
        name: also the name of its pid and log file.
        argv: program and arguments; never a secret, because every user of the machine can read them.
        run_dir: where the pid file lives.
        log_dir: where its output goes, ``<name>.log``, one older file kept.
        environment: added to that of this process.
        cwd: working directory.
        stop_timeout_s: how long it may take to end by itself before it is killed.
        children_first: whether its children are asked to end before it is.
    """

    name: str
    argv: tuple[str, ...]
    run_dir: Path
    log_dir: Path
    cwd: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_timeout_s: float = 15
    children_first: bool = False

    @property
    def pid_file(self) -> Path:
        return self.run_dir / f"{self.name}.pid"

    @property
    def log_file(self) -> Path:
        return self.log_dir / f"{self.name}.log"

    @property
    def _tag(self) -> str:
        return str(self.pid_file.absolute())

    def pid(self) -> int | None:
        """Process id while it runs; None otherwise, also when the id now belongs to another process."""
        record = self._record()
        info = process_info(record["pid"]) if record else None
        return info.pid if record and info and info.started == record["started"] else None

    def _record(self) -> dict[str, int] | None:
        try:
            return json.loads(self.pid_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def _session(self) -> int | None:
        """The session that it leads, or led before it was killed; None when another process has its number now."""
        record = self._record()
        return record["pid"] if record and (self.pid() or process_info(record["pid"]) is None) else None

    def started_at(self) -> float | None:
        """When it was started, in seconds since the epoch."""
        return self.pid_file.stat().st_mtime if self.pid() else None

    def members(self) -> list[int]:
        """The process, first, and all that it started, even what left its session or outlived it.

        The session finds forked children, also those whose environment was overwritten by a process title;
        the tag in the environment finds programs that were started in a session of their own.
        """
        session = self._session()
        tag = f"{TAG}={self._tag}".encode()
        found = []
        for pid in all_pids():
            info = process_info(pid)
            if info is None or pid == os.getpid():
                continue
            if (session and info.session == session) or tag in _environment(pid).split(b"\0"):
                found.append(pid)
        return sorted(found, key=lambda pid: pid != session)  # numbers start again from the lowest at some time

    def listens_on(self, port: int) -> bool:
        """Whether it is this process, or one that it started, who answers on a port: another may have been quicker."""
        wanted = _listening_sockets(port)
        return bool(wanted) and any(wanted & _open_files(pid) for pid in self.members())

    def start(self) -> int:
        """Starts it detached from the terminal, unless it runs; returns its process id."""
        if running := self.pid():
            return running
        signal_all(self.members(), signal.SIGKILL)  # what one that was killed has left behind
        self.run_dir.mkdir(parents=True, exist_ok=True)
        self.log_dir.mkdir(parents=True, exist_ok=True)
        if self.log_file.exists() and self.log_file.stat().st_size > LOG_LIMIT_BYTES:
            self.log_file.replace(self.log_file.with_suffix(".log.1"))
        with self.log_file.open("ab") as log:
            process = subprocess.Popen(
                self.argv,
                cwd=self.cwd,
                env={**os.environ, **self.environment, TAG: self._tag},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        info = process_info(process.pid)
        process.returncode = 0  # it outlives us on purpose; without this the interpreter warns of a running child
        if not info:
            raise self.failure("ended at once")
        write_private(self.pid_file, json.dumps({"pid": process.pid, "started": info.started}))
        return process.pid

    def wait_ready(self, is_ready: Callable[[], bool], timeout_s: float) -> None:
        """Waits until it answers.

        Raises:
            TransientFailure: when it ended, or did not answer in time; carries the end of its log.
        """
        if not wait_until(lambda: self.pid() is None or is_ready(), timeout_s, poll_s=0.1):
            raise self.failure(f"did not answer within {timeout_s:.0f} s")
        if self.pid() is None:
            raise self.failure("ended while starting")

    def failure(self, what: str) -> TransientFailure:
        """An error about this process with the last lines of its log."""
        try:
            tail = self.log_file.read_text(encoding="utf-8", errors="replace").splitlines()[-5:]
        except OSError:
            tail = []
        lines = "".join(f"\n    {line[:300]}" for line in tail)
        return TransientFailure(f"{self.name} {what}{lines}", hint=f"the whole log is {self.log_file}")

    def stop(self) -> bool:
        """Ends it and all that it started; returns whether it ended by itself, in order and in time.

        Programs that it runs in sessions of their own are asked first, so that it can still report how they ended;
        then the process itself, which ends its children in order. Whatever is left is killed.
        """
        leader = self.pid()
        members = set(self.members())
        in_order = False
        if leader:
            programs = [pid for pid in members if (info := process_info(pid)) and info.session != leader]
            first = [pid for pid in members if pid != leader] if self.children_first else programs
            ask_to_end(first)
            wait_until(lambda: not any(map(process_info, first)), CHILDREN_TIMEOUT_S)
            ask_to_end([leader])
            in_order = wait_until(lambda: process_info(leader) is None, self.stop_timeout_s)
        left = [pid for pid in members | set(self.members()) if process_info(pid)]
        ask_to_end(left)
        if not wait_until(lambda: not any(map(process_info, left)), 2):
            signal_all(left, signal.SIGKILL)
            wait_until(lambda: not any(map(process_info, left)), 5)
        self.pid_file.unlink(missing_ok=True)
        return in_order
