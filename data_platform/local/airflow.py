"""Airflow 3 on this machine: its settings, its metadata database and its four components.

Everything listens on 127.0.0.1 only. The log servers that ``airflow standalone`` opens on all interfaces are
off; task logs are read from disk.
"""

from __future__ import annotations

import json
import os
import subprocess
from functools import cache
from pathlib import Path

from data_platform.failures import PermanentFailure, PlatformError, TransientFailure
from data_platform.local.airflow_client import AirflowClient
from data_platform.local.components import Component, daemon_component
from data_platform.local.processes import Daemon, require_free_port
from data_platform.local.secrets import write_private
from data_platform.settings import Settings

ADMIN = "admin"
MIGRATE_TIMEOUT_S = 180


def airflow_home(settings: Settings) -> Path:
    """Where Airflow keeps its logs and generated files."""
    return settings.state_dir / "airflow"


def airflow_program(settings: Settings) -> Path:
    """The ``airflow`` of the orchestrator's environment."""
    return settings.project_root / ".venv-airflow" / "bin" / "airflow"


def airflow_url(settings: Settings) -> str:
    """Address of the UI and the API."""
    return f"http://127.0.0.1:{settings.airflow_port}"


def airflow_client(settings: Settings) -> AirflowClient:
    """A client of the running Airflow, logged in as its administrator."""
    return AirflowClient(airflow_url(settings), ADMIN, settings.airflow_admin_password)


def airflow_environment(settings: Settings) -> dict[str, str]:
    """Every setting of Airflow, as environment variables; the database's password is in a file for libpq."""
    home = airflow_home(settings)
    url = airflow_url(settings)
    warehouse = settings.warehouse_parameters()
    database = f"postgresql+psycopg2://airflow@{warehouse['host']}:{warehouse['port']}/airflow"
    options = {
        "CORE__DAGS_FOLDER": settings.project_root / "dags",
        "CORE__LOAD_EXAMPLES": False,
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": True,
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": 4,
        "CORE__HOSTNAME_CALLABLE": "socket.gethostname",
        "CORE__FERNET_KEY": settings.airflow_fernet_key.get_secret_value(),
        "CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{ADMIN}:admin",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": home / "passwords.json",
        "API__HOST": "127.0.0.1",
        "API__PORT": settings.airflow_port,
        "API__BASE_URL": url,
        "API__WORKERS": 1,
        "API__SECRET_KEY": settings.airflow_secret_key.get_secret_value(),
        "API_AUTH__JWT_SECRET": settings.airflow_jwt_secret.get_secret_value(),
        "DATABASE__SQL_ALCHEMY_CONN": database,
        "DAG_PROCESSOR__PARSING_PROCESSES": 1,
        "DAG_PROCESSOR__REFRESH_INTERVAL": 30,
        "DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": home / "bundles",
        "LOGGING__BASE_LOG_FOLDER": home / "logs",
        "LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": home / "logs" / "dag_processor",
        "LOGGING__COLORED_CONSOLE_LOG": False,
        "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": 0.5,
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": 60,
        # Where the end of a task is missed by a hair, its supervisor looks again after this time, by default 5 s.
        "WORKERS__MIN_HEARTBEAT_INTERVAL": 1,
        "SCHEDULER__ENABLE_HEALTH_CHECK": False,
        "USAGE_DATA_COLLECTION__ENABLED": False,
        "COSMOS__ENABLE_TELEMETRY": False,
    }
    return {
        **{f"AIRFLOW__{name}": str(value) for name, value in options.items()},
        "AIRFLOW_HOME": str(home),
        "PGPASSFILE": str(home / "pgpass"),
        "PYTHONPATH": str(settings.project_root),
        "DP_ENVIRONMENT": settings.dp_environment,
        "DP_PROJECT_ROOT": str(settings.project_root),
        "STATE_DIR": str(settings.state_dir),
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }


def write_airflow_files(settings: Settings) -> None:
    """Writes the administrator's password and the database's, each readable by its owner only."""
    home = airflow_home(settings)
    write_private(home / "passwords.json", json.dumps({ADMIN: settings.airflow_admin_password.get_secret_value()}))
    warehouse = settings.warehouse_parameters()
    password = settings.airflow_database_password.get_secret_value().replace("\\", "\\\\").replace(":", "\\:")
    write_private(home / "pgpass", f"{warehouse['host']}:{warehouse['port']}:airflow:airflow:{password}\n")


@cache
def _installed_version(program: Path) -> str:
    found = sorted(program.parent.parent.glob("lib/python*/site-packages/apache_airflow_core-*.dist-info"))
    return found[-1].name if found else ""


def migrate_airflow(settings: Settings) -> None:
    """Brings Airflow's metadata database to the installed version; a stamp saves the 10 s when it is there.

    Raises:
        TransientFailure: when Airflow cannot do it; carries what it said.
    """
    program = airflow_program(settings)
    stamp = airflow_home(settings) / "migrated"
    version = f"{_installed_version(program)} {settings.warehouse_url}"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == version:
        return
    try:
        done = subprocess.run(
            [program, "db", "migrate"],
            env={**os.environ, **airflow_environment(settings)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=MIGRATE_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise TransientFailure(f"migrating Airflow's database took over {MIGRATE_TIMEOUT_S} s") from None
    if done.returncode:
        tail = "".join(f"\n    {line}" for line in (done.stdout + done.stderr).splitlines()[-8:])
        raise TransientFailure(f"Airflow's database cannot be migrated:{tail}", hint="is PostgreSQL up? `make status`")
    write_private(stamp, version)


def airflow_components(settings: Settings) -> list[Component]:
    """api-server, scheduler, dag-processor and triggerer. They start side by side; each answers for itself."""
    program = str(airflow_program(settings))
    environment = airflow_environment(settings)
    client = airflow_client(settings)
    state = settings.state_dir

    def component(name: str, *options: str, health_key: str, address: str = "") -> Component:
        daemon = Daemon(
            name=f"airflow-{name}",
            argv=(program, name, *options),
            run_dir=state / "run",
            log_dir=state / "logs",
            cwd=settings.project_root,
            environment=environment,
            children_first=name == "triggerer",  # else it waits 10 s for its runner
        )

        def is_healthy() -> bool:
            since = daemon.started_at()
            try:
                return (
                    since is not None
                    and client.is_healthy(health_key, since)
                    and (not address or daemon.listens_on(settings.airflow_port))
                )
            except PlatformError:
                return False

        def check() -> None:
            if not airflow_program(settings).exists():
                raise PermanentFailure(f"{program} is missing", hint="run `make up`, which installs it")
            if address:
                require_free_port(settings.airflow_port, what="Airflow", setting="AIRFLOW_PORT")

        return daemon_component(
            daemon,
            is_healthy,
            check=check,
            after_start=client.warm_up if address else lambda: None,
            address=address,
            needs=("airflow-metadata",),
        )

    return [
        component("api-server", health_key="metadatabase", address=airflow_url(settings)),
        component("scheduler", "--skip-serve-logs", health_key="scheduler"),
        component("dag-processor", health_key="dag_processor"),
        component("triggerer", "--skip-serve-logs", health_key="triggerer"),
    ]
