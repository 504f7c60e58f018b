"""A project of its own to write into."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from data_platform.cli.main import build_app
from tests.conftest import forget_settings

Dp = Callable[..., Result]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root of an empty project."""
    monkeypatch.setenv("PROJECT_ROOT", str(tmp_path / "project"))
    monkeypatch.setenv("STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("DP_ENV_FILE", str(tmp_path / "no.env"))
    forget_settings()
    return tmp_path / "project"


@pytest.fixture
def dp(project: Path) -> Dp:
    """Runs a command of ``dp new``."""
    return lambda *words: CliRunner().invoke(build_app(), ["new", *map(str, words)])
