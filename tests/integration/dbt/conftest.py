"""One database and one project for all tests of this folder, as a dbt project takes seconds to parse first."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pytest

from data_platform.local.postgres import EmbeddedPostgres
from tests.conftest import Platform, forget_settings, make_platform
from tests.integration.dbt.workshop import empty_warehouse, make_project


@pytest.fixture(scope="session")
def project(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform whose contracts and dbt project hold the tests' models too; settings do not point at it yet."""
    home = tmp_path_factory.mktemp("dbt")
    make_project(home)
    patch = pytest.MonkeyPatch()
    for platform in make_platform(postgres, home, patch, today=date(1998, 7, 1)):
        patch.undo()
        yield platform


@pytest.fixture
def warehouse(project: Platform, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    """The platform, with nothing published; settings of this process point at it."""
    for name, value in {**project.environment, "PROJECT_ROOT": str(project.home)}.items():
        monkeypatch.setenv(name, value)
    forget_settings()
    empty_warehouse()
    yield project
    monkeypatch.undo()
    forget_settings()
