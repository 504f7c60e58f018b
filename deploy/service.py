"""Becomes one service of docker-compose.yml: waits for what that needs, writes its files, and turns into its program.

    python deploy/service.py NAME

What the services need of each other is waited for here, so that they may start in any order and anew at any time.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psycopg2
from pydantic import SecretStr

from data_platform.failures import PlatformError, TransientFailure
from data_platform.local.airflow import airflow_environment, airflow_program
from data_platform.local.graph import Listener, run_all
from data_platform.local.postgres import EmbeddedPostgres
from data_platform.local.secrets import write_private
from data_platform.local.spark import SERVER_CLASS, server_properties
from data_platform.settings import PROJECT_ROOT, Settings, get_settings

PROGRAMS = PROJECT_ROOT / ".venv" / "bin"
DATA = Path("/data")
WAIT_S = 300
SET_UP, REGISTERED = "the set-up", "published features"
MASTER = "spark://spark-master:7077"
# Longer than any task may take: a message that was not confirmed by then goes to another worker.
VISIBILITY_S = 24 * 3600


@dataclass(frozen=True)
class Program:
    """What a service turns into."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Service:
    """How to become a service.

    Args:
        program: writes its files and returns its program; called once what it needs is there.
        needs: ``host:port`` of what must answer before, or one of ``STATES``.
    """

    program: Callable[[], Program]
    needs: tuple[str, ...] = ()


def main() -> int:
    """Entry point; returns when the service could not start."""
    names = sys.argv[1:]
    if len(names) != 1 or names[0] not in SERVICES:
        sys.stderr.write(f"usage: service.py {'|'.join(SERVICES)}\n")
        return 2
    service = SERVICES[names[0]]
    try:
        wait(service)
        program = service.program()
    except PlatformError as error:
        sys.stderr.write(f"{names[0]}: {error}\n")
        return error.exit_code
    return os.execvpe(program.argv[0], program.argv, {**os.environ, **program.environment})  # noqa: S606


def wait(service: Service) -> None:
    """Waits until all that a service needs is there.

    Raises:
        TransientFailure: when it is not there in time; the service is then started anew.
    """
    ends = time.monotonic() + WAIT_S
    for need in service.needs:
        is_there = STATES.get(need) or partial(listens, need)
        while not is_there():
            if time.monotonic() > ends:
                raise TransientFailure(f"waited {WAIT_S} s for {need}", hint="look at its log")
            time.sleep(2)


def listens(address: str) -> bool:
    """Whether somebody listens at ``host:port``."""
    host, _, port = address.partition(":")
    try:
        socket.create_connection((host, int(port)), timeout=2).close()
    except OSError:
        return False
    return True


def set_up_mark() -> Path:
    """Where the set-up notes which image it was done by."""
    return get_settings().state_dir / "set-up"


def version() -> str:
    """Changes with anything that makes the set-up necessary again."""
    made_from = hashlib.sha256(os.environ.get("WAREHOUSE_URL", "").encode())
    for file in sorted((PROJECT_ROOT / "data_platform").rglob("*")):
        if file.suffix in {".py", ".sql"}:
            made_from.update(file.read_bytes())
    made_from.update((PROJECT_ROOT / "requirements" / "airflow.txt").read_bytes())
    return made_from.hexdigest()


def is_set_up() -> bool:
    """Whether databases and tables are those of this image."""
    try:
        return set_up_mark().read_text(encoding="utf-8") == version()
    except FileNotFoundError:
        return False


def is_registered() -> bool:
    """Whether the feature server's role finds features."""
    server = get_settings().warehouse_parameters("serving")
    try:
        with closing(psycopg2.connect(**{**server, "dbname": "feast"})) as connection, connection.cursor() as cursor:
            cursor.execute("select exists (select from feature_services)")
            return cursor.fetchone() == (True,)
    except psycopg2.Error:  # no right to enter, no table: an export gives both
        return False


