"""Background processes are found again, are not confused with others, and end with all that they started."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from data_platform.failures import PermanentFailure, TransientFailure
from data_platform.local.processes import Daemon, memory_mb, port_holder, process_info, require_free_port, wait_until

# A leader that starts: a child, a program in a session of its own, and one that both leaves and ignores TERM.
FAMILY = """
import os, signal, subprocess, sys, time
subprocess.Popen(["sleep", "600"])
subprocess.Popen(["sleep", "601"], start_new_session=True)
subprocess.Popen([sys.executable, "-c", "import signal,time; signal.signal(15, signal.SIG_IGN); time.sleep(602)"],
                 start_new_session=True)
time.sleep(600)
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    made = make(tmp_path, FAMILY)
    yield made
    made.stop()


def make(folder: Path, program: str, **options: float) -> Daemon:
    return Daemon("probe", (sys.executable, "-c", program), folder / "run", folder / "logs", folder, **options)  # type: ignore[arg-type]


def test_it_outlives_us_and_is_found_by_another(daemon: Daemon) -> None:
    pid = daemon.start()
    again = Daemon("probe", daemon.argv, daemon.run_dir, daemon.log_dir, daemon.cwd)
    assert again.pid() == pid
    assert again.start() == pid, "a second start must find the first"
    assert os.getsid(pid) == pid, "it must not belong to our terminal"


def test_stop_ends_everything_that_it_started(daemon: Daemon) -> None:
    daemon.start()
    assert wait_until(lambda: len(daemon.members()) == 4, 10)
    members = daemon.members()
    daemon.stop()
    assert not any(map(process_info, members))
    assert daemon.pid() is None
    assert not daemon.pid_file.exists()


def test_stop_ends_one_that_is_stopped_in_order(tmp_path: Path) -> None:
    daemon = make(tmp_path, "import time; time.sleep(600)")
    pid = daemon.start()
    os.kill(pid, signal.SIGSTOP)
    assert daemon.stop()
    assert process_info(pid) is None


def test_stop_ends_what_a_killed_leader_left_behind(daemon: Daemon) -> None:
    pid = daemon.start()
    assert wait_until(lambda: len(daemon.members()) == 4, 10)
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: daemon.pid() is None, 5)
    left = daemon.members()
    assert left
    daemon.stop()
    assert not any(map(process_info, left))


def test_a_start_ends_what_a_killed_leader_left_behind_even_without_its_mark(tmp_path: Path) -> None:
    nameless = "import subprocess, time; subprocess.Popen(['sleep', '600'], env={}); time.sleep(600)"
    daemon = make(tmp_path, nameless)
    pid = daemon.start()
    assert wait_until(lambda: len(daemon.members()) == 2, 10)
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: daemon.pid() is None, 5)
    (left,) = daemon.members()
    again = daemon.start()
    assert wait_until(lambda: process_info(left) is None, 5)
    assert daemon.pid() == again
    daemon.stop()


def test_a_recycled_number_is_not_taken_for_ours(tmp_path: Path) -> None:
    daemon = make(tmp_path, FAMILY)
    stranger = subprocess.Popen(["sleep", "60"])
    info = process_info(stranger.pid)
    assert info
    daemon.run_dir.mkdir()
    daemon.pid_file.write_text(json.dumps({"pid": info.pid, "started": info.started - 1}))
    assert daemon.pid() is None
    daemon.stop()
    assert stranger.poll() is None, "a stranger must survive"
    stranger.kill()
    stranger.wait()


def test_one_that_ends_while_starting_says_why(tmp_path: Path) -> None:
    daemon = make(tmp_path, "raise SystemExit('no such thing')")
    daemon.start()
    with pytest.raises(TransientFailure, match="probe ended while starting\n    no such thing"):
        daemon.wait_ready(lambda: False, timeout_s=20)


def test_one_that_never_answers_is_given_up(daemon: Daemon) -> None:
    daemon.start()
    with pytest.raises(TransientFailure, match="did not answer within 0 s"):
        daemon.wait_ready(lambda: False, timeout_s=0.3)


def test_a_zombie_counts_as_gone() -> None:
    child = subprocess.Popen(["true"])
    assert wait_until(lambda: process_info(child.pid) is None, 5)
    child.wait()


def test_a_large_log_is_put_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data_platform.local.processes.LOG_LIMIT_BYTES", 10)
    daemon = make(tmp_path, "print('new')")
    daemon.log_dir.mkdir()
    daemon.log_file.write_text("older and longer\n")
    daemon.start()
    assert wait_until(lambda: daemon.log_file.read_text() == "new\n", 10)
    assert daemon.log_file.with_suffix(".log.1").read_text() == "older and longer\n"


def test_a_taken_port_names_its_holder() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert port_holder(port) == f"process {os.getpid()} ({Path('/proc/self/comm').read_text().strip()})"
        with pytest.raises(PermanentFailure, match=f"Airflow cannot start: port {port} is taken") as caught:
            require_free_port(port, what="Airflow", setting="AIRFLOW_PORT")
        assert "AIRFLOW_PORT" in caught.value.hint
    assert port_holder(port) is None
    require_free_port(port, what="Airflow", setting="AIRFLOW_PORT")


def test_memory_is_measured() -> None:
    assert 5 < memory_mb([os.getpid()]) < 5000
    assert memory_mb([]) == 0


def test_waiting_ends_in_time() -> None:
    begun = time.monotonic()
    assert not wait_until(lambda: False, 0.2)
    assert time.monotonic() - begun < 2
