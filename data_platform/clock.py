"""The business clock: what "today" and "yesterday" mean for the data."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from data_platform.settings import get_settings


def business_now() -> datetime:
    """Now on the business clock, in UTC."""
    return datetime.now(UTC) - timedelta(days=get_settings().business_date_offset_days)


def business_date() -> date:
    """Today on the business clock."""
    return business_now().date()


def due_day() -> date:
    """The last whole day: the one that a night loads."""
    return business_date() - timedelta(days=1)


def to_business(day: date) -> date:
    """The business day of a calendar day (Airflow's data intervals are calendar days)."""
    return day - timedelta(days=get_settings().business_date_offset_days)