STATES = {SET_UP: is_set_up, REGISTERED: is_registered}


def postgres() -> Program:
    """The PostgreSQL of the platform's own package, for the services of this network."""
    hold_volume(DATA)
    server = EmbeddedPostgres(DATA / "postgres", 5432, SecretStr(os.environ["POSTGRES_SUPERUSER_PASSWORD"]))
    server.init()
    access = "host all all all scram-sha-256"
    hba = server.data_dir / "pg_hba.conf"
    if access not in hba.read_text(encoding="utf-8").splitlines():
        with hba.open("a", encoding="utf-8") as file:
            file.write(f"{access}\n")
    (server.data_dir / "postmaster.pid").unlink(
        missing_ok=True
    )  # of a container that is gone: this one holds the volume
    return Program((str(server.programs / "postgres"), "-D", str(server.data_dir), "-c", "listen_addresses=*"))


def hold_volume(folder: Path) -> int:
    """Keeps a folder for this process and what it turns into; returns the file that the system keeps locked for it.

    Raises:
        TransientFailure: when another container has it.
    """
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise TransientFailure(
            f"another container works on the volume at {folder}",
            hint="stop it: two servers on one folder would destroy it",
        ) from None
    os.set_inheritable(lock, True)
    return lock


def redis() -> Program:
    """Celery's queue; what is in it outlives the container."""
    settings = DATA / "redis.conf"
    lines = ["bind * -::*", "dir /data", "appendonly yes", f"requirepass {os.environ['REDIS_PASSWORD']}"]
    write_private(settings, "\n".join([*lines, ""]))
    return Program(("redis-server", str(settings)))


def set_up() -> Program:
    """Roles, databases, tables; it then waits to be asked whether that was done."""
    from data_platform.local.up import external_postgres, preparations

    settings = get_settings()
    for folder in (settings.reports_dir, Path(settings.landing)):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if server := external_postgres(settings):
        server.check()
    run_all(preparations(settings), Said())
    write_private(set_up_mark(), version())
    return Program(("env", "-i", "sleep", "infinity"))  # without the administrator's address


class Said(Listener):
    """Tells the container's log what was done."""

    def finished(self, name: str, seconds: float, error: PlatformError | None) -> None:
        """One line a part."""
        sys.stderr.write(f"{name}: {'failed' if error else 'done'} ({seconds:.1f} s)\n")


def airflow(*arguments: str) -> Callable[[], Program]:
    """A component of Airflow, which hands its tasks to Celery."""

    def program() -> Program:
        settings = get_settings()
        return Program((str(airflow_program(settings)), *arguments), celery_environment(settings))

    return program


def celery_environment(settings: Settings) -> dict[str, str]:
    """Every setting of Airflow as on one machine, but for where its parts are; the container's environment wins."""
    database = "db+postgresql+psycopg2://airflow@postgres:5432/airflow"
    options: dict[str, Any] = {
        "API__HOST": "0.0.0.0",  # noqa: S104 — within the container
        "CORE__EXECUTOR": "CeleryExecutor",
        "CORE__EXECUTION_API_SERVER_URL": "http://airflow-api-server:8080/execution/",
        "CELERY__BROKER_URL": f"redis://:{os.environ['REDIS_PASSWORD']}@redis:6379/0",
        "CELERY__RESULT_BACKEND": database,
        "CELERY__WORKER_CONCURRENCY": 2,
        "CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": VISIBILITY_S,
    }
    own = {name: value for name, value in os.environ.items() if name.startswith("AIRFLOW__")}
    return airflow_environment(settings) | {f"AIRFLOW__{k}": str(v) for k, v in options.items()} | own


def spark_properties(name: str, **properties: str) -> str:
    """Path of a file with the properties of one of Spark's processes; the cluster's secret is among them."""
    common = {
        "spark.authenticate": "true",
        "spark.authenticate.secret": os.environ["SPARK_CLUSTER_SECRET"],
        "spark.master.rest.enabled": "false",
    }
    file = Path("/tmp") / f"{name}.properties"  # noqa: S108 — the container's own
    write_private(file, "".join(f"{key} {value}\n" for key, value in (common | properties).items()))
    return str(file)


