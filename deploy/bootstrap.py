#!/usr/bin/env python3
"""Sets up this checkout: two Python environments from hash-locked requirements, and Java for Spark.

    python3 deploy/bootstrap.py [--dev] [--bench] [--celery]

Standard library only, Python 3.11 or newer. When everything is there already it ends in a tenth of a second.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".venv-tools"
UV = TOOLS / "bin" / "uv"
MINIMUM_PYTHON = (3, 11)
MINIMUM_FREE_BYTES = 6 * 1000**3
STAMP = ".bootstrap.json"
HEARTBEAT_SECONDS = 10
# uv and dpkg say a line or more for each package: hundreds.
PACKAGE_LINES = (
    " + ",
    " - ",
    " ~ ",
    "(Reading",
    "Selecting",
    "Preparing",
    "Unpacking",
    "Setting up",
    "update-alternatives",
)

# environment → group → locks. Two environments, because the orchestrator and the data tools need different
# versions of the same libraries.
ENVIRONMENTS = {
    ".venv": {"platform": ["platform.txt"], "dev": ["dev.txt"], "bench": [], "celery": []},
    ".venv-airflow": {
        "platform": ["airflow.txt"],
        "dev": ["airflow-dev.txt"],
        "bench": ["airflow-bench.txt"],
        "celery": ["airflow-celery.txt"],
    },
}
WITH_PROJECT = ".venv"
STARTED = time.monotonic()


class SetupError(Exception):
    """What is missing on this machine, and what to run; shown as one message."""


def say(message: str) -> None:
    """Writes one line of progress."""
    sys.stdout.write(f"[{time.monotonic() - STARTED:5.1f} s] {message}\n")
    sys.stdout.flush()


def run(label: str, command: Sequence[str | Path], **environment: str) -> None:
    """Runs a program, showing each line it writes behind ``label``.

    Raises:
        SetupError: when it fails; carries its last lines.
    """
    process = subprocess.Popen(
        [str(part) for part in command],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip())
        if not lines[-1].startswith(PACKAGE_LINES):
            say(f"{label}: {lines[-1].strip()}")
    if process.wait():
        tail = "".join(f"\n    {line}" for line in lines[-8:])
        raise SetupError(f"{label}: `{Path(command[0]).name}` failed with code {process.returncode}:{tail}")


@contextlib.contextmanager
def heartbeat(label: str) -> Iterator[None]:
    """Says every few seconds that a long step is still under way."""
    done = threading.Event()

    def beat() -> None:
        while not done.wait(HEARTBEAT_SECONDS):
            say(f"{label}: still working …")

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def index_settings() -> dict[str, str]:
    """Environment that makes pip and uv trust one certificate bundle and read one package index."""
    settings: dict[str, str] = {}
    bundle = os.environ.get("SSL_CERT_FILE") or os.environ.get("PIP_CERT")
    if bundle:
        settings.update(SSL_CERT_FILE=bundle, PIP_CERT=os.environ.get("PIP_CERT", bundle))
    if index := os.environ.get("PIP_INDEX_URL"):
        settings["UV_DEFAULT_INDEX"] = os.environ.get("UV_DEFAULT_INDEX", index)
    return settings


def lock_files(environment: str, groups: Sequence[str]) -> list[Path]:
    """The locks that an environment with these groups is made from."""
    return [ROOT / "requirements" / name for group in groups for name in ENVIRONMENTS[environment][group]]


def digest(environment: str, groups: Sequence[str]) -> str:
    """Changes with anything that an environment is made from."""
    made_from = hashlib.sha256(f"{sys.version} {sys.executable} {ROOT}".encode())
    sources = lock_files(environment, groups)
    if environment == WITH_PROJECT:
        sources.append(ROOT / "pyproject.toml")
    for source in sources:
        made_from.update(source.read_bytes())
    return made_from.hexdigest()


def read_stamp(environment: str) -> dict[str, Any]:
    """What an environment was made from, empty when it is not there or was not finished."""
    try:
        return json.loads((ROOT / environment / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def wanted_groups(environment: str, asked: Sequence[str]) -> list[str]:
    """The groups asked for and those installed before, so that a demo does not uninstall the tests' tools."""
    installed = read_stamp(environment).get("groups", [])
    return [group for group in ENVIRONMENTS[environment] if group in asked or group in installed]


def is_current(environment: str, asked: Sequence[str]) -> bool:
    """Whether an environment is complete and made from today's locks."""
    groups = wanted_groups(environment, asked)
    return read_stamp(environment) == {"groups": groups, "digest": digest(environment, groups)}


