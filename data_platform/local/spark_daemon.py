"""Spark's daemon of Python workers, with the heavy imports behind it, and an end.

The warm server starts a daemon for each session, so a new command never meets the code of an old one. What each worker
would import in a second is imported here once. Spark's own daemon stays until the server ends, a hundred megabytes a
session; this one ends when it has had no worker for a while. Spark starts a new one should the session want it again.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import FrameType

import adbc_driver_postgresql.dbapi  # noqa: F401
import pandas as pd  # noqa: F401
import pyarrow as pa  # noqa: F401
import pyspark.worker  # noqa: F401
from pyspark.daemon import manager

# Spark ends a worker that was idle for a minute; each check that finds none counts.
CHECK_SECONDS = float(os.environ.get("DP_SPARK_DAEMON_CHECK_SECONDS", "60"))
CHECKS_WITHOUT_WORKERS = 2
_checks = 0


def _end_when_idle(_number: int, _frame: FrameType | None) -> None:
    global _checks
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii").split()
    _checks = 0 if children else _checks + 1
    if _checks >= CHECKS_WITHOUT_WORKERS:
        os._exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGALRM, _end_when_idle)
    signal.setitimer(signal.ITIMER_REAL, CHECK_SECONDS, CHECK_SECONDS)
    manager()
