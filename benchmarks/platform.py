"""A whole platform for one bench: PostgreSQL, Airflow, the warm worker and Spark, with a few real days of the shop."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from data_platform.clock import due_day
from data_platform.intervals import ONE_DAY, Interval
from data_platform.local.airflow import airflow_client
from data_platform.local.airflow_client import AirflowClient
from data_platform.local.processes import memory_mb, signal_all
from data_platform.local.secrets import pick_port
from data_platform.local.up import down, erase_data, platform_components, up
from data_platform.settings import PROJECT_ROOT, Settings, get_settings

NIGHT = "run_nightly"
NIGHT_STARTS = timedelta(hours=2)
PORTS = ("POSTGRES_PORT", "AIRFLOW_PORT", "REPORTS_PORT", "SPARK_CONNECT_PORT")


class Platform:
    """A platform in a folder of its own, on ports of its own.

    Args:
        directory: where its settings, database, lake and logs live.
        today: its business date.
        project: where its DAGs and dbt's folder are; default: here.
    """

    def __init__(self, directory: Path, today: date, project: Path | None = None) -> None:
        for name in Settings.model_fields:  # the settings of whoever calls us must not leak in
            os.environ.pop(name.upper(), None)
        env_file = directory / "env"
        offset = (datetime.now(UTC).date() - today).days
        lines = [
            f"STATE_DIR={directory / 'state'}",
            f"BUSINESS_DATE_OFFSET_DAYS={offset}",
            "SAMPLE_COMPANY=false",
            *(f"{name}={pick_port()}" for name in PORTS),  # those that people's platforms prefer stay theirs
            *([f"PROJECT_ROOT={project}"] if project else []),
        ]
        env_file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        os.environ["DP_ENV_FILE"] = str(env_file)
        get_settings.cache_clear()
        self.directory = directory

    @property
    def airflow(self) -> AirflowClient:
        return airflow_client(get_settings())

    def start(self) -> None:
        """Brings it up, with the nightly DAG unpaused and no night begun by itself."""
        up()
        airflow = self.airflow
        airflow.wait_for_dags({NIGHT})
        # The scheduler begins the last night of an unpaused DAG unless that night has a run.
        last_night = due_day() if datetime.now(UTC).hour >= NIGHT_STARTS.seconds // 3600 else due_day() - ONE_DAY
        last = airflow.trigger(NIGHT, interval=interval_of(last_night), note="taken, so that it is not begun")
        airflow.request("PATCH", f"/dags/{NIGHT}/dagRuns/{last}", {"state": "success"})
        airflow.unpause(NIGHT)

    def stop(self) -> None:
        """Stops all of it, and deletes the database, which may lie outside the folder when we are root."""
        # In order, Spark's server would write its loaded classes for a next start, which does not come.
        for part in platform_components(get_settings()):
            if part.name == "spark-connect":
                signal_all(part.pids(), signal.SIGKILL)
        down()
        erase_data()

    def land(self, days: Interval) -> None:
        """Lands the shop's real deliveries of some days."""
        from sample_company.company import company

        company().land(Path(get_settings().landing), days)

    def load(self, history: Interval) -> None:
        """Publishes days that have landed, in one pass of the warm worker."""
        self.dp("run", str(history.start), str(history.end), "--reason", "history")

    def dp(self, *arguments: str, cold: Mapping[str, str] | None = None) -> str:
        """Runs a command in the warm worker and returns what it printed.

        Args:
            cold: more of the environment, for a process of the command's own instead.

        Raises:
            RuntimeError: when it fails; carries its last words.
        """
        program = "dp-warm" if cold is None else "dp"
        done = subprocess.run(
            [Path(sys.executable).with_name(program), *arguments],
            env={**os.environ, **(cold or {})},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"dp {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
        return done.stdout

    def seconds_of(self, *arguments: str) -> float:
        """What a command takes in the warm worker, from its start to its end."""
        started = time.perf_counter()
        self.dp(*arguments)
        return time.perf_counter() - started

    def night(self, day: date) -> list[dict[str, Any]]:
        """Runs the nightly DAG for a business day, and returns its tasks in order, as Airflow saw them.

        Raises:
            RuntimeError: when the run is not green.
        """
        airflow = self.airflow
        run_id = airflow.trigger(NIGHT, interval=interval_of(day))
        run = airflow.wait_for_run(NIGHT, run_id)
        if run["state"] != "success":
            raise RuntimeError(f"the night of {day} is {run['state']}: {airflow.task_states(NIGHT, run_id)}")
        tasks = airflow.get(f"/dags/{NIGHT}/dagRuns/{run_id}/taskInstances", limit=100)["task_instances"]
        return [run, *sorted(tasks, key=lambda task: task["start_date"])]

    def discover(self, day: date, cold: Mapping[str, str] | None = None) -> str:
        """Opens a run for one day, and returns its id."""
        asked = (str(day), str(day + ONE_DAY))
        return str(json.loads(self.dp("discover", *asked, "--json", cold=cold))["run_id"])

    @contextmanager
    def peak_memory(self) -> Iterator[list[float]]:
        """Watches the memory of everything that runs; afterwards the list holds the peak, in MB (10^6 bytes)."""
        peak = [0.0]
        over = threading.Event()
        components = platform_components(get_settings())

        def watch() -> None:
            while not over.wait(0.5):
                peak[0] = max(peak[0], memory_mb({pid for part in components for pid in part.pids()}))

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield peak
        finally:
            over.set()
            watcher.join()


def interval_of(day: date) -> tuple[datetime, datetime]:
    """The data interval of the night that loads a business day."""
    calendar_day = day + timedelta(days=get_settings().business_date_offset_days)
    start = datetime(calendar_day.year, calendar_day.month, calendar_day.day, tzinfo=UTC) + NIGHT_STARTS
    return start, start + ONE_DAY


def seconds_between(earlier: str, later: str) -> float:
    """Seconds between two of Airflow's timestamps."""
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def project_beside(folder: Path, *copied: str) -> Path:
    """A project with copies of these of our folders, which may be changed; all else is ours."""
    folder.mkdir()
    for entry in PROJECT_ROOT.iterdir():
        if entry.name not in {*copied, ".git", ".state", ".env"}:
            (folder / entry.name).symlink_to(entry)
    for name in copied:
        ignore = shutil.ignore_patterns("target", "logs", "profiles.yml")
        shutil.copytree(PROJECT_ROOT / name, folder / name, ignore=ignore)
    return folder


@contextmanager
def running_platform(directory: Path, today: date, project: Path | None = None) -> Iterator[Platform]:
    """A platform that is up, and is stopped at the end."""
    platform = Platform(directory, today, project)
    try:
        platform.start()
        yield platform
    finally:
        platform.stop()
