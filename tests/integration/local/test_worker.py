"""The resident worker and its client: a warm command is like a plain one, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from data_platform.local.processes import process_info, wait_until
from data_platform.settings import PROJECT_ROOT

pytestmark = pytest.mark.integration
PROBE = Path(__file__).with_name("worker_probe.py")
CLIENT = [sys.executable, "-c", "from data_platform.local.client import main; main()"]
RESTARTED = 42


class Worker:
    """A worker over the probe's commands, in a state folder of its own, and clients of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.project = folder / "project"
        (self.project / "data_platform").mkdir(parents=True)
        self.source = self.project / "data_platform" / "source.py"
        self.source.touch()
        # A deep folder: its socket's path is longer than the kernel takes.
        self.state = folder / "deep" / ("x" * 100)
        self.environment = {
            **os.environ,
            "STATE_DIR": str(self.state),
            "DP_PROJECT_ROOT": str(self.project),
            "PYTHONPATH": str(PROJECT_ROOT),
        }
        self.process = subprocess.Popen([sys.executable, str(PROBE)], env=self.environment)
        assert wait_until((self.state / "run" / "worker.sock").exists, 30)

    def start(self, *arguments: str, **options: object) -> subprocess.Popen[str]:
        settings = {"env": self.environment, "cwd": self.folder, "text": True} | options
        return subprocess.Popen([*CLIENT, *arguments], **settings)  # type: ignore[call-overload]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*CLIENT, *arguments], env=self.environment, cwd=self.folder, capture_output=True, text=True, timeout=30
        )

    def start_and_await(self, command: str) -> tuple[subprocess.Popen[str], list[int]]:
        """A client of a command that sleeps, and the process ids of that command and of its own program."""
        ready = self.folder / f"ready-{time.monotonic_ns()}"
        client = self.start(command, str(ready))
        assert wait_until(lambda: ready.exists() and len(ready.read_text().split()) == 2, 10)
        return client, [int(pid) for pid in ready.read_text().split()]


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    made = Worker(tmp_path_factory.mktemp("worker"))
    yield made
    made.process.kill()
    made.process.wait()


def are_gone(pids: list[int]) -> bool:
    return wait_until(lambda: not any(map(process_info, pids)), 10)


def test_a_command_gets_arguments_folder_environment_streams_and_umask(worker: Worker) -> None:
    environment = {**worker.environment, "PROBE": "from the client"}
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    client = worker.start("show", "--flag", "ü", env=environment, umask=0o027, **options)
    output, errors = client.communicate("from stdin", timeout=20)
    assert (client.returncode, errors) == (0, "on stderr")
    assert output == f"['dp', 'show', '--flag', 'ü'] {worker.folder} from the client from stdin"
    assert (worker.folder / "made").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        (["exit", "0"], 0, ""),
        (["exit", "75"], 75, ""),
        (["exit-with-message"], 1, "a last word\n"),
        (["raise"], 1, "ZeroDivisionError"),
    ],
)
def test_it_ends_as_the_command_ends(worker: Worker, command: list[str], code: int, message: str) -> None:
    done = worker.run(*command)
    assert done.returncode == code
    assert message in done.stderr


def test_a_signal_to_the_client_ends_the_command_and_its_programs(worker: Worker) -> None:
    client, pids = worker.start_and_await("sleep")
    client.terminate()
    assert client.wait(10) == -signal.SIGTERM
    assert are_gone(pids)


def test_an_interrupt_can_be_handled_by_the_command(worker: Worker) -> None:
    client, pids = worker.start_and_await("stop-kindly")
    client.send_signal(signal.SIGINT)
    assert client.wait(10) == 7
    assert are_gone(pids)


@pytest.mark.parametrize("command", ["sleep", "stubborn"])
def test_a_command_does_not_outlive_its_client(worker: Worker, command: str) -> None:
    client, pids = worker.start_and_await(command)
    client.kill()
    client.wait()
    assert are_gone(pids)


def test_commands_run_side_by_side_and_leave_no_zombies(worker: Worker) -> None:
    clients = [worker.start("exit", str(code)) for code in range(8)]
    assert [client.wait(20) for client in clients] == list(range(8))
    children = Path(f"/proc/{worker.process.pid}/task/{worker.process.pid}/children")
    assert wait_until(lambda: children.read_text() == "", 5)


def test_the_socket_is_private(worker: Worker) -> None:
    assert (worker.state / "run" / "worker.sock").stat().st_mode & 0o777 == 0o600
    assert (worker.state / "run").stat().st_mode & 0o777 == 0o700


def test_changed_code_is_not_run_from_memory(tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    assert worker.run("exit", "5").returncode == 5
    worker.source.write_text("changed = True\n")
    plain = worker.run("--help")
    assert plain.returncode == 0, plain.stderr
    assert "Usage: dp" in plain.stdout, "the client must have become a plain dp"
    assert worker.process.wait(10) == RESTARTED


def test_without_a_worker_the_client_becomes_a_plain_dp(tmp_path: Path) -> None:
    environment = {**os.environ, "STATE_DIR": str(tmp_path)}
    done = subprocess.run([*CLIENT, "--help"], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert "Usage: dp" in done.stdout


def test_a_worker_that_dies_is_reported(worker: Worker) -> None:
    client, pids = worker.start_and_await("sleep")
    keeper = int(Path(f"/proc/{pids[0]}/stat").read_text().rsplit(")", 1)[1].split()[1])
    os.kill(keeper, signal.SIGKILL)
    assert client.wait(10) == 75
    os.kill(pids[0], signal.SIGKILL)
    os.kill(pids[1], signal.SIGKILL)


def test_the_real_worker_runs_dp(tmp_path: Path) -> None:
    environment = {**os.environ, "STATE_DIR": str(tmp_path), "COLUMNS": "100"}
    with (tmp_path / "log").open("w") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", "data_platform.local.worker"],
            env=environment, cwd=PROJECT_ROOT, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        socket = tmp_path / "run" / "worker.sock"
        assert wait_until(lambda: socket.exists() or worker.poll() is not None, 180)
        assert worker.poll() is None, (tmp_path / "log").read_text()
        warm = subprocess.run([*CLIENT, "--help"], env=environment, capture_output=True, text=True, timeout=60)
        plain = Path(sys.executable).with_name("dp")
        cold = subprocess.run([plain, "--help"], env=environment, capture_output=True, text=True, timeout=60)
        assert (warm.returncode, warm.stdout) == (cold.returncode, cold.stdout)
        assert cold.stdout
    finally:
        worker.kill()
        worker.wait()
