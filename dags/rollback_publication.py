"""
**Takes back what a publication's deliveries brought, after a person has approved it.**

Press *Trigger* and name the publication (`dp publications` lists them) and the reason. `show` tells which days would be
restored and held, and which tables would be built again; `approve` waits up to a day for somebody to answer under
*Required Actions*. Nothing is written before that. *Reject* ends the run and changes nothing.

After it the days stay as they were before the publication, and later deliveries of them wait, until somebody runs
`dp release PUBLICATION`; then the next night takes them in again. Consumers see the state before or the one after.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, Param, chain

from dags._shared.chain import from_stage, run_of
from dags._shared.defaults import Tag, common, deadline
from dags._shared.dp import DpOperator
from dags._shared.form import reason_field

WAITS = timedelta(days=1)
ROLLBACK = ("rollback", "{{ params.publication }}", "--reason={{ params.reason }}", "--json")

with DAG(
    dag_id="rollback_publication",
    description="Takes back what a publication's deliveries brought, after a person has approved it.",
    schedule=None,
    deadline=deadline(WAITS + timedelta(hours=4), "rollback", after="queued"),
    params={
        "publication": Param(
            title="Publication",
            description="Number of the publication that is taken back; `dp publications` lists them.",
            type="integer",
            minimum=1,
        ),
        "reason": reason_field(),
    },
    **common(__doc__, "rollback", {Tag.REPAIR, Tag.PUBLISHES}),
):
    show = DpOperator(
        task_id="show",
        doc_md="Tells what would be restored, held and built again; writes nothing.",
        arguments=[*ROLLBACK, "--dry-run"],
        returns=("summary",),
    )
    approve = ApprovalOperator(
        task_id="approve",
        doc_md="Waits for a person. *Reject* skips all that follows.",
        subject="Roll back publication {{ params.publication }}?",
        body="{{ ti.xcom_pull(task_ids='show')['summary'] }}\n\nReason: {{ params.reason }}",
        response_timeout=WAITS,
        execution_timeout=None,
    )
    hold = DpOperator(
        task_id="hold",
        doc_md="Writes the hold and opens the run that carries it out; from here on the next night would, too.",
        arguments=[*ROLLBACK, "--open"],
        returns=("run_id",),
    )
    chain(show, approve, hold, *from_stage(run_of(hold)))
