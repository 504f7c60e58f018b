"""A platform that is up, with a fortnight of the shop published: one for all end-to-end tests of a run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from benchmarks.platform import Platform, running_platform
from data_platform.contracts.load import get_contracts
from data_platform.intervals import Interval
from data_platform.settings import get_settings

DAY = date(1998, 6, 11)
HISTORY = Interval(date(1998, 5, 26), DAY)
TODAY = date(1998, 6, 17)


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """PostgreSQL, Airflow, worker and Spark, with ``HISTORY`` published; the process's settings point at it."""
    directory = tmp_path_factory.mktemp("platform")
    for folder in (directory, *directory.parents[:3]):
        folder.chmod(0o755)  # PostgreSQL runs as another user when we are root
    before = dict(os.environ)
    try:
        with running_platform(directory, TODAY) as platform:
            platform.land(HISTORY)
            platform.load(HISTORY)
            yield platform
    finally:
        os.environ.clear()
        os.environ.update(before)
        get_settings.cache_clear()
        get_contracts.cache_clear()


@pytest.fixture(scope="session")
def night(running: Platform) -> dict[str, Any]:
    """A night that loaded ``DAY``: Airflow's run and its tasks."""
    running.land(Interval.of_day(DAY))
    run, *tasks = running.night(DAY)
    return {"run": run, "tasks": tasks}