def install_tools() -> None:
    """Installs uv, itself locked by hash, into an environment of its own."""
    lock = ROOT / "requirements" / "uv.txt"
    marker = TOOLS / STAMP
    expected = json.dumps({"digest": hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()})
    if marker.is_file() and marker.read_text(encoding="utf-8") == expected:
        return
    say(f"uv: installing into {TOOLS.name}")
    try:
        run("uv", [sys.executable, "-m", "venv", "--clear", TOOLS])
    except SetupError as error:
        raise SetupError(
            f"python3 cannot make an environment; on Debian: apt-get install -y python3-venv\n{error}"
        ) from None
    pip = [str(TOOLS / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run("uv", [*pip, "--require-hashes", "--only-binary", ":all:", "-r", lock], **index_settings())
    marker.write_text(expected, encoding="utf-8")


def install_environment(environment: str, asked: Sequence[str]) -> None:
    """Makes one environment match its locks exactly, then installs the project into it where it belongs."""
    target = ROOT / environment
    groups = wanted_groups(environment, asked)
    made_from = digest(environment, groups)
    say(f"{environment}: installing {', '.join(groups)}")
    (target / STAMP).unlink(missing_ok=True)
    locks = lock_files(environment, groups)
    into: list[str | Path] = ["--python", target / "bin" / "python"]
    with heartbeat(environment):
        if not (target / "bin" / "python").exists():
            run(environment, [UV, "venv", "--quiet", "--clear", "--python", sys.executable, target])
        # PySpark comes as source: what builds it is pinned, by hash, by the same lock.
        checks: list[str | Path] = ["--require-hashes", "--build-constraints", locks[0]]
        # Compiled once, as pip does: where processes may not keep what they compile, each start would take seconds.
        how: list[str | Path] = ["--no-progress", "--compile-bytecode", *checks]
        run(environment, [UV, "pip", "sync", *into, *how, *locks], **index_settings())
        if environment == WITH_PROJECT:
            unbuilt = ["--offline", "--no-deps", "--no-build-isolation"]
            run(environment, [UV, "pip", "install", "--quiet", *into, *unbuilt, "--editable", ROOT])
    stamp = {"groups": groups, "digest": made_from}
    (target / STAMP).write_text(json.dumps(stamp), encoding="utf-8")
    say(f"{environment}: ready")


def install_java(package: str) -> None:
    """Installs Debian's Java. Needs root."""
    say(f"java: installing {package}")
    with heartbeat("java"):
        run("java", ["apt-get", "update", "-q=2"])
        install = ["apt-get", "install", "-y", "-q=2", "--no-install-recommends", package]
        try:
            run("java", install, DEBIAN_FRONTEND="noninteractive")
        except SetupError as error:
            # Where certificates cannot be written, one package of Debian's Java stays half set up. Spark needs none.
            if not java_runs():
                raise
            say(f"java: it runs, so set-up goes on, although {error}")


def java_runs() -> bool:
    """Whether a fitting Java starts."""
    from data_platform.local.java import find_java_home

    home = find_java_home()
    return home is not None and subprocess.run([home / "bin" / "java", "-version"], capture_output=True).returncode == 0


def java_is_missing() -> str | None:
    """Name of the Java package to install; None when a fitting Java is there.

    Raises:
        SetupError: when there is none, and this user may not install one.
    """
    sys.path.insert(0, str(ROOT))
    from data_platform.local.java import DEBIAN_PACKAGE, SUPPORTED, find_java_home

    if find_java_home():
        return None
    if os.geteuid() == 0 and shutil.which("apt-get"):
        return DEBIAN_PACKAGE
    versions = " or ".join(str(version) for version in SUPPORTED)
    raise SetupError(
        f"Spark needs Java {versions}, and there is none. Run this once, then start again:\n"
        f"    sudo apt-get install -y --no-install-recommends {DEBIAN_PACKAGE}\n"
        "or point JAVA_HOME to one that you have."
    )


def check_disk() -> None:
    """Refuses to start what would run out of space half-way."""
    free = shutil.disk_usage(ROOT).free
    if free < MINIMUM_FREE_BYTES:
        raise SetupError(
            f"{free / 1e9:.1f} GB are free under {ROOT}, and set-up and the demo need "
            f"{MINIMUM_FREE_BYTES / 1e9:.0f} GB. Free some space, or clone to a larger disk."
        )


def in_parallel(*steps: tuple) -> None:
    """Runs (function, *arguments) side by side; reports every failure in one error."""
    failures: list[Exception] = []

    def guarded(function: Callable[..., None], *arguments: object) -> None:
        try:
            function(*arguments)
        except (SetupError, OSError) as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=step) for step in steps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise SetupError("\n".join(str(failure) for failure in failures))


@contextlib.contextmanager
def only_one() -> Iterator[None]:
    """Lets one set-up of this checkout run at a time; a second one waits."""
    handle = os.open(ROOT, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another set-up of this checkout …")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def set_up(asked: Sequence[str]) -> None:
    """Brings everything up to date; returns at once when it is."""
    java_package = java_is_missing()
    if not java_package and all(is_current(name, asked) for name in ENVIRONMENTS):
        return
    with only_one():
        stale = [name for name in ENVIRONMENTS if not is_current(name, asked)]
        steps: list[tuple] = [(install_environment, name, asked) for name in stale]
        if stale:
            check_disk()
            install_tools()
        if java_package:
            steps.append((install_java, java_package))
        in_parallel(*steps)
    say("set-up is complete")


def main() -> int:
    """Entry point; the exit code is 0 only when everything is installed."""
    if sys.version_info < MINIMUM_PYTHON:
        found = ".".join(str(part) for part in sys.version_info[:3])
        sys.stderr.write(f"set-up: Python 3.11 or newer is needed, and {sys.executable} is {found}.\n")
        sys.stderr.write("    Run `make PYTHON=/path/to/python3.11 …` with a newer one.\n")
        return 1
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dev", action="store_true", help="also what tests and checks need")
    parser.add_argument("--bench", action="store_true", help="also the peers that benchmarks compare with")
    parser.add_argument("--celery", action="store_true", help="also what hands Airflow's tasks to workers elsewhere")
    options = parser.parse_args()
    asked = ["platform", *(name for name in ("dev", "bench", "celery") if getattr(options, name))]
    try:
        set_up(asked)
    except SetupError as error:
        sys.stderr.write(f"set-up: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
