"""Feast's own commands, run by a Feast user in the folder of the feature repository."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from data_platform.contracts.load import get_contracts
from data_platform.local.postgres import EmbeddedPostgres
from data_platform.local.secrets import pick_port
from data_platform.warehouse.connection import transaction
from data_platform.warehouse.tables import ensure_tables
from feature_repo import store
from feature_repo.read import read_online
from tests.conftest import make_platform
from tests.integration.feature_repo.published import PURCHASES, publish_rows, purchases_row

pytestmark = pytest.mark.integration
FEAST = Path(sys.executable).with_name("feast")
START_TIMEOUT_S = 180


@pytest.fixture(scope="module")
def repository(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of ``feature_repo/`` with its settings written, as after set-up, and ``feast apply`` done."""
    home = tmp_path_factory.mktemp("repository")
    copy = home / "feature_repo"
    shutil.copytree(store.FOLDER, copy, ignore=shutil.ignore_patterns("__pycache__", store.RENDERED.name))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "RENDERED", copy / store.RENDERED.name)
        patch.setenv("PYTHONPATH", str(store.FOLDER.parent))
        for _ in make_platform(postgres, home, patch, today=date(1998, 2, 1)):
            with transaction() as connection:
                ensure_tables(connection, get_contracts().of_layer("features"))
            publish_rows(PURCHASES, ["00001"], [purchases_row("00001", date(1998, 1, 5), orders=3)])
            store.write_settings()
            feast(copy, "apply")
            yield copy


def feast(repository: Path, *arguments: str) -> str:
    done = subprocess.run([FEAST, *arguments], cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_plan_finds_no_view_twice(repository: Path) -> None:
    assert "No changes to infrastructure" in feast(repository, "plan")


def test_materialize_brings_what_was_published_online(repository: Path) -> None:
    feast(repository, "materialize", "1998-01-01T00:00:00", "1998-02-01T00:00:00", "--views", PURCHASES)
    (row,) = read_online([{"customer_id": "00001"}], "churn_v1", datetime.now(UTC), role="platform")
    assert row.features["order_count_lifetime"] == 3


@pytest.fixture
def ui(repository: Path) -> Iterator[str]:
    """Address of Feast's UI."""
    port = pick_port()
    with (repository / "ui.log").open("w", encoding="utf-8") as log:
        command = [str(FEAST), "ui", "--host", "127.0.0.1", "--port", str(port)]
        process = subprocess.Popen(command, cwd=repository, stdout=log, stderr=log, env=dict(os.environ))
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=30)


def fetch(address: str) -> str:
    """The body of a page; waits while the server starts."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            with urlopen(address, timeout=30) as response:  # noqa: S310 - our own server
                return str(response.read().decode())
        except URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)


def test_the_ui_shows_views_and_services(ui: str) -> None:
    assert "<title>" in fetch(f"{ui}/")
    views = json.loads(fetch(f"{ui}/api/v1/feature_views?project=data_platform"))
    names = {view["spec"]["name"] for view in views["featureViews"]}
    assert names == {c.dataset for c in get_contracts().of_layer("features")} | {"customer_recency"}
    assert "churn_v1" in fetch(f"{ui}/api/v1/feature_services?project=data_platform")
