"""A disk that is full while a run works: one message, nothing published, and the next run ends the work."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from data_platform.intervals import ONE_DAY
from data_platform.local.postgres import EmbeddedPostgres
from data_platform.settings import get_settings
from data_platform.warehouse.connection import close_idle
from sample_company.small import land_small_shop
from tests.conftest import Platform, make_platform
from tests.forked import dp, run_forked
from tests.state import newest_publication

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("spark_server")]
START, DAYS = date(1998, 1, 5), 8


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system of so many MB."""
    folder.mkdir(parents=True)
    try:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", folder]
        if subprocess.run(mount, capture_output=True).returncode:
            pytest.skip("needs the right to mount a file system of a few MB")
        try:
            yield folder
        finally:
            subprocess.run(["umount", folder], check=True)
    finally:
        folder.rmdir()


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """No byte is left on a disk."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 16))
        except OSError:
            pass
    try:
        yield
    finally:
        ballast.unlink()


@pytest.fixture
def shop(postgres: EmbeddedPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    for platform in make_platform(postgres, tmp_path, monkeypatch, today=START + DAYS * ONE_DAY):
        land_small_shop(platform.landing, customers=30, days=DAYS, start=START)
        yield platform


def run(shop: Platform) -> tuple[int, str]:
    """Exit code and words of `dp run`."""
    said = shop.home / "said"
    said.unlink(missing_ok=True)
    return run_forked(dp, "run", said=said), said.read_text()


def test_no_space_for_the_lake(shop: Platform) -> None:
    with small_disk(shop.home / "state" / "lake", 64) as disk:
        stops_and_goes_on(shop, disk)


def test_no_space_for_the_warehouse(shop: Platform, postgres: EmbeddedPostgres) -> None:
    home = postgres.data_dir.resolve()
    with small_disk(home.parent / f"{home.name}_small_disk", 96) as disk, tables_on(postgres, disk):
        stops_and_goes_on(shop, disk)


def stops_and_goes_on(shop: Platform, disk: Path) -> None:
    """A full disk stops a run with one message, and the next run, once there is space, ends the work."""
    with filled(disk):
        code, said = run(shop)
        assert code == 3, said
        assert "disk is full" in said
        assert "Traceback" not in said
    assert newest_publication() == 0
    code, said = run(shop)
    assert code == 0, said
    assert newest_publication() == 1


@contextmanager
def tables_on(server: EmbeddedPostgres, disk: Path) -> Iterator[None]:
    """The test's database lies on another disk; whatever it writes there first needs space."""
    owner = server.data_dir.resolve().stat()
    os.chown(disk, owner.st_uid, owner.st_gid)
    disk.chmod(0o700)
    database = urlsplit(get_settings().warehouse_url).path.strip("/")
    connection = server.connect()
    close_idle()  # nobody may be in a database that moves
    with connection.cursor() as cursor:
        cursor.execute("create tablespace small_disk location %s", (str(disk),))
        cursor.execute(f"alter database {database} set tablespace small_disk")
    try:
        yield
    finally:
        close_idle()
        with connection.cursor() as cursor:
            cursor.execute(f"alter database {database} set tablespace pg_default")
            cursor.execute("drop tablespace small_disk")
        connection.close()
