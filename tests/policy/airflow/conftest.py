"""A project of its own for the DAGs' tests: real contracts and runbooks, a ``dp`` that does as it is told, and Airflow
as a library, with its database in a temporary folder."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import Distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun

ROOT = Path(__file__).parents[3]

SECRET = "a-password-that-no-command-may-hold"


def make_project() -> Path:
    """The project's root as the DAGs see it. Settings are read when modules are loaded, so this comes first."""
    project = Path(tempfile.mkdtemp(prefix="dags-"))
    for name in ("contracts", "docs"):
        (project / name).symlink_to(ROOT / name)
    (project / "state").mkdir()
    (project / ".venv" / "bin").mkdir(parents=True)
    os.environ.update(
        AIRFLOW_HOME=str(project / "airflow"),
        AIRFLOW__CORE__LOAD_EXAMPLES="False",
        AIRFLOW__CORE__DAGS_FOLDER=str(ROOT / "dags"),
        AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{project / 'airflow.db'}",
        DP_ENV_FILE=str(project / ".env"),
        DP_PROJECT_ROOT=str(project),
        STATE_DIR=str(project / "state"),
        REPORTS_PORT="8099",
        SAMPLE_COMPANY="true",
        WAREHOUSE_PASSWORD_PLATFORM=SECRET,
    )
    return project


# The data side's environment has no Airflow: `make test` runs these tests in the other one.
# (Looking for the module itself would load Airflow before its settings are there.)
if any(Distribution.discover(name="apache-airflow")):
    PROJECT = make_project()
else:
    collect_ignore_glob = ["*"]

# Answers from a file: what to print and how to end, by the command's first words. Notes how it was called.
FAKE_DP = """#!{python}
import json, os, sys
from pathlib import Path
home = Path(__file__).parent
with (home / "calls.jsonl").open("a") as calls:
    calls.write(json.dumps({{"arguments": sys.argv[1:], "environment": dict(os.environ)}}) + "\\n")
answers = json.loads((home / "answers.json").read_text())
words = [w for w in sys.argv[1:] if not w.startswith("-")]
turns = answers.get(" ".join(words[:2])) or answers.get(words[0]) or [{{}}]
turn = turns[0]
if len(turns) > 1:
    key = " ".join(words[:2]) if " ".join(words[:2]) in answers else words[0]
    answers[key] = turns[1:]
    (home / "answers.json").write_text(json.dumps(answers))
print(turn.get("out", ""), flush=True)
print(turn.get("err", ""), file=sys.stderr, flush=True)
if "signal" in turn:
    os.kill(os.getpid(), turn["signal"])
sys.exit(turn.get("code", 0))
"""


@dataclass(frozen=True)
class FakeDp:
    """The program that stands where ``dp`` would."""

    home: Path

    def answer(self, **turns: list[dict[str, Any]]) -> None:
        """What each command answers, turn by turn; the last turn repeats. ``gate_stage`` means ``gate stage``."""
        spoken = {command.replace("_", " "): turn for command, turn in turns.items()}
        (self.home / "answers.json").write_text(json.dumps(spoken), encoding="utf-8")
        (self.home / "calls.jsonl").unlink(missing_ok=True)

    def calls(self) -> list[dict[str, Any]]:
        """Arguments and environment of each call, in order."""
        lines = (self.home / "calls.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="session", autouse=True)
def project() -> Iterator[Path]:
    """The project's root, removed at the end."""
    yield PROJECT
    shutil.rmtree(PROJECT)


@pytest.fixture(scope="session")
def metadata(project: Path) -> None:
    """Airflow's tables, which only tests that run a DAG need."""
    from airflow.utils.db import initdb

    initdb()


Trigger = Callable[..., "DagRun"]


@pytest.fixture
def trigger(metadata: None, dp: FakeDp, monkeypatch: pytest.MonkeyPatch) -> Trigger:
    """Runs a DAG to its end in this process; retries come after a blink."""
    from airflow.dag_processing.dagbag import DagBag

    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(min(seconds, 0.05)))  # DAG.test() looks once a second

    def run(dag_id: str, logical_date: datetime | None = datetime(2026, 3, 2, 9, tzinfo=UTC), **conf: Any) -> DagRun:
        dag = DagBag(ROOT / "dags" / f"{dag_id}.py").dags[dag_id]
        dag.deadline = None  # DAG.test() looks deadlines up by the id that only a scheduler's copy of the DAG has
        for task in dag.tasks:
            task.retry_delay = task.max_retry_delay = timedelta(seconds=0.1)
        return dag.test(logical_date=logical_date, run_conf=conf)

    return run


@pytest.fixture
def dp(project: Path) -> FakeDp:
    """A ``dp`` that opens the run ``r1`` and succeeds at all else, unless told otherwise."""
    fake = FakeDp(project / ".venv" / "bin")
    program = fake.home / "dp"
    program.write_text(FAKE_DP.format(python=sys.executable), encoding="utf-8")
    program.chmod(0o755)
    fake.answer(discover=[{"out": json.dumps({"run_id": "r1"})}])
    return fake
