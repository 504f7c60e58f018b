"""``make test-compose``: docker-compose.yml for real, where there is no Docker engine and no registry of images.

    python deploy/try_compose.py [--history]

Makes a base image by debootstrap, builds the image on it, brings all services up by podman-compose, lands four weeks of
a small shop (or the sample company's whole history), runs the night through Celery and the Spark cluster, compares what
it published with a run on this machine's embedded PostgreSQL from the same deliveries, ends every container once, and
takes everything down again. Debian 12, as root; what is missing it names.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dotenv import dotenv_values
from pydantic import SecretStr

from data_platform.failures import PermanentFailure, PlatformError, TransientFailure
from data_platform.local.airflow import ADMIN
from data_platform.local.airflow_client import AirflowClient
from data_platform.local.secrets import SAMPLE_COMPANY_TODAY, ensure_compose_file, pick_port, write_private
from data_platform.settings import PROJECT_ROOT
from sample_company.small import land_small_shop

PROJECT = "data-platform-test"
BASE = "localhost/data-platform-base:bookworm"
TOOLS = PROJECT_ROOT / ".venv-compose"
PACKAGES = {
    "podman": "podman",
    "buildah": "buildah",
    "runc": "runc",
    "debootstrap": "debootstrap",
    "iptables": "iptables",
    "/usr/lib/cni/dnsname": "golang-github-containernetworking-plugin-dnsname",
    "/usr/libexec/podman/catatonit": "catatonit",
}
# runc: Debian's crun wants a cgroup manager. Limits: those of this process, which a container may not exceed.
CONTAINERS_CONF = """\
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[containers]
default_ulimits = ["nofile={files}:{files}", "nproc=4096:4096"]
"""
CERTIFICATES = Path("usr/local/share/ca-certificates")
NIGHT = "run_nightly"
NIGHT_S = 1800
ONE_DAY = timedelta(days=1)
DAYS, CUSTOMERS = 28, 200
HEALTHY_S = 600
COUNTED_BY_SPARK = (
    "from spark_jobs.session import get_spark; s = get_spark();"
    " print(s.range(1000).mapInArrow(lambda batches: batches, 'id long').count()); s.stop()"
)


def say(message: str) -> None:
    """Writes one line of progress."""
    sys.stdout.write(f"{datetime.now(UTC):%H:%M:%S} {message}\n")
    sys.stdout.flush()


class Compose:
    """The services of docker-compose.yml under a project name of their own.

    Args:
        folder: for the file of settings and what podman is told.
    """

    def __init__(self, folder: Path) -> None:
        self.env_file = folder / "env"
        self.port, self.feast_port = pick_port(), pick_port()
        ensure_compose_file(self.env_file)
        conf = folder / "containers.conf"
        conf.write_text(CONTAINERS_CONF.format(files=_open_files()), encoding="utf-8")
        ports = {"AIRFLOW_PORT": self.port, "FEAST_PORT": self.feast_port, "REPORTS_PORT": pick_port()}
        self.environment = {
            **os.environ,
            "CONTAINERS_CONF": str(conf),
            "BUILDAH_ISOLATION": "chroot",
            "BASE_IMAGE": BASE,
            **{name: str(port) for name, port in ports.items()},
        }

    def compose(self, *arguments: str) -> None:
        """Runs podman-compose with all profiles."""
        options = ("--project-name", PROJECT, "--env-file", str(self.env_file), "--profile", "serving")
        self.run(str(TOOLS / "bin" / "podman-compose"), *options, *arguments)

    def run(self, *command: str | Path, stdin: bytes | None = None) -> str:
        """Runs a program and returns what it printed.

        Raises:
            PermanentFailure: when it fails; carries the end of what it said.
        """
        done = subprocess.run(
            command, cwd=PROJECT_ROOT, env=self.environment, input=stdin, capture_output=True, check=False
        )
        if done.returncode:
            tail = (done.stdout + done.stderr).decode(errors="replace").splitlines()[-15:]
            raise PermanentFailure("\n    ".join([f"`{Path(command[0]).name}` failed:", *tail]))
        return done.stdout.decode()

    def services(self) -> list[str]:
        """Names of all services."""
        import yaml

        names: dict[str, object] = yaml.safe_load((PROJECT_ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
        return list(names["services"])  # type: ignore[call-overload]

    def container(self, service: str) -> str:
        return f"{PROJECT}_{service}_1"

    def exec(self, service: str, *command: str) -> str:
        """Runs a program in a service's container."""
        return self.run("podman", "exec", self.container(service), *command)

    def wait_healthy(self, services: list[str]) -> None:
        """Asks each service's own health check until it holds; no systemd is needed for that.

        Raises:
            TransientFailure: when one is not well in time; carries the end of its log.
        """
        ends = time.monotonic() + HEALTHY_S
        for service in services:
            while not self.is_healthy(service):
                if time.monotonic() > ends:
                    log = self.run("podman", "logs", "--tail", "15", self.container(service))
                    raise TransientFailure(f"{service} is not well after {HEALTHY_S} s:\n{log}")
                time.sleep(2)

    def is_healthy(self, service: str) -> bool:
        """Whether a service's own health check holds."""
        ask = ["podman", "healthcheck", "run", self.container(service)]
        return subprocess.run(ask, env=self.environment, capture_output=True, check=False).returncode == 0

    def started_at(self, service: str) -> str:
        """When its container was started."""
        return self.run("podman", "inspect", "--format", "{{.State.StartedAt}}", self.container(service))

    def airflow(self) -> AirflowClient:
        """Airflow's API on its published port."""
        password = dotenv_values(self.env_file)["AIRFLOW_ADMIN_PASSWORD"] or ""
        return AirflowClient(f"http://127.0.0.1:{self.port}", ADMIN, SecretStr(password))


