"""Brings the platform on this machine up and down, and tells how it is."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import entry_points
from urllib.parse import urlsplit

from data_platform.environment import DEVELOPMENT, default_state_dir, env_file
from data_platform.failures import InputError, PermanentFailure
from data_platform.local.airflow import airflow_components, migrate_airflow, write_airflow_files
from data_platform.local.client import connect
from data_platform.local.components import Component, daemon_component
from data_platform.local.databases import Server, prepare_databases, role_passwords
from data_platform.local.external_postgres import ExternalPostgres
from data_platform.local.graph import Listener, Task, run_all
from data_platform.local.postgres import EmbeddedPostgres
from data_platform.local.processes import Daemon, is_listening, memory_mb, require_free_port
from data_platform.local.secrets import ensure_env_file, missing_keys
from data_platform.local.spark import owns_spark_server, spark_component
from data_platform.settings import Settings, get_settings

# What rooms want done once the warehouse is migrated: functions without arguments, quick and repeatable.
SET_UP = "data_platform.set_up"
LOOPBACK = ("127.0.0.1", "localhost")
STOPPED_LAST = ("airflow-api-server", "postgres")  # tasks still report to them how they ended


def set_up(*, generate: bool | None = None) -> Settings:
    """Completes the environment's file and returns the settings.

    Args:
        generate: whether missing secrets are made; by default in ``dev`` alone. Elsewhere new keys beside old data
            would part what belongs together, so somebody has to ask for them.

    Raises:
        InputError: when a setting is wrong, or is missing and must not be made.
    """
    environment = get_settings().dp_environment
    if generate is None:
        generate = environment == DEVELOPMENT
    if not generate and (missing := missing_keys(env_file())):
        raise InputError(
            f"{environment} has no {', '.join(missing)}",
            hint=f"bring {env_file()} from where you keep it; or, for a platform that is new, run `dp setup`, which "
            "writes it",
        )
    if ensure_env_file(env_file()):
        get_settings.cache_clear()
    settings = get_settings()
    settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings.reports_dir.mkdir(parents=True, exist_ok=True)
    return settings


def embedded_postgres(settings: Settings) -> EmbeddedPostgres | None:
    """The server of this checkout; None when settings point to somebody else's."""
    parts = urlsplit(settings.warehouse_url)
    if settings.postgres_admin_url.get_secret_value():
        return None
    if parts.hostname not in LOOPBACK or parts.port != settings.postgres_port:
        return None
    return EmbeddedPostgres(
        settings.state_dir / "postgres", settings.postgres_port, settings.postgres_superuser_password
    )


def external_postgres(settings: Settings) -> ExternalPostgres | None:
    """The server that POSTGRES_ADMIN_URL names; None when it names none."""
    url = settings.postgres_admin_url
    return ExternalPostgres(url) if url.get_secret_value() else None


def administered_server(settings: Settings) -> Server | None:
    """The server that set-up may change; None when WAREHOUSE_URL is one that its administrator has prepared."""
    return embedded_postgres(settings) or external_postgres(settings)


def postgres_component(server: EmbeddedPostgres) -> Component:
    """The embedded PostgreSQL as a component."""

    def start() -> None:
        server.init()
        server.start()

    address = f"127.0.0.1:{server.port}"
    return Component("postgres", server.check, start, server.stop, server.processes, server.is_running, address)


def reports_component(settings: Settings) -> Component:
    """A web server over the pages that gates and dbt write."""
    port = settings.reports_port
    serve = ("-m", "http.server", "--bind", "127.0.0.1", "--directory", str(settings.reports_dir), str(port))
    daemon = Daemon(
        name="reports",
        argv=(sys.executable, *serve),
        run_dir=settings.state_dir / "run",
        log_dir=settings.state_dir / "logs",
        cwd=settings.state_dir,
    )
    return daemon_component(
        daemon,
        lambda: is_listening(port),
        check=lambda: require_free_port(port, what="the reports' server", setting="REPORTS_PORT"),
        address=f"http://127.0.0.1:{port}",
    )


