"""The steps of a run, one task each. Every DAG that publishes goes this one way."""

from __future__ import annotations

from collections.abc import Sequence

from airflow.sdk import chain

from dags._shared.defaults import sources
from dags._shared.dp import BuildOperator, DpOperator, GateOperator
from dags._shared.next_chunk import NextChunkOperator


def steps(discover: Sequence[str], returns: Sequence[str] = ("run_id",)) -> list[DpOperator]:
    """Adds the whole path to the DAG of the ``with`` block, and returns its tasks in order.

    Args:
        discover: arguments of ``dp discover`` that say which days; those of the form are added. Where it opens no run,
            because nothing is stale or somebody only wanted to look, the rest is skipped.
        returns: fields of what it prints that later tasks ask for.
    """
    opening = DpOperator(
        task_id="discover",
        doc_md="Looks for new deliveries, derives what is stale, opens a run. Cleared, it opens another run.",
        arguments=["discover", *discover, *_of_the_form()],
        returns=returns,
        proceed_if="run_id",
    )
    run = run_of(opening)
    tasks = [
        opening,
        DpOperator(
            task_id="ingest",
            doc_md="Parses each new delivery once, splits good from quarantined rows, commits them to the lake.",
            arguments=["ingest", *run],
        ),
        _gate("ingest", run, "Counts add up, and no delivery exceeds its tolerated share of broken rows."),
        *from_stage(run),
    ]
    chain(*tasks)
    return tasks


def trigger_next_chunk(tasks: Sequence[DpOperator]) -> None:
    """Triggers the DAG again for the days that are left, once those before are published and exported.

    What follows does not wait for ``report``, which is red when anything was held back: all else goes on.
    """
    exported = next(task for task in tasks if task.task_id == "export")
    exported >> NextChunkOperator(
        task_id="next_chunk",
        doc_md="Triggers this DAG for the days that are left of the range; skipped after the last chunk.",
        trigger_dag_id="{{ dag.dag_id }}",
        opened_by=tasks[0].task_id,
    )


def run_of(opening: DpOperator) -> tuple[str, str]:
    """Arguments that name the run which a task has opened."""
    return "--run", f"{{{{ ti.xcom_pull(task_ids='{opening.task_id}')['run_id'] }}}}"


def from_stage(run: tuple[str, str]) -> list[DpOperator]:
    """The tasks after the lake, in their order: what every run that publishes ends with."""
    return [
        DpOperator(
            task_id="stage",
            doc_md="Copies the stale days from the lake into the run's own schema, which nobody reads.",
            arguments=["stage", *run],
        ),
        _gate("stage", run, "The contracts' rules on the staged rows."),
        BuildOperator(
            task_id="build",
            doc_md="dbt builds what follows from the changed rows, in the run's schema. *dbt models* links the page.",
            arguments=["build", *run],
        ),
        _gate("build", run, "The contracts' rules on marts and features."),
        DpOperator(
            task_id="publish",
            doc_md="One transaction makes all of it visible, if all gates have passed. Where another run has published "
            "what this one read, all is made again first.",
            arguments=["publish", *run],
        ),
        DpOperator(
            task_id="export",
            doc_md="Brings Feast's online store up to the publication.",
            arguments=["export", *run],
        ),
        DpOperator(
            task_id="report",
            doc_md="Prints what the run did; fails if anything was held back. All else is published by then.",
            arguments=["report", *run],
        ),
    ]


def _of_the_form() -> list[str]:
    """Arguments that repeat what the trigger form says; one that renders to nothing is left out."""
    datasets = [source.dataset for source in sources()]
    return [
        *(f"{{{{ '--dataset={name}' if '{name}' in params.datasets else '' }}}}" for name in datasets),
        "--reason={{ params.reason }}",
        "{{ '--dry-run' if params.dry_run else '' }}",
        "--json",
    ]


def _gate(step: str, run: tuple[str, str], what: str) -> GateOperator:
    return GateOperator(
        task_id=f"gate_{step}",
        doc_md=f"{what} What breaks an error rule is held back and the rest goes on; where no part can be told "
        "apart, the run stops, and consumers keep what they have.",
        arguments=["gate", step, *run],
    )
