"""The fields of the trigger forms."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param

from dags._shared.defaults import sources


def datasets_field() -> Param:
    """Which sources a run looks at; all unless somebody chooses."""
    names = [contract.dataset for contract in sources()]
    return Param(
        names,
        title="Datasets",
        description="Sources whose deliveries are looked at. What is derived from them follows by itself.",
        type="array",
        items={"type": "string", "enum": names},
        examples=names,
        minItems=1,
        uniqueItems=True,
    )


def day_field(title: str, description: str) -> Param:
    """A day that must be given."""
    return Param(title=title, description=description, type="string", format="date", pattern=r"^\d{4}-\d{2}-\d{2}$")


def reason_field(default: str | None = None) -> Param:
    """Why somebody runs this. Required without a default."""
    field: dict[str, Any] = {
        "title": "Reason",
        "description": "Kept with the run and its publication. Never write a customer's name or number here.",
        "type": "string",
        "minLength": 5,
        "maxLength": 200,
    }
    return Param(**field) if default is None else Param(default, **field)


def rebuild_field() -> Param:
    """Whether to trust what is published."""
    what = "Do these days, and what is built from them, whatever their state: also what is as it should be."
    return _switch("Rebuild", what)


def dry_run_field() -> Param:
    """Whether to only look."""
    return _switch("Dry run", "Only tell what would be done (see the log of `discover`); nothing is written.")


def _switch(title: str, description: str) -> Param:
    return Param(False, title=title, description=description, type="boolean")
