"""The warm Spark Connect server: one JVM that stays, so that an ingest pays neither its start nor its warm-up.

Listens on 127.0.0.1 and asks for a token, which reaches it and its clients by their environment only.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from zlib import crc32

from data_platform.failures import PermanentFailure, TransientFailure
from data_platform.local.components import Component, daemon_component
from data_platform.local.java import DEBIAN_PACKAGE, SUPPORTED, find_java_home
from data_platform.local.processes import Daemon, is_listening, require_free_port
from data_platform.local.secrets import write_private
from data_platform.settings import Settings

SERVER_CLASS = "org.apache.spark.sql.connect.service.SparkConnectServer"
TOKEN_VARIABLE = "SPARK_CONNECT_AUTHENTICATE_TOKEN"  # noqa: S105 — the variable's name
WARM_UP_TIMEOUT_S = 300
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
    return bool(settings.spark_remote) and not settings.has_foreign_spark


def _class_archive(settings: Settings, java_home: Path | None) -> Path:
    """Where the classes of this Spark on this Java are archived: with it the server starts in a quarter of the CPU
    time. The first server writes it when it ends.
    """
    java = (java_home / "release").read_text(encoding="utf-8") if java_home else ""
    made_for = java + version("pyspark")
    return settings.state_dir / "spark" / f"connect-{crc32(made_for.encode()):08x}.jsa"


def _unfinished(archive: Path) -> Path:
    """The archive while it is written: a server that is killed then must not leave half of one."""
    return archive.with_suffix(".part")


def server_properties(settings: Settings, archive: Path) -> dict[str, str]:
    """What the server starts with. No secret is among it."""
    scratch = settings.state_dir / "spark"
    classes = f"SharedArchiveFile={archive}" if archive.exists() else f"ArchiveClassesAtExit={_unfinished(archive)}"
    logging = settings.project_root / "spark_jobs" / "log4j2.properties"
    # The quick compiler only: on two cores the thorough one takes more from the first jobs than it gives back.
    java = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-XX:{classes}", "-Xshare:auto"]
    quiet = ["-Xlog:cds=off", "-Xlog:cds+dynamic=off", f"-Dlog4j2.configurationFile={logging}"]
    # Workers of a cluster call back; a Spark within this process does not.
    alone = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
    return {
        **(alone if settings.computes_here else {}),
        "spark.master": settings.spark_master,
        "spark.driver.memory": "1500m",
        "spark.driver.extraJavaOptions": " ".join([*java, *quiet]),
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(settings.spark_connect_port),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.local.dir": str(scratch / "tmp"),
        "spark.sql.warehouse.dir": str(scratch / "warehouse"),
        "spark.sql.session.timeZone": "UTC",
        "spark.python.daemon.module": "data_platform.local.spark_daemon",
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
    java_home = find_java_home()
    archive = _class_archive(settings, java_home)
    properties = archive.with_name("connect.properties")
    port = settings.spark_connect_port
    submit = str(Path(sys.executable).with_name("spark-submit"))
    daemon = Daemon(
        name="spark-connect",
        argv=(submit, "--properties-file", str(properties), "--class", SERVER_CLASS, "spark-internal"),
        run_dir=settings.state_dir / "run",
        log_dir=settings.state_dir / "logs",
        cwd=settings.project_root,
        environment={
            "JAVA_HOME": str(java_home or ""),
            "PYSPARK_PYTHON": sys.executable,
            **({"SPARK_LOCAL_IP": "127.0.0.1"} if settings.computes_here else {}),
            TOKEN_VARIABLE: settings.spark_connect_token.get_secret_value(),
        },
        stop_timeout_s=40 if archive.exists() else 120,  # the first one writes it
    )

    def check() -> None:
        if java_home is None:
            needed = " or ".join(map(str, SUPPORTED))
            hint = f"apt-get install {DEBIAN_PACKAGE}"
            raise PermanentFailure(f"Spark needs Java {needed}, and there is none", hint=hint)
        require_free_port(port, what="the Spark server", setting="SPARK_CONNECT_PORT")

    def before_start() -> None:
        _unfinished(archive).unlink(missing_ok=True)
        options = server_properties(settings, archive)
        write_private(properties, "".join(f"{name} {value}\n" for name, value in options.items()))

    def keep_archive() -> None:
        if _unfinished(archive).exists():
            _unfinished(archive).replace(archive)

    return daemon_component(
        daemon,
        lambda: is_listening(port),
        check=check,
        before_start=before_start,
        after_start=lambda: _warm_up(settings),
        after_stop=keep_archive,
        address=settings.spark_remote,
    )
