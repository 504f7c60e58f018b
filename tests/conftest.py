"""Fixtures of all tests: a real Postgres and Spark that all processes of a session share, and platforms on them."""

from __future__ import annotations

import base64
import fcntl
import gc
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from pydantic import SecretStr

from data_platform.contracts.load import get_contracts
from data_platform.gates.loading import load as load_great_expectations
from data_platform.intervals import Interval
from data_platform.local.components import Component
from data_platform.local.databases import GUESTS, prepare_databases, restrict_database
from data_platform.local.postgres import EmbeddedPostgres
from data_platform.local.processes import signal_all
from data_platform.local.secrets import pick_port
from data_platform.local.spark import spark_component
from data_platform.local.worker import MADE_OF_CONTRACTS
from data_platform.orchestrate import run_all
from data_platform.settings import PROJECT_ROOT, ROLES, Settings, get_settings
from sample_company.small import land_small_shop
from spark_jobs.session import get_spark
from tests.projects import make_two_sources, two_sources

settings.register_profile("repeatable", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("repeatable")

PASSWORD = "only-in-tests"
TEMPLATE = "warehouse"
SHOP_DAYS = Interval(date(1998, 1, 5), date(1998, 1, 17))
# The process that tests are started by chooses, and those that it starts hear of it.
POSTGRES_PORT, SPARK_PORT = (
    int(os.environ.setdefault(f"TEST_{server}_PORT", str(pick_port()))) for server in ("POSTGRES", "SPARK")
)
SPARK = {
    "SPARK_CONNECT_PORT": str(SPARK_PORT),
    "SPARK_REMOTE": f"sc://localhost:{SPARK_PORT}",
    "SPARK_CONNECT_TOKEN": PASSWORD,
}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keeps the tests of a file on one core, and those of a folder that has fixtures of its own: they share servers."""
    from xdist.scheduler import LoadScopeScheduling

    class ByServer(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = PROJECT_ROOT / nodeid.partition("::")[0]
            shares = file.parent.name != "tests" and (file.parent / "conftest.py").is_file()
            return str(file.parent if shares else file)

    return ByServer(config, log)


def pytest_configure(config: pytest.Config) -> None:
    """Makes the folder of the servers that tests share; whoever needs one first starts it."""
    if not _is_worker(config):
        os.environ["TEST_SERVERS"] = tempfile.mkdtemp(prefix="servers-")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stops the servers once nobody tests any longer."""
    if _is_worker(config):
        return
    folder = _servers()
    if (folder / "spark").exists():
        server = _spark_server()
        signal_all(server.pids(), signal.SIGKILL)  # asked to stop, it would write its classes for a next start
        server.stop()
    if (folder / "postgres").exists():
        postgres = _postgres_server()
        postgres.stop()
        postgres.remove()
    shutil.rmtree(folder)


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def _servers() -> Path:
    return Path(os.environ["TEST_SERVERS"])


def _postgres_server() -> EmbeddedPostgres:
    return EmbeddedPostgres(_servers() / "postgres" / "data", POSTGRES_PORT, SecretStr(PASSWORD))


def _spark_server() -> Component:
    with pytest.MonkeyPatch.context() as patch:
        home = str(_servers() / "spark")
        _set(patch, {"DP_ENV_FILE": f"{home}/no.env", "STATE_DIR": home, **SPARK})
        return spark_component(Settings())


@contextmanager
def _once(name: str) -> Iterator[Path | None]:
    """The folder to make something in that all processes use, or None when one has made it; they wait meanwhile."""
    done = _servers() / f"{name}.done"
    with done.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if done.exists():
            yield None
            return
        folder = _servers() / name
        folder.mkdir()
        yield folder
        done.touch()


@dataclass(frozen=True)
class Platform:
    """An empty platform: a migrated warehouse, and a folder for everything that it writes."""

    home: Path
    environment: dict[str, str]

    @property
    def landing(self) -> Path:
        return self.home / "state" / "landing"

    @property
    def database(self) -> str:
        return self.environment["WAREHOUSE_URL"].rpartition("/")[2]


@pytest.fixture(scope="session")
def postgres(untraced_engines: None) -> EmbeddedPostgres:
    """A running PostgreSQL whose database ``warehouse`` is migrated, and serves as a template."""
    server = _postgres_server()
    with _once("postgres") as folder, pytest.MonkeyPatch.context() as patch:
        if folder:
            make_two_sources()
            server.init()
            server.start()
            _hurry(server)
            prepare_databases(server, {role: SecretStr(PASSWORD) for role in (*ROLES, "airflow")})
            _set(patch, _environment(server, TEMPLATE, folder, date(1998, 7, 1)))
            from data_platform.warehouse.migrate import migrate

            migrate()
    forget_settings()
    return server


@pytest.fixture(scope="session")
def spark_server() -> Iterator[Component]:
    """A Spark Connect server that all platforms of these fixtures use; without it each process starts a cold Spark."""
    with _once("spark") as folder:
        server = _spark_server()
        if folder:
            start_spark(server)
    yield server
    end_spark_session()


def _hurry(server: EmbeddedPostgres) -> None:
    """No test takes the machine's power away, nor guesses a password."""
    connection = server.connect()
    with connection.cursor() as cursor:
        for setting in ("fsync = off", "full_page_writes = off", "scram_iterations = 1"):
            cursor.execute(f"alter system set {setting}")
        cursor.execute("select pg_reload_conf()")
    connection.close()


def start_spark(server: Component) -> None:
    """Starts it, or starts it again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SPARK_REMOTE", raising=False)  # our setting, which its own launcher would take for an order
        server.start()


def end_spark_session() -> None:
    """Says good-bye as long as the server is there: later it would be tried for minutes when this process ends."""
    if get_spark.cache_info().currsize:
        get_spark().stop()
        get_spark.cache_clear()


@pytest.fixture
def platform(postgres: EmbeddedPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    """A platform of the test's own, on the business date 1998-02-01; settings of this process point at it."""
    yield from make_platform(postgres, tmp_path, monkeypatch, today=date(1998, 2, 1))


@pytest.fixture(scope="session")
def published_shop(postgres: EmbeddedPostgres, spark_server: Component) -> Platform:
    """A small shop on the day after ``SHOP_DAYS``: all but the last in one publication, the last in another.

    It is there to be copied.
    """
    last, home = max(SHOP_DAYS), _servers() / "shop"
    platform = Platform(home, _environment(postgres, "published_shop", home, SHOP_DAYS.end))
    with _once("shop") as folder, pytest.MonkeyPatch.context() as patch:
        if folder:
            _create_database(postgres, platform, like=None)
            _set(patch, platform.environment)
            land_small_shop(platform.landing, customers=30, days=len(SHOP_DAYS), start=SHOP_DAYS.start)
            run_all(Interval(SHOP_DAYS.start, last))
            run_all(Interval.of_day(last))
    forget_settings()
    return platform


@pytest.fixture
def shop(
    published_shop: Platform, postgres: EmbeddedPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Platform]:
    """A copy of the published shop for each test."""
    yield from make_platform(postgres, tmp_path, monkeypatch, today=SHOP_DAYS.end, like=published_shop)


@pytest.fixture(scope="session")
def untraced_engines() -> Iterator[None]:
    """Measures no coverage inside dbt, Great Expectations and Feast, where hardly anything is ours: a run would take
    twice as long.
    """
    if sys.gettrace() is None:
        yield
        return
    load_great_expectations()
    from dbt.cli.main import dbtRunner
    from feast import FeatureStore
    from great_expectations.data_context import AbstractDataContext
    from great_expectations.data_context.store import Store
    from great_expectations.datasource.fluent.interfaces import Batch

    gc.collect()
    gc.freeze()  # half a million objects that stay; else they are looked through in nearly every run
    with pytest.MonkeyPatch.context() as patch:
        for engine, method in (
            (dbtRunner, "invoke"),
            (Batch, "validate"),
            (Store, "set"),
            (AbstractDataContext, "build_data_docs"),
            (FeatureStore, "apply"),
        ):
            patch.setattr(engine, method, _untraced(getattr(engine, method)))
        yield


def _untraced(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any, **options: Any) -> Any:
        here, elsewhere = sys.gettrace(), threading.gettrace()
        sys.settrace(None)
        threading.settrace(None)  # type: ignore[arg-type]
        try:
            return function(*arguments, **options)
        finally:
            threading.settrace(elsewhere)  # type: ignore[arg-type]
            sys.settrace(here)

    return call


def make_platform(
    server: EmbeddedPostgres,
    home: Path,
    patch: pytest.MonkeyPatch,
    *,
    today: date,
    like: Platform | None = None,
    project: Path | None = None,
) -> Iterator[Platform]:
    """Makes a platform that is empty, or a copy, points settings at it, and drops its database afterwards.

    Its project is the one of two sources, unless another is named.

    Names of databases are used again: dbt keeps what it has parsed as long as it is asked for the same one, and parsing
    the project takes a second.
    """
    database = next(name for number in count() if (name := f"test_{os.getpid()}_{number}") not in _databases)
    _databases.add(database)
    environment = _environment(server, database, home, today)
    platform = Platform(home, environment | ({"PROJECT_ROOT": str(project)} if project else {}))
    _create_database(server, platform, like)
    dbt, parsed = home / "state" / "dbt", _servers() / f"dbt_{database}"
    if like:
        shutil.copytree(like.home / "state", home / "state", ignore=shutil.ignore_patterns("dbt"))
        _log_sequences(server, database)
    if parsed.exists():
        shutil.copytree(parsed, dbt)
    _set(patch, platform.environment)
    try:
        yield platform
    finally:
        connection = server.connect()  # the server may have been killed meanwhile
        with connection.cursor() as cursor:
            cursor.execute(f"drop database {database} with (force)")
        connection.close()
        _databases.remove(database)
        forget_settings()
        if dbt.exists() and not parsed.exists():
            shutil.copytree(dbt, parsed)


_databases: set[str] = set()


def _create_database(server: EmbeddedPostgres, platform: Platform, like: Platform | None) -> None:
    connection = server.connect()
    with connection.cursor() as cursor:
        if like:  # Great Expectations keeps connections for a while
            cursor.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (like.database,)
            )
        template = like.database if like else TEMPLATE
        cursor.execute(f"create database {platform.database} template {template} strategy file_copy owner platform")
    restrict_database(connection, platform.database, GUESTS[TEMPLATE])
    connection.close()


