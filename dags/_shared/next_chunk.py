"""The next chunk of a range as a run of the same DAG, so that each chunk has a graph and logs of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk.exceptions import AirflowSkipException

if TYPE_CHECKING:
    from airflow.sdk import Context

MARK = "__from_"


class NextChunkOperator(TriggerDagRunOperator):
    """Triggers the DAG with the same form and another ``start``.

    Args:
        opened_by: the task whose result names, as ``next_start``, the first day that is left; None when none is.
    """

    def __init__(self, *, opened_by: str, **options: Any) -> None:
        super().__init__(skip_when_already_exists=True, **options)
        self.opened_by = opened_by

    def execute(self, context: Context) -> None:
        """Triggers at most one run for each chunk, also when it is taken again.

        Raises:
            AirflowSkipException: when no days are left.
        """
        next_start = context["ti"].xcom_pull(task_ids=self.opened_by)["next_start"]
        if next_start is None:
            raise AirflowSkipException("that was the last chunk")
        first_run = context["run_id"].partition(MARK)[0]
        self.trigger_run_id = f"{first_run}{MARK}{next_start}"
        self.conf = {**context["params"], "start": next_start}
        super().execute(context)