def spark_master() -> Program:
    """The cluster's master, which finds its applications and workers again when it is started anew."""
    recovery = get_settings().state_dir / "spark" / "master"
    recovery.mkdir(parents=True, exist_ok=True)
    kept = {"spark.deploy.recoveryMode": "FILESYSTEM", "spark.deploy.recoveryDirectory": str(recovery)}
    return spark_class("deploy.master.Master", "spark-master", kept, "--host", "spark-master", "--port", "7077")


def spark_worker() -> Program:
    """One of the cluster's workers."""
    return spark_class("deploy.worker.Worker", "spark-worker", {}, "--work-dir", "/tmp/work", MASTER)  # noqa: S108


def spark_class(name: str, service: str, properties: Mapping[str, str], *arguments: str) -> Program:
    """A class of Spark as a program."""
    file = spark_properties(service, **properties)
    return Program(
        (str(PROGRAMS / "spark-class"), f"org.apache.spark.{name}", "--properties-file", file, *arguments),
        {"SPARK_NO_DAEMONIZE": "1"},
    )


def spark_connect() -> Program:
    """The Connect server that the tasks ask; the cluster computes."""
    settings = get_settings().model_copy(update={"spark_master": MASTER, "spark_connect_port": 15002})
    options = server_properties(settings, settings.state_dir / "spark" / "none.jsa") | {
        "spark.driver.extraJavaOptions": "-XX:+UseSerialGC",
        "spark.driver.host": "spark-connect",
        "spark.connect.grpc.binding.address": "0.0.0.0",  # noqa: S104 — within the container
        "spark.executor.memory": "1g",
        "spark.pyspark.python": str(PROGRAMS / "python"),
    }
    file = spark_properties("spark-connect", **options)
    submit = str(PROGRAMS / "spark-submit")
    return Program((submit, "--properties-file", file, "--class", SERVER_CLASS, "spark-internal"))


def feast() -> Program:
    """Feast's feature server; it may read what is online, and nothing else."""
    from feature_repo.store import render

    folder = Path("/tmp/feast")  # noqa: S108 — the container's own
    write_private(folder / "feature_store.yaml", render(get_settings(), "serving"))
    serve = ("serve", "--host", "0.0.0.0", "--port", "6566", "--no-access-log")  # noqa: S104 — within the container
    return Program((str(PROGRAMS / "feast"), "--chdir", str(folder), *serve), {"HOME": str(folder)})


def reports() -> Program:
    """The pages that gates and dbt write."""
    folder = str(get_settings().reports_dir)
    return Program((sys.executable, "-m", "http.server", "--directory", folder, "8090"))


SERVICES = {
    "postgres": Service(postgres),
    "redis": Service(redis),
    "set-up": Service(set_up, needs=("postgres:5432",)),
    "airflow-api-server": Service(airflow("api-server"), needs=("postgres:5432", SET_UP)),
    **{
        f"airflow-{name}": Service(airflow(*arguments), needs=(SET_UP, "redis:6379", "airflow-api-server:8080"))
        for name, arguments in {
            "scheduler": ("scheduler", "--skip-serve-logs"),
            "dag-processor": ("dag-processor",),
            "triggerer": ("triggerer", "--skip-serve-logs"),
            "worker": ("celery", "worker", "--skip-serve-logs", "--without-gossip", "--without-mingle"),
        }.items()
    },
    "spark-master": Service(spark_master),
    "spark-worker": Service(spark_worker, needs=("spark-master:7077",)),
    "spark-connect": Service(spark_connect, needs=("spark-master:7077",)),
    "feast": Service(feast, needs=("postgres:5432", REGISTERED)),
    "reports": Service(reports),
}

if __name__ == "__main__":
    sys.exit(main())
