"""The Spark session: a Connect server where one is set up and answers, else a Spark inside this process."""

from __future__ import annotations

import os
import socket
import sys
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from data_platform.failures import InputError, TransientFailure
from data_platform.local.java import DEBIAN_PACKAGE, SUPPORTED, find_java_home
from data_platform.settings import Settings, get_settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

APPLICATION = "data-platform"
# Of calls to a server that does not answer, about 15 s in all: by default a step would wait ten minutes for a dead one.
RETRIES = 5
# Hold in any session, also in one that a server shares.
SESSION_OPTIONS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.shuffle.partitions": "8",
    "spark.sql.adaptive.enabled": "true",
    # Batches on their way to Python are bounded by rows alone: with a bound in bytes, Spark measures the whole batch
    # again for each row, which takes 40% of a load.
    "spark.sql.execution.arrow.maxRecordsPerBatch": "10000",
    "spark.sql.execution.arrow.maxBytesPerBatch": str(2**31 - 1),
    # The default, INT96, has no statistics and is not what Delta writes.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # What is personal must not come out of a failing worker by way of its source lines' values.
    "spark.sql.execution.pyspark.udf.simplifiedTraceback.enabled": "true",
}


@lru_cache(maxsize=1)
def get_spark() -> SparkSession:
    """The session of this process; started by the first call.

    Raises:
        InputError: when no Java is found.
        TransientFailure: when Spark does not start, or the server of somebody else does not answer.
    """
    settings = get_settings()
    if settings.spark_remote and _answers(settings.spark_remote):
        return _connect(settings)
    if settings.has_foreign_spark:  # which reaches what a Spark of our own may not
        raise TransientFailure(
            f"the Spark server {settings.spark_remote} does not answer", hint="is it up, and is SPARK_REMOTE right?"
        )
    return _start_local(settings)


def _answers(remote: str) -> bool:
    parts = urlsplit(remote)
    try:
        with socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 15002), timeout=0.5):
            return True
    except OSError:
        return False


def _connect(settings: Settings) -> SparkSession:
    from pyspark.sql import SparkSession
    from pyspark.sql.connect.client.retries import DefaultPolicy

    token = settings.spark_connect_token.get_secret_value()
    if token:
        # By the environment: in the address it would show up in messages.
        os.environ["SPARK_CONNECT_AUTHENTICATE_TOKEN"] = token
    builder = SparkSession.builder.remote(settings.spark_remote).appName(APPLICATION)
    for name, value in SESSION_OPTIONS.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.client.set_retry_policies([DefaultPolicy(max_retries=RETRIES)])
    return session


def _start_local(settings: Settings) -> SparkSession:
    home = find_java_home()
    if home is None:
        versions = " or ".join(map(str, SUPPORTED))
        raise InputError(
            f"Spark needs Java {versions}, and none was found",
            hint=f"install it: apt-get install {DEBIAN_PACKAGE}; or point JAVA_HOME at one",
        )
    os.environ["JAVA_HOME"] = str(home)
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    for name in ("SPARK_REMOTE", "SPARK_CONNECT_MODE_ENABLED"):  # or pyspark would look for a server
        os.environ.pop(name, None)
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master(settings.spark_master).appName(APPLICATION)
    for name, value in (launch_options(settings) | SESSION_OPTIONS).items():
        builder = builder.config(name, value)
    try:
        return builder.getOrCreate()
    except (PySparkException, OSError) as error:
        raise TransientFailure(
            f"Spark does not start: {error}", hint="check free memory and disk, then try again"
        ) from None


def launch_options(settings: Settings) -> dict[str, str]:
    """What a Spark of our own starts with; no secret is among it, for it stands in the process list."""
    scratch = settings.state_dir / "spark"
    scratch.mkdir(parents=True, exist_ok=True)
    options = {
        "spark.driver.memory": "1500m",
        "spark.driver.extraJavaOptions": " ".join(java_options(scratch)),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
        "spark.local.dir": str(scratch / "tmp"),
        "spark.sql.warehouse.dir": str(scratch / "warehouse"),
        "spark.python.daemon.module": "data_platform.local.spark_daemon",
    }
    if settings.computes_here:
        options |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
    return options


def java_options(scratch: Path) -> list[str]:
    """Options for a quick start: one collector thread, classes from an archive once there is one.

    The archive saves 4 s of CPU a start. Stopping at the first compiler would save another 2, and make bulk loads
    1.8 times slower.
    """
    archive = scratch / "classes.jsa"
    use = "-XX:SharedArchiveFile" if archive.exists() else "-XX:ArchiveClassesAtExit"
    log = f"-Dlog4j2.configurationFile={Path(__file__).with_name('log4j2.properties')}"
    return ["-XX:+UseSerialGC", f"{use}={archive}", "-Xshare:auto", "-Xlog:cds=off", log]