def _open_files() -> int:
    import resource

    return min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 65536)


def require_tools() -> None:
    """Looks for what cannot be installed from PyPI, and installs podman-compose.

    Raises:
        PermanentFailure: naming the Debian packages that are missing.
    """
    missing = [package for program, package in PACKAGES.items() if not shutil.which(program)]
    if missing or os.geteuid() != 0:
        raise PermanentFailure(
            "make test-compose needs root and Debian's container tools",
            hint=f"as root: apt-get install -y --no-install-recommends {' '.join(missing or PACKAGES.values())}",
        )
    lock = PROJECT_ROOT / "requirements" / "compose.txt"
    if not (TOOLS / "bin" / "podman-compose").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", TOOLS], check=True)
        pip = (TOOLS / "bin" / "python", "-m", "pip", "install", "--quiet", "--require-hashes", "-r", lock)
        subprocess.run(pip, check=True)


def make_base(compose: Compose) -> None:
    """A bare Debian 12 as the base image, unless there is one; it trusts what this machine trusts."""
    if subprocess.run(["podman", "image", "exists", BASE], check=False).returncode == 0:
        return
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "root"
        compose.run("debootstrap", "--variant=minbase", "bookworm", root)
        for file in Path("/", CERTIFICATES).glob("*.crt"):
            (root / CERTIFICATES).mkdir(parents=True, exist_ok=True)
            shutil.copy(file, root / CERTIFICATES)
        packed = Path(name) / "root.tar"
        compose.run("tar", "-C", root, "-cf", packed, ".")
        compose.run("podman", "import", packed, BASE)


# PostgreSQL alone: what the night does needs no more.
EMBEDDED = """
from data_platform.local.up import embedded_postgres, preparations, set_up
settings = set_up()
server = embedded_postgres(settings)
server.init()
server.start()
for task in preparations(settings):
    if task.name in {"databases", "warehouse"}:
        task.run()
"""
# Table to its rows and the sum of their hashes, over the contracts' columns: no order, and no row is missed.
TOTALS = """
import json
from data_platform.contracts.load import get_contracts
from data_platform.warehouse.connection import query, transaction
found = {}
with transaction() as connection:
    for contract in get_contracts():
        columns = ", ".join(column.name for column in contract.published_columns)
        (row,) = query(
            connection,
            "select count(*) as rows, sum(('x' || left(md5(t::text), 15))::bit(60)::bigint)::text as sum"
            f" from (select {columns} from {contract.table}) as t",
        )
        found[contract.table] = [row["rows"], row["sum"]]
print(json.dumps(found))
"""
Totals = dict[str, list[object]]


def deliver(compose: Compose, landing: Path) -> None:
    """Puts what lies in a folder into the services' landing."""
    packed = landing.with_suffix(".tar")
    compose.run("tar", "-C", landing, "-cf", packed, ".")
    unpack = ("podman", "exec", "--interactive", compose.container("airflow-worker"), "tar", "-C", "/state/landing")
    compose.run(*unpack, "--no-overwrite-dir", "-xf", "-", stdin=packed.read_bytes())


def published(compose: Compose) -> Totals:
    """What the services have published."""
    found: Totals = json.loads(compose.exec("airflow-worker", "python", "-c", TOTALS))
    return found


