"""The company as it lands, once for all tests of this folder; removed afterwards, since it is 200 MB."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from data_platform.intervals import Interval
from sample_company import cdnow
from sample_company.company import company
from sample_company.landing import Landed

REAL_DAYS = Interval(cdnow.FIRST_DAY, cdnow.LAST_DAY + timedelta(days=1))


@pytest.fixture(scope="session")
def landed_company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Landed]]:
    """The landing folder with the real days, and what landing them said. Not to be written to."""
    landing = tmp_path_factory.mktemp("company") / "landing"
    yield landing, company().land(landing, REAL_DAYS)
    shutil.rmtree(landing)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its bytes."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}
