"""Buttons of a task in Airflow's UI that lead to the reports of its run.

Airflow stores a link when the task ends, under the link's XCom key, so the UI needs neither our code nor a plugin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink

from data_platform.settings import get_settings

if TYPE_CHECKING:
    from airflow.sdk.types import TaskInstanceKey


class ReportLink(BaseOperatorLink):
    """A page below ``reports_dir``.

    Args:
        title: the button's text.
        page: path of the page, with ``{run_id}`` where the platform's run belongs.
    """

    def __init__(self, title: str, page: str) -> None:
        self._title = title
        self._page = page

    @property
    def name(self) -> str:
        return self._title

    @property
    def xcom_key(self) -> str:
        return f"_link_{self._title.lower().replace(' ', '_')}"

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002  Airflow's form
        """Address of the page for a ``DpOperator`` that has run, empty when there is no such page."""
        settings = get_settings()
        page = self._page.format(run_id=run_of(operator.arguments))
        if not settings.reports_port or not (settings.reports_dir / page).is_file():
            return ""
        return f"http://127.0.0.1:{settings.reports_port}/{page}"


def run_of(arguments: list[str]) -> str:
    """The platform's run that a rendered command works on."""
    return arguments[arguments.index("--run") + 1] if "--run" in arguments else ""


DBT_MODELS = ReportLink("dbt models", "dbt/{run_id}.html")
DATA_DOCS = ReportLink("Data Docs", "data_docs/index.html")