def _log_sequences(server: EmbeddedPostgres, database: str) -> None:
    """Lets a killed server find the numbers again that a copied database has given: at first they are not logged."""
    connection = server.connect(database)
    with connection.cursor() as cursor:
        cursor.execute(
            """select setval(format('%I.%I', schemaname, sequencename)::regclass, last_value)
               from pg_sequences where last_value is not null"""
        )
    connection.close()


def _environment(server: EmbeddedPostgres, database: str, home: Path, today: date) -> dict[str, str]:
    return {
        "DP_ENV_FILE": str(home / "no.env"),
        "STATE_DIR": str(home / "state"),
        "PROJECT_ROOT": str(two_sources()),
        "WAREHOUSE_URL": f"postgresql://127.0.0.1:{server.port}/{database}",
        **{f"WAREHOUSE_PASSWORD_{role.upper()}": PASSWORD for role in ROLES},
        "BUSINESS_DATE_OFFSET_DAYS": str((datetime.now(UTC).date() - today).days),
        "PRIVACY_HASH_KEY": "00" * 32,
        "QUARANTINE_KEY": base64.urlsafe_b64encode(bytes(32)).decode(),
        "VAULT_KEY": base64.urlsafe_b64encode(b"v" * 32).decode(),
        "SPARK_MASTER": "local[2]",
        **SPARK,
    }


def _set(patch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    for name, value in environment.items():
        patch.setenv(name, value)
    forget_settings()


def forget_settings() -> None:
    """Makes the next reader read settings and contracts anew, and what is made of them while it is imported."""
    get_settings.cache_clear()
    get_contracts.cache_clear()
    for name in MADE_OF_CONTRACTS:
        package, _, module = name.rpartition(".")
        if sys.modules.pop(name, None):
            delattr(sys.modules[package], module)
