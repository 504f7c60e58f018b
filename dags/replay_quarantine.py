"""
**Reads again what was fixed in quarantine, and publishes what follows from it.**

A steward says with `dp quarantine fix` what a broken row should read; the next night takes it in by itself. Trigger
this DAG when it cannot wait. *Dry run* lists what would be done: look for `quarantine fixed` in the log of `discover`.

It goes the way of `run_nightly`, through the same gates, for the datasets of the form: a delivery whose overrides have
changed is parsed again, whole, and whatever else is new or stale of these datasets comes with it. A corrected row keeps
the contract's rules; one that breaks them stays in quarantine. Nothing fixed and nothing stale: all that follows
`discover` is skipped.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from dags._shared.chain import steps
from dags._shared.defaults import Tag, common, deadline
from dags._shared.form import datasets_field, dry_run_field, reason_field

with DAG(
    dag_id="replay_quarantine",
    description="Reads again what was fixed in quarantine, through all gates, and publishes what follows.",
    schedule=None,
    deadline=deadline(timedelta(hours=4), "quarantine", after="queued"),
    params={
        "datasets": datasets_field(),
        "reason": reason_field(),
        "dry_run": dry_run_field(),
    },
    **common(__doc__, "quarantine", {Tag.REPAIR, Tag.PUBLISHES}),
):
    steps(discover=[])
