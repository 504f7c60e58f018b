"""The warm Spark Connect server: one JVM that stays, so that an ingest pays neither its start nor its warm-up.

Listens on 127.0.0.1 and asks for a token, which reaches it and its clients by their environment only.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from data_platform.failures import PermanentFailure, TransientFailure
from data_platform.local.components import Component, daemon_component
from data_platform.local.java import DEBIAN_PACKAGE, find_java_home
from data_platform.local.processes import Daemon, is_listening, require_free_port
from data_platform.local.secrets import write_private
from data_platform.settings import Settings

SERVER_CLASS = "org.apache.spark.sql.connect.service.SparkConnectServer"
TOKEN_VARIABLE = "SPARK_CONNECT_AUTHENTICATE_TOKEN"  # noqa: S105 — the variable's name
WARM_UP_TIMEOUT_S = 180
# One job through each part that an ingest uses: Parquet out and in, a Python worker fed with Arrow.
WARM_UP = """
import sys
from pyspark.sql import SparkSession
spark = SparkSession.builder.remote(sys.argv[1]).getOrCreate()
rows = spark.range(1000).selectExpr("id", "cast(id as string) as text", "id % 7 as day")
rows.write.mode("overwrite").partitionBy("day").parquet(sys.argv[2])
read = spark.read.parquet(sys.argv[2]).mapInArrow(lambda batches: batches, "id long, text string, day int")
assert read.groupBy("day").count().count() == 7
spark.stop()
"""


def owns_spark_server(settings: Settings) -> bool:
    """Whether SPARK_REMOTE means the server of this platform, rather than none or somebody else's."""
    remote = urlsplit(settings.spark_remote)
    return remote.hostname == "localhost" and remote.port == settings.spark_connect_port


def server_properties(settings: Settings) -> dict[str, str]:
    """What the server starts with. No secret is among it."""
    scratch = settings.state_dir / "spark"
    archive = scratch / "connect.jsa"
    classes = "-XX:SharedArchiveFile" if archive.exists() else "-XX:ArchiveClassesAtExit"
    logging = settings.project_root / "spark_jobs" / "log4j2.properties"
    java = ["-XX:+UseSerialGC", f"{classes}={archive}", "-Xshare:auto", "-Xlog:cds=off", "-Xlog:cds+dynamic=off"]
    return {
        "spark.master": "local[*]",
        "spark.driver.memory": "1500m",
        "spark.driver.extraJavaOptions": " ".join([*java, f"-Dlog4j2.configurationFile={logging}"]),
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(settings.spark_connect_port),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.local.dir": str(scratch / "tmp"),
        "spark.sql.warehouse.dir": str(scratch / "warehouse"),
        "spark.sql.session.timeZone": "UTC",
        "spark.python.worker.reuse": "false",
        "spark.python.daemon.module": "data_platform.local.spark_daemon",
    }


def _environment(settings: Settings) -> dict[str, str]:
    home = find_java_home()
    if home is None:
        raise PermanentFailure("Spark needs Java 17 or 21, and there is none", hint=f"apt-get install {DEBIAN_PACKAGE}")
    return {
        "JAVA_HOME": str(home),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_NO_DAEMONIZE": "1",
        TOKEN_VARIABLE: settings.spark_connect_token.get_secret_value(),
    }


def _warm_up(settings: Settings) -> None:
    target = settings.state_dir / "spark" / "warm-up"
    try:
        done = subprocess.run(
            [sys.executable, "-c", WARM_UP, settings.spark_remote, str(target)],
            env={**os.environ, TOKEN_VARIABLE: settings.spark_connect_token.get_secret_value()},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=WARM_UP_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise TransientFailure(f"the Spark server did not answer a query within {WARM_UP_TIMEOUT_S} s") from None
    if done.returncode:
        tail = "".join(f"\n    {line}" for line in done.stderr.splitlines()[-5:])
        raise TransientFailure(f"the Spark server does not answer its first query:{tail}")


def spark_component(settings: Settings) -> Component:
    """The server as a component."""
    scratch = settings.state_dir / "spark"
    properties = scratch / "connect.properties"
    port = settings.spark_connect_port
    submit = str(Path(sys.executable).with_name("spark-submit"))
    daemon = Daemon(
        name="spark-connect",
        argv=(submit, "--properties-file", str(properties), "--class", SERVER_CLASS, "spark-internal"),
        run_dir=settings.state_dir / "run",
        log_dir=settings.state_dir / "logs",
        cwd=settings.project_root,
        environment=_environment(settings),
    )

    def before_start() -> None:
        require_free_port(port, what="the Spark server", setting="SPARK_CONNECT_PORT")
        scratch.mkdir(parents=True, exist_ok=True)
        content = "".join(f"{name} {value}\n" for name, value in server_properties(settings).items())
        write_private(properties, content)

    return daemon_component(
        daemon,
        lambda: is_listening(port),
        before_start=before_start,
        after_start=lambda: _warm_up(settings),
        address=settings.spark_remote,
    )
