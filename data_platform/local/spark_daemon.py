"""Spark's daemon of Python workers, with the heavy imports behind it.

The warm Spark server forks a fresh worker for each task, so that changed code of ours is never run from memory; what
a worker would import each time, in a second, is imported here once.
"""

from __future__ import annotations

import pandas as pd  # noqa: F401
import pyarrow as pa  # noqa: F401
import pyspark.worker  # noqa: F401
from pyspark.daemon import manager

if __name__ == "__main__":
    manager()
