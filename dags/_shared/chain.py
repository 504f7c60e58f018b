"""The steps of a run, one task each. Every DAG that publishes goes this one way."""

from __future__ import annotations

from collections.abc import Sequence

from airflow.sdk import chain

from dags._shared.defaults import sources
from dags._shared.dp import BuildOperator, DpOperator, GateOperator

RUN = ("--run", "{{ ti.xcom_pull(task_ids='discover')['run_id'] }}")


def steps(discover: Sequence[str]) -> None:
    """Adds the whole path to the DAG of the ``with`` block.

    Args:
        discover: arguments of ``dp discover`` that say which days; those of the form are added. Where it opens no run,
            because nothing is stale or somebody only wanted to look, the rest is skipped.
    """
    chain(
        DpOperator(
            task_id="discover",
            doc_md="Looks for new deliveries, derives what is stale, opens a run. Cleared, it opens another run.",
            arguments=["discover", *discover, *_of_the_form()],
            returns=("run_id",),
            proceed_if="run_id",
        ),
        DpOperator(
            task_id="ingest",
            doc_md="Parses each new delivery once, splits good from quarantined rows, commits them to the lake.",
            arguments=["ingest", *RUN],
        ),
        _gate("ingest", "Counts add up, and no delivery exceeds its tolerated share of broken rows."),
        DpOperator(
            task_id="stage",
            doc_md="Copies the stale days from the lake into the run's own schema, which nobody reads.",
            arguments=["stage", *RUN],
        ),
        _gate("stage", "The contracts' rules on the staged rows."),
        BuildOperator(
            task_id="build",
            doc_md="dbt builds what follows from the changed rows, in the run's schema. *dbt models* links the page.",
            arguments=["build", *RUN],
        ),
        _gate("build", "The contracts' rules on marts and features."),
        DpOperator(
            task_id="publish",
            doc_md="One transaction makes all of it visible. Refuses what has not passed its gates.",
            arguments=["publish", *RUN],
        ),
        DpOperator(
            task_id="export",
            doc_md="Brings Feast's online store up to the publication.",
            arguments=["export", *RUN],
        ),
        DpOperator(
            task_id="report",
            doc_md="Prints what the run did; fails if a delivery was held back. All else is published by then.",
            arguments=["report", *RUN],
        ),
    )


def _of_the_form() -> list[str]:
    """Arguments that repeat what the trigger form says; one that renders to nothing is left out."""
    datasets = [source.dataset for source in sources()]
    return [
        *(f"{{{{ '--dataset={name}' if '{name}' in params.datasets else '' }}}}" for name in datasets),
        "--reason={{ params.reason }}",
        "{{ '--dry-run' if params.dry_run else '' }}",
        "--json",
    ]


def _gate(step: str, what: str) -> GateOperator:
    return GateOperator(
        task_id=f"gate_{step}",
        doc_md=f"{what} A failed error rule stops the run, and consumers keep what they have.",
        arguments=["gate", step, *RUN],
    )
