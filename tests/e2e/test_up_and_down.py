"""The whole platform up and down: what listens, what is left, what a crash costs. Nothing runs when this ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from dotenv import dotenv_values
from pydantic import SecretStr

from benchmarks.platform import Platform
from data_platform.local.airflow_client import AirflowClient, AirflowRefusal
from data_platform.local.processes import all_pids, process_info, wait_until

pytestmark = pytest.mark.e2e
COMPONENTS = {
    "postgres",
    "airflow-api-server",
    "airflow-scheduler",
    "airflow-dag-processor",
    "airflow-triggerer",
    "reports",
    "worker",
    "spark-connect",
}


class Commands:
    """`dp` over a platform's settings alone, and the processes of that platform.

    Args:
        folder: of the platform.
    """

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.env_file = folder / "env"

    def dp(self, *arguments: str, code: int = 0) -> str:
        program = Path(sys.executable).with_name("dp")
        done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def status(self) -> dict[str, dict[str, Any]]:
        """What `dp status` says; its exit code must agree with it."""
        program = Path(sys.executable).with_name("dp")
        command = [program, "status", "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        rows = {row["component"]: row for row in json.loads(done.stdout)}
        assert done.returncode == int(any(row["state"] != "running" for row in rows.values()))
        return rows

    def states(self) -> set[str]:
        return {row["state"] for row in self.status().values()}

    def await_running(self) -> dict[str, dict[str, Any]]:
        """The status once every part answers; a worker whose code changed is loading anew."""
        rows: dict[str, dict[str, Any]] = {}

        def all_running() -> bool:
            rows.update(self.status())
            return {name: row["state"] for name, row in rows.items()} == dict.fromkeys(COMPONENTS, "running")

        assert wait_until(all_running, 180), rows
        return rows

    def setting(self, name: str) -> str:
        return dotenv_values(self.env_file)[name] or ""

    def processes(self) -> list[int]:
        """All processes that mention the state folder in their arguments, environment or working directory."""
        home = (self.state / "postgres").resolve()
        found = []
        for pid in all_pids():
            try:
                said = Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
                inside = Path(f"/proc/{pid}/cwd").readlink() == home
            except OSError:
                continue
            if process_info(pid) and pid != os.getpid() and (inside or str(self.state).encode() in said):
                found.append(pid)
        return found


@pytest.fixture(scope="module")
def platform(running: Platform) -> Commands:
    return Commands(running.directory)


def test_every_component_answers(platform: Commands) -> None:
    rows = platform.await_running()
    assert sum(row["memory_mb"] for row in rows.values()) < 6000


def test_everything_listens_on_loopback_only(platform: Commands) -> None:
    pids = set(platform.processes())
    assert len(pids) > len(COMPONENTS)
    inodes = {
        str(entry.readlink()).removeprefix("socket:[").removesuffix("]")
        for pid in pids
        for entry in Path(f"/proc/{pid}/fd").iterdir()
        if entry.is_symlink() and str(entry.readlink()).startswith("socket:[")
    }
    listening = [
        columns[1].split(":")[0]
        for table in ("tcp", "tcp6")
        for columns in map(str.split, Path(f"/proc/net/{table}").read_text().splitlines()[1:])
        if columns[3] == "0A" and columns[9] in inodes
    ]
    loopback = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
    assert len(listening) >= 4
    assert set(listening) <= loopback


def test_no_secret_stands_in_a_process_list_or_a_log(platform: Commands) -> None:
    values = dotenv_values(platform.env_file)
    secrets = [v for k, v in values.items() if v and any(word in k for word in ("PASSWORD", "KEY", "SECRET", "TOKEN"))]
    arguments = b"".join(Path(f"/proc/{pid}/cmdline").read_bytes() for pid in platform.processes())
    logs = b"".join(file.read_bytes() for file in (platform.state / "logs").iterdir())
    assert len(secrets) >= 12
    assert logs
    for secret in secrets:
        assert secret.encode() not in arguments
        assert secret.encode() not in logs


def test_airflow_lets_in_its_administrator_only(platform: Commands) -> None:
    url = platform.status()["airflow-api-server"]["address"]
    client = AirflowClient(url, "admin", SecretStr(platform.setting("AIRFLOW_ADMIN_PASSWORD")))
    assert client.import_errors() == []
    assert {"run_nightly", "backfill_range"} <= {dag["dag_id"] for dag in client.dags()}
    with pytest.raises(AirflowRefusal):
        AirflowClient(url, "admin", SecretStr("guess")).dags()


def test_the_spark_server_runs_python_and_refuses_a_wrong_token(platform: Commands) -> None:
    query = """
import sys
from pyspark.sql import SparkSession
spark = SparkSession.builder.remote(sys.argv[1]).getOrCreate()
rows = spark.range(10).mapInArrow(lambda batches: batches, "id long")
sys.stdout.write(str(rows.count()))
"""

    def ask(token: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "SPARK_CONNECT_AUTHENTICATE_TOKEN": token}
        command = [sys.executable, "-c", query, platform.setting("SPARK_REMOTE")]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert ask(platform.setting("SPARK_CONNECT_TOKEN")).stdout == "10"
    refused = ask("guess")
    assert refused.returncode != 0
    assert "UNAUTHENTICATED" in refused.stderr


def test_up_repairs_what_was_killed_and_leaves_the_rest(platform: Commands) -> None:
    before = platform.await_running()
    for name in ("postgres", "airflow-scheduler", "worker"):
        os.kill(before[name]["pid"], signal.SIGKILL)
    broken = platform.status()
    assert broken["worker"]["state"] == "stopped"
    # Airflow's other components may end by themselves, and late, when their database goes; the next `up` starts them.
    for _ in range(3):
        platform.dp("up")
        time.sleep(5)
        if platform.states() == {"running"}:
            break
    after = platform.await_running()
    unharmed = {name for name in COMPONENTS if before[name]["pid"] == after[name]["pid"]}
    assert {"airflow-api-server", "reports", "spark-connect"} <= unharmed
    assert not unharmed & {"postgres", "airflow-scheduler", "worker"}


def test_down_leaves_no_process_and_up_brings_everything_back(platform: Commands) -> None:
    platform.dp("sql", "--json", "select 1 as one")
    platform.dp("down")
    assert platform.processes() == []
    assert platform.states() == {"stopped"}
    archives = list((platform.state / "spark").glob("connect-*.jsa"))
    assert len(archives) == 1, "the server writes its classes when it ends for the first time"
    platform.dp("down")
    with socket.create_server(("127.0.0.1", int(platform.setting("AIRFLOW_PORT")))):
        platform.dp("up", code=3)
        assert platform.states() == {"stopped"}, "nothing may be started"
    platform.dp("up")
    platform.await_running()


def test_down_with_erase_leaves_nothing(platform: Commands) -> None:
    home = (platform.state / "postgres").resolve()
    platform.dp("down", "--erase")
    assert platform.processes() == []
    assert not home.exists()
