"""What must hold for every DAG file. A policy is a function that names what is wrong, nothing when all is well."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from airflow.dag_processing.dagbag import DagBag
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, CronDataIntervalTimetable, RetryAction
from airflow.serialization.serialized_objects import DagSerialization

from dags._shared import alerts
from dags._shared.chain import steps
from dags._shared.defaults import RUNBOOKS, Tag
from dags._shared.dp import DpOperator, TransientStepFailure
from dags._shared.next_chunk import NextChunkOperator
from data_platform.settings import PROJECT_ROOT, Settings, get_settings

VERBS = {"backfill", "erase", "index", "land", "maintain", "monitor", "replay", "rollback", "run", "train"}
LIGHT_PACKAGES = {"airflow", "dags", "data_platform"} | set(sys.stdlib_module_names)
LONGEST_LOAD = timedelta(seconds=1)
STEPS_WITH_GATES = ("ingest", "stage", "build")

assert steps.__module__ == "dags._shared.chain"  # loaded here, so that no DAG file is charged for what all share


@dataclass(frozen=True)
class DagFile:
    """A file of the DAGs folder as Airflow's parser sees it."""

    path: Path
    dags: tuple[DAG, ...]
    error: str | None
    load_time: timedelta
    packages: frozenset[str]

    @property
    def tasks(self) -> list[DpOperator]:
        return [task for dag in self.dags for task in dag.tasks]


def load(path: Path) -> DagFile:
    """Loads one file the way the DAG processor does."""
    before = set(sys.modules)
    bag = DagBag(dag_folder=path, safe_mode=False)
    new = {name.split(".")[0] for name in set(sys.modules) - before if not name.startswith("unusual_prefix_")}
    took = sum((stat.duration for stat in bag.dagbag_stats), timedelta())
    return DagFile(path, tuple(bag.dags.values()), "\n".join(bag.import_errors.values()) or None, took, frozenset(new))


def imports_without_error(file: DagFile) -> Iterator[str]:
    if file.error:
        yield file.error


def holds_one_dag_named_like_the_file(file: DagFile) -> Iterator[str]:
    names = [dag.dag_id for dag in file.dags]
    if names != [file.path.stem]:
        yield f"holds {names}"


def is_named_by_a_verb_phrase(file: DagFile) -> Iterator[str]:
    for dag in file.dags:
        verb, _, rest = dag.dag_id.partition("_")
        if verb not in VERBS or not re.fullmatch(r"[a-z]+(_[a-z]+)*", rest):
            yield f"{dag.dag_id}: not a verb of {sorted(VERBS)} and what it is done to"


def has_tags_of_the_closed_set(file: DagFile) -> Iterator[str]:
    known = {str(tag) for tag in Tag}
    for dag in file.dags:
        if not dag.tags or not dag.tags <= known:
            yield f"{dag.dag_id}: tags {sorted(dag.tags)}, known are {sorted(known)}"


def has_an_owner(file: DagFile) -> Iterator[str]:
    for task in file.tasks:
        if task.owner in {"", "airflow"}:
            yield f"{task.task_id}: owner {task.owner!r}"


def has_notes_and_a_runbook_that_exists(file: DagFile) -> Iterator[str]:
    for dag in file.dags:
        linked = re.findall(rf"\]\(({RUNBOOKS}/[\w-]+\.md)\)", dag.doc_md or "")
        if len((dag.doc_md or "").split()) < 40:
            yield f"{dag.dag_id}: no notes worth reading"
        if not linked or not all((PROJECT_ROOT / path).is_file() for path in linked):
            yield f"{dag.dag_id}: runbooks {linked}"


def has_a_deadline(file: DagFile) -> Iterator[str]:
    for dag in file.dags:
        if not dag.deadline or any(alert.interval <= timedelta(0) for alert in dag.deadline):
            yield f"{dag.dag_id}: deadline {dag.deadline}"


def retries_only_what_is_transient(file: DagFile) -> Iterator[str]:
    for task in file.tasks:
        policy = task.retry_policy
        if not policy or not 1 <= task.retries <= 5 or not task.retry_exponential_backoff or not task.max_retry_delay:
            yield f"{task.task_id}: no bounded retries with backoff and a policy"
            continue
        expected = {TransientStepFailure("x"): RetryAction.RETRY, RuntimeError("x"): RetryAction.FAIL}
        for error, action in expected.items():
            if policy.evaluate(error, 1, task.retries).action is not action:
                yield f"{task.task_id}: {type(error).__name__} does not {action.value}"