def worker_component(settings: Settings) -> Component:
    """The resident worker that runs `dp` commands without their imports."""
    daemon = Daemon(
        name="worker",
        argv=(sys.executable, "-m", "data_platform.local.worker"),
        run_dir=settings.state_dir / "run",
        log_dir=settings.state_dir / "logs",
        cwd=settings.project_root,
        environment={"STATE_DIR": str(settings.state_dir), "OPENBLAS_NUM_THREADS": "1"},
    )

    def accepts() -> bool:
        try:
            connect(daemon.run_dir).close()
        except OSError:
            return False
        return True

    return daemon_component(daemon, accepts)


def platform_components(settings: Settings) -> list[Component]:
    """All that runs when the platform is up."""
    server = embedded_postgres(settings)
    return [
        *([postgres_component(server)] if server else []),
        *airflow_components(settings),
        reports_component(settings),
        worker_component(settings),
        *([spark_component(settings)] if owns_spark_server(settings) else []),
    ]


def preparations(settings: Settings) -> list[Task]:
    """What has to be done between the start of PostgreSQL and that of its users; each is quick when done before."""
    server = administered_server(settings)

    def roles() -> None:
        if server:
            prepare_databases(server, role_passwords(settings))

    def migrate_warehouse() -> None:
        from data_platform.warehouse.migrate import migrate

        migrate()

    def airflow_metadata() -> None:
        write_airflow_files(settings)
        migrate_airflow(settings)

    def rooms() -> None:
        # What they write stands in the checkout; a second platform of the same checkout, as in tests, leaves it alone.
        if settings.state_dir == default_state_dir():
            for entry in entry_points(group=SET_UP):
                entry.load()()

    return [
        Task("databases", roles, ("postgres",) if embedded_postgres(settings) else ()),
        Task("warehouse", migrate_warehouse, ("databases",)),
        Task("rooms", rooms, ("warehouse",)),
        Task("airflow-metadata", airflow_metadata, ("databases",)),
    ]


def up(listener: Listener | None = None) -> Settings:
    """Starts whatever does not run, each part as soon as it can, and returns the settings.

    Raises:
        PlatformError: when a part could not start or a restore was cut off, before anything is started; or else the
            first part that does not start, and the others stay up.
    """
    from data_platform.local.restore import refuse_half_restored

    settings = set_up()
    refuse_half_restored(settings)
    components = platform_components(settings)
    if server := external_postgres(settings):
        server.check()
    for part in components:
        part.check()
    starts = [Task(part.name, part.start, part.needs) for part in components]
    run_all([*starts, *preparations(settings)], listener or Listener())
    return settings


def down(listener: Listener | None = None) -> None:
    """Stops all of it, PostgreSQL last; data stays. Does nothing where nothing was set up."""
    if not env_file().exists():
        return
    components = platform_components(get_settings())
    names = [part.name for part in components]

    def earlier(name: str) -> tuple[str, ...]:
        if name not in STOPPED_LAST:
            return ()
        before = STOPPED_LAST[: STOPPED_LAST.index(name)]
        return tuple(other for other in names if other not in STOPPED_LAST or other in before)

    tasks = [Task(part.name, part.stop, earlier(part.name)) for part in components]
    run_all(tasks, listener or Listener())


def erase_data() -> None:
    """Deletes the embedded PostgreSQL's data, wherever it had to go. The platform must be down.

    Raises:
        PermanentFailure: outside ``dev``.
    """
    if (environment := get_settings().dp_environment) != DEVELOPMENT:
        raise PermanentFailure(
            f"nothing is erased in {environment}", hint="remove its state by hand, if that is what you want"
        )
    if env_file().exists() and (server := embedded_postgres(get_settings())):
        server.remove()


def _row(part: Component) -> dict[str, object]:
    pids = part.pids()
    answers = part.probe()
    state = "running" if answers else "not answering" if pids else "stopped"
    return {
        "component": part.name,
        "state": state,
        "pid": next(iter(pids), None),
        "processes": len(pids),
        "memory_mb": memory_mb(pids) if pids else None,
        "address": part.address or None,
    }


def status() -> list[dict[str, object]]:
    """One row a component: component, state (running, not answering, stopped), pid, processes, memory_mb, address."""
    if not env_file().exists():
        return []
    components = platform_components(get_settings())
    ask: Callable[[Component], dict[str, object]] = _row
    with ThreadPoolExecutor(len(components)) as pool:
        return list(pool.map(ask, components))