def run_night(compose: Compose, note: str) -> None:
    """Runs the night of yesterday through Airflow.

    Raises:
        PermanentFailure: when it does not succeed.
    """
    airflow = compose.airflow()
    airflow.wait_for_dags({NIGHT})
    today = datetime.now(UTC).replace(hour=2, minute=0, second=0, microsecond=0)
    run = airflow.trigger(NIGHT, interval=(today - ONE_DAY, today), note=note)
    airflow.unpause(NIGHT)
    ended = airflow.wait_for_run(NIGHT, run, timeout_s=NIGHT_S, on_change=lambda task, state: say(f"  {task}: {state}"))
    if ended["state"] != "success":
        raise PermanentFailure(f"{NIGHT} ended {ended['state']}: {airflow.task_states(NIGHT, run)}")


def published_here(compose: Compose, folder: Path, *, history: bool) -> Totals:
    """What the embedded PostgreSQL of this machine publishes with the same keys, from what it lands in landing."""
    settings = folder / "embedded.env"
    known = dotenv_values(compose.env_file)
    keys = ("PRIVACY_HASH_KEY", "QUARANTINE_KEY", "VAULT_KEY", "BUSINESS_DATE_OFFSET_DAYS")
    write_private(settings, "".join(f"{key}={known[key]}\n" for key in keys))
    own = ("env", f"DP_ENV_FILE={settings}", f"STATE_DIR={folder / 'state'}", f"LANDING_URL={folder / 'landing'}")
    dp = str(Path(sys.executable).with_name("dp"))
    try:
        compose.run(*own, sys.executable, "-c", EMBEDDED)
        if history:
            compose.run(*own, dp, "simulate", "company")
        else:
            first = SAMPLE_COMPANY_TODAY - DAYS * ONE_DAY
            land_small_shop(folder / "landing", customers=CUSTOMERS, days=DAYS, start=first, whole=True)
        compose.run(*own, dp, "run")
        found: Totals = json.loads(compose.run(*own, sys.executable, "-c", TOTALS))
    finally:
        compose.run(*own, dp, "down", "--erase")
    return found


def restart_each(compose: Compose) -> None:
    """Ends each container once and waits until it is well again, and at last until all are."""
    for service in compose.services():
        before = compose.started_at(service)
        compose.run("podman", "restart", "--time", "20", compose.container(service))
        compose.wait_healthy([service])
        if compose.started_at(service) == before:
            raise PermanentFailure(f"{service} was not started anew")
        say(f"  {service} is back")
    compose.wait_healthy(compose.services())


def prove(compose: Compose, folder: Path, *, history: bool) -> None:
    """All that is promised of the services; see the head of this file.

    Raises:
        PlatformError: when one of it does not hold.
    """
    say("building the image")
    compose.compose("build", "postgres")
    say("starting; meanwhile the embedded PostgreSQL")
    compose.compose("up", "--detach")
    here = published_here(compose, folder, history=history)
    if not all(rows for rows, _ in here.values()):
        raise PermanentFailure(f"the embedded PostgreSQL has an empty table: {here}")
    platform = [service for service in compose.services() if service != "feast"]
    compose.wait_healthy(platform)
    say(f"{len(platform)} services are well; the night")
    deliver(compose, folder / "landing")
    run_night(compose, "all that has landed")
    require_same(here, published(compose))
    say(f"all {len(here)} tables are equal; each container is ended once")
    compose.wait_healthy(["feast"])
    restart_each(compose)
    compose.exec("airflow-worker", "python", "-c", COUNTED_BY_SPARK)
    require_same(here, published(compose))
    with urllib.request.urlopen(f"http://127.0.0.1:{compose.feast_port}/health", timeout=10) as answer:
        say(f"Feast's server answers {answer.status}; nothing is lost")


def require_same(here: Totals, there: Totals) -> None:
    """Holds what the services have published to what the embedded PostgreSQL has.

    Raises:
        PermanentFailure: naming the tables that differ.
    """
    different = {name: (here.get(name), there.get(name)) for name in here | there if here.get(name) != there.get(name)}
    if different:
        raise PermanentFailure(f"what is published differs, here and there: {different}")


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--history", action="store_true", help="load the sample company's 546 days")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="compose-") as name:
        compose = None
        try:
            require_tools()
            compose = Compose(Path(name))
            make_base(compose)
            prove(compose, Path(name), history=options.history)
        except PlatformError as error:
            sys.stderr.write(f"test-compose: {error}\n")
            return 1
        finally:
            if compose:
                say("taking everything down")
                compose.compose("down", "--volumes", "--timeout", "20")
    return 0


if __name__ == "__main__":
    sys.exit(main())
