"""What Airflow costs dbt: our one build task, beside plain ``dbt build`` without Airflow, and beside Cosmos.

All three build the same models of the same project for the same day on the same published tables. Ours is a run of a
DAG with the task ``build`` of ``run_nightly``, from the trigger to its end; it also writes the page with every model's
status and the run's record. Plain is dbt's command line on a parsed project. Cosmos makes a task of each model, in its
quickest mode (WATCHER: one dbt process, and sensors that follow it), with the parsed manifest, and without tests, which
is in its favour. Its mode LOCAL, a dbt process a model, takes twice as long again and would not fit into the bench.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from datetime import date
from pathlib import Path

from benchmarks.harness import OURS, Bench, Numbers
from benchmarks.platform import Platform, project_beside, running_platform, seconds_between
from data_platform.dbt_runner import CONTRACT_TESTS, write_developer_profile
from data_platform.intervals import ONE_DAY, Interval
from data_platform.settings import PROJECT_ROOT, get_settings

HISTORY = Interval(date(1998, 6, 3), date(1998, 6, 11))
PLAIN, COSMOS = "plain dbt build", "Cosmos WATCHER"


def run(bench: Bench) -> None:
    """Builds the same day in turn and reports seconds."""
    with ExitStack() as stack:
        with bench.setting_up(f"starting a platform, loading {HISTORY}, waiting for Cosmos's DAG"):
            # DAGs of the bench's own, and dbt's folder, where profile and manifest are written
            project = project_beside(bench.directory / "project", "dags", "dbt_project")
            platform = stack.enter_context(running_platform(bench.directory, HISTORY.end + ONE_DAY, project))
            run_id = stage_a_day(platform)
            write_developer_profile()
            dbt("parse")
            for file in (PROJECT_ROOT / "benchmarks" / "dags").glob("*.py"):  # not before: Cosmos reads the manifest
                shutil.copy(file, project / "dags")
            platform.airflow.wait_for_dags({"build_with_dp", "build_with_cosmos"}, timeout_s=180)
        runs = bench.interleave(
            {
                OURS: in_airflow(platform, "build_with_dp", run_id=run_id),
                PLAIN: plain_dbt,
                COSMOS: in_airflow(platform, "build_with_cosmos"),
            }
        )
    bench.compare("seconds", "s", runs, targets={PLAIN: 0.77, COSMOS: 1.0})


def stage_a_day(platform: Platform) -> str:
    """Publishes the history, and stages the day after it in a run whose id is returned."""
    platform.land(Interval(HISTORY.start, HISTORY.end + ONE_DAY))
    platform.load(HISTORY)
    run_id = platform.discover(HISTORY.end)
    for step in ("ingest", "gate ingest", "stage", "gate stage"):
        platform.dp(*step.split(), "--run", run_id)
    return run_id


def in_airflow(platform: Platform, dag_id: str, **conf: str) -> Callable[[], Numbers]:
    """A contender: a DAG, from its trigger to its green end."""

    def contender() -> Numbers:
        dag_run = platform.airflow.trigger(dag_id, conf=conf)
        ended = platform.airflow.wait_for_run(dag_id, dag_run)
        if ended["state"] != "success":
            raise RuntimeError(f"{dag_id} is {ended['state']}: {platform.airflow.task_states(dag_id, dag_run)}")
        return {"seconds": seconds_between(ended["queued_at"], ended["end_date"])}

    return contender


def plain_dbt() -> None:
    """A contender: dbt's command line, with the tests that a run takes."""
    dbt("build", "--exclude", CONTRACT_TESTS, "--exclude-resource-type", "unit_test")


def dbt(command: str, *options: str) -> None:
    """Runs dbt as a developer does.

    Raises:
        RuntimeError: when it fails; carries its last words.
    """
    program = Path(sys.executable).with_name("dbt")
    folder = get_settings().dbt_project_dir
    done = subprocess.run([program, command, *options], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"dbt {command} failed:\n{done.stdout[-2000:]}")
