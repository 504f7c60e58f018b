"""The platform's own Spark for one bench."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from spark_jobs.session import get_spark

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@contextmanager
def local_spark(*jars: Path) -> Iterator[SparkSession]:
    """The session that a step gets where no warm server runs, with what a peer needs on its class path.

    Its Java ends with the block: when it ends it writes into the bench's folder, which is removed soon after.
    """
    if jars:
        os.environ["PYSPARK_SUBMIT_ARGS"] = f"--driver-class-path {os.pathsep.join(map(str, jars))} pyspark-shell"
    spark = get_spark()
    gateway = spark.sparkContext._gateway
    assert gateway is not None
    try:
        yield spark
    finally:
        spark.stop()
        gateway.shutdown()
        gateway.proc.stdin.close()
        gateway.proc.wait()