def tells_of_failures_once_they_are_final(file: DagFile) -> Iterator[str]:
    for task in file.tasks:
        told = [callback.__module__ for callback in (*task.on_failure_callback, *task.on_success_callback)]
        if told != [alerts.__name__] * 2:
            yield f"{task.task_id}: its end is told to {told}"
        if task.on_retry_callback:
            yield f"{task.task_id}: tells of a try that is followed by another"
    for dag in file.dags:
        for deadline in dag.deadline:
            if deadline.callback.path != f"{alerts.__name__}.{alerts.report_missed_deadline.__name__}":
                yield f"{dag.dag_id}: a missed deadline is told to {deadline.callback.path}"


def gates_stand_before_every_publication(file: DagFile) -> Iterator[str]:
    for task in file.tasks:
        if not isinstance(task, DpOperator) or task.arguments[0] != "publish":
            continue
        upstream = {tuple(t.arguments[:2]) for t in task.get_flat_relatives(upstream=True) if isinstance(t, DpOperator)}
        taken = {command[0] for command in upstream}
        gates = {("gate", step) for step in STEPS_WITH_GATES if step in taken}
        if missing := gates - upstream:
            yield f"{task.task_id}: not after {sorted(missing)}"
        if not {"stage", "build"} <= taken:
            yield f"{task.task_id}: publishes what was not staged and built"


def goes_on_only_after_success(file: DagFile) -> Iterator[str]:
    for task in file.tasks:
        if task.trigger_rule != "all_success":
            yield f"{task.task_id}: trigger rule {task.trigger_rule} would pass a failed gate"


def holds_only_commands_of_dp(file: DagFile) -> Iterator[str]:
    for task in file.tasks:
        if not isinstance(task, DpOperator | ApprovalOperator | NextChunkOperator):
            yield f"{task.task_id}: is a {type(task).__name__}"


def explains_every_task(file: DagFile) -> Iterator[str]:
    for task in file.tasks:
        if not task.doc_md:
            yield f"{task.task_id}: no doc_md"


def has_typed_and_described_params(file: DagFile) -> Iterator[str]:
    for dag in file.dags:
        for name in dag.params:
            param = dag.params.get_param(name)
            if not param.schema.get("type") or not param.schema.get("title") or not param.description:
                yield f"{dag.dag_id}: param {name} has no type, title or description"


def imports_light_modules_only(file: DagFile) -> Iterator[str]:
    if heavy := file.packages - LIGHT_PACKAGES:
        yield f"loads {sorted(heavy)}"


def loads_quickly(file: DagFile) -> Iterator[str]:
    if file.load_time > LONGEST_LOAD:
        yield f"took {file.load_time}: the DAG processor loads it every few seconds"


def holds_no_secret(file: DagFile) -> Iterator[str]:
    settings = get_settings()
    fields = (name for name in Settings.model_fields if hasattr(getattr(settings, name), "get_secret_value"))
    values = {name: getattr(settings, name).get_secret_value() for name in fields}
    for dag in file.dags:
        text = json.dumps(DagSerialization.to_dict(dag), default=str)
        for name, value in values.items():
            if value and value in text:
                yield f"{dag.dag_id}: holds the value of {name.upper()}"


def runs_once_at_a_time(file: DagFile) -> Iterator[str]:
    for dag in file.dags:
        if dag.max_active_runs != 1 or dag.catchup:
            yield f"{dag.dag_id}: max_active_runs {dag.max_active_runs}, catchup {dag.catchup}"


def is_scheduled_by_interval(file: DagFile) -> Iterator[str]:
    for dag in file.dags:
        if dag.schedule is not None and not isinstance(dag.schedule, CronDataIntervalTimetable):
            yield f"{dag.dag_id}: with {dag.schedule!r} a run would not know its day"


POLICIES: dict[str, Callable[[DagFile], Iterator[str]]] = {
    policy.__name__: policy
    for policy in (
        imports_without_error,
        holds_one_dag_named_like_the_file,
        is_named_by_a_verb_phrase,
        has_tags_of_the_closed_set,
        has_an_owner,
        has_notes_and_a_runbook_that_exists,
        has_a_deadline,
        retries_only_what_is_transient,
        tells_of_failures_once_they_are_final,
        gates_stand_before_every_publication,
        goes_on_only_after_success,
        holds_only_commands_of_dp,
        explains_every_task,
        has_typed_and_described_params,
        imports_light_modules_only,
        loads_quickly,
        holds_no_secret,
        runs_once_at_a_time,
        is_scheduled_by_interval,
    )
}
