"""Bringing a new source in: half a million rows in 300 daily files, from `dp new dataset` to published tables.

There is no peer: the limit is three minutes for a contract that nobody has written before, and a first run over all of
its files. In between somebody edits a line of the contract, which takes no time here. The files have what such exports
have: negative quantities, missing customers, ids written like 17850.0, prices of three decimals, `£` in an encoding
that is not UTF-8, quotes and commas in texts, and rows that equal another and count.

Afterwards every row must be accounted for, and quantities and prices must sum up exactly to what was written.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from benchmarks.harness import Bench
from benchmarks.retail import FIRST_DAY, Written, write_sales
from benchmarks.spark import local_spark
from data_platform.contracts.load import get_contracts
from data_platform.intervals import Interval
from data_platform.orchestrate import run_all
from data_platform.settings import PROJECT_ROOT, get_settings
from data_platform.warehouse.connection import query, transaction

SOURCE, DATASET = "wholesale", "sales"
FILES = 300
DP = Path(sys.executable).with_name("dp")
MOST_SECONDS, MOST_SECONDS_TO_DRAFT = 180, 60


def run(bench: Bench) -> None:
    bench.warehouse.connect().close()
    project = bench.directory / "project"
    for room in ("contracts", "dbt_project"):
        shutil.copytree(PROJECT_ROOT / room, project / room, ignore=shutil.ignore_patterns("target", "logs"))
    (project / "docs").mkdir()
    # The sample company lives in another time than these files.
    os.environ.update(PROJECT_ROOT=str(project), BUSINESS_DATE_OFFSET_DAYS="0")
    get_settings.cache_clear()
    get_contracts.cache_clear()
    landed = Path(get_settings().landing) / SOURCE / DATASET
    bench.say(f"writing {FILES} files")
    written = write_sales(landed, files=FILES)
    started = time.monotonic()
    dp("new", "dataset", DATASET, "--source", SOURCE, "--from", str(landed / "*.csv"))
    drafted = time.monotonic() - started
    contract = project / "contracts" / "sources" / SOURCE / f"{DATASET}.odcs.yaml"
    contract.write_text(contract.read_text("utf-8").replace("status: draft", "status: active"), encoding="utf-8")
    dp("contracts", "lint")
    dp("contracts", "compile")
    with local_spark():
        run_all(Interval(FIRST_DAY, FIRST_DAY + timedelta(days=FILES)), datasets=[DATASET])
    seconds = time.monotonic() - started
    check(written)
    bench.limit("seconds_to_draft", "s", drafted, at_most=MOST_SECONDS_TO_DRAFT)
    bench.limit("seconds_until_published", "s", seconds, at_most=MOST_SECONDS)


def dp(*words: str) -> None:
    """Runs a command as somebody would type it."""
    done = subprocess.run([DP, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def check(written: Written) -> None:
    """Every row that was written is published, with the same sums."""
    with transaction() as connection:
        (found,) = query(
            connection,
            """select count(*) as rows, count(*) filter (where customer_id is null) as without_customer,
                      sum(quantity) as quantity, sum(unit_price) as price from raw.sales""",
        )
        (files,) = query(
            connection,
            """select sum(rows_read) as read, sum(rows_live) as live, sum(rows_quarantined) as quarantined
               from ops.files where dataset = 'sales'""",
        )
    assert found == {
        "rows": written.rows,
        "without_customer": written.without_customer,
        "quantity": written.quantity,
        "price": Decimal(written.price),
    }, (found, written)
    assert files == {"read": written.rows, "live": written.rows, "quarantined": 0}, files
