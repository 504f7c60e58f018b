"""docker-compose.yml: no default password, no open port, no root, and a health check for every service.

The rules are known-bad too: each is shown a file that breaks it. `make test-compose` runs the services for real.
"""

from __future__ import annotations

import copy
import importlib.util
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from dotenv import dotenv_values
from pydantic import SecretStr

from data_platform.failures import TransientFailure
from data_platform.local.secrets import ensure_compose_file
from data_platform.settings import Settings

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yml"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
# What the Compose specification knows, as far as we use it.
TOP = {"name", "services", "networks", "volumes"}
SERVICE = {
    *("build", "cap_drop", "command", "depends_on", "environment", "healthcheck", "hostname", "image", "init"),
    *(
        "networks",
        "ports",
        "profiles",
        "restart",
        "security_opt",
        "stop_grace_period",
        "stop_signal",
        "user",
        "volumes",
    ),
}
HEALTH = {"interval", "retries", "start_period", "test", "timeout"}
SECRET = re.compile(r"PASSWORD|SECRET|_KEY|TOKEN|ADMIN_URL")
VARIABLE = re.compile(r"\$\{(\w+)([^}]*)\}")
# What the platform encrypts and hashes with, wherever it runs.
PLATFORM = "DP_ENVIRONMENT"
KEYS = {n.upper() for n, f in Settings.model_fields.items() if f.annotation is SecretStr and n.endswith("_key")}


def program(name: str) -> ModuleType:
    """A file of deploy/, which is no package."""
    spec = importlib.util.spec_from_file_location(f"deploy_{name}", ROOT / "deploy" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SERVICE_PROGRAM = program("service")
SERVICES, CHECKS = SERVICE_PROGRAM.SERVICES, program("healthy").CHECKS


def faults(compose: dict[str, Any], known: set[str]) -> list[str]:
    """What is wrong with a compose file.

    Args:
        known: variables that ``dp setup --compose`` writes.
    """
    found = [f"{key} is no key of a compose file" for key in compose if key not in TOP and not key.startswith("x-")]
    text = yaml.safe_dump({key: value for key, value in compose.items() if not key.startswith("x-")})
    found += [f"{name} is not written" for name, rest in VARIABLE.findall(text) if rest == ":?" and name not in known]
    found += [f"{name} has a default" for name, rest in VARIABLE.findall(text) if rest != ":?" and SECRET.search(name)]
    for name, service in compose["services"].items():
        found += [f"{name}: {fault}" for fault in (*_form(service, compose), *_safety(service), *_keys(service))]
        if service.get("command") != [name] or name not in SERVICES:
            found.append(f"{name}: service.py does not know it")
    return found


def _form(service: dict[str, Any], compose: dict[str, Any]) -> list[str]:
    found = [f"{key} is no key of a service" for key in service if key not in SERVICE]
    found += [
        f"there is no service {name}" for name in service.get("depends_on", []) if name not in compose["services"]
    ]
    found += [f"there is no network {name}" for name in service["networks"] if name not in compose["networks"]]
    volumes = [volume.split(":")[0] for volume in service.get("volumes", [])]
    found += [f"{name} is no named volume" for name in volumes if name not in compose["volumes"]]
    check = service.get("healthcheck", {})
    found += [f"{key} is no key of a health check" for key in check if key not in HEALTH]
    if check.get("test", [""])[-1] not in CHECKS or check["test"][-1] != service.get("command", [""])[0]:
        found.append("it has no health check of its own")
    return found


def _safety(service: dict[str, Any]) -> list[str]:
    found = [f"port {port} is open to others" for port in service.get("ports", []) if not port.startswith("127.0.0.1:")]
    if not re.fullmatch(r"[1-9]\d*:[1-9]\d*", service.get("user", "")):
        found.append("it runs as root")
    if service.get("cap_drop") != ["ALL"] or "no-new-privileges:true" not in service.get("security_opt", []):
        found.append("it may become root")
    for name, value in service.get("environment", {}).items():
        if (SECRET.search(name) and not (made := VARIABLE.search(value))) or (SECRET.search(name) and made[2] != ":?"):
            found.append(f"{name} has a default")
    return found


def _keys(service: dict[str, Any]) -> list[str]:
    """A service that runs the platform knows its environment's name, and needs all its keys."""
    environment = service.get("environment", {})
    return [f"{key} is not passed" for key in sorted(KEYS - environment.keys())] if PLATFORM in environment else []


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    file = tmp_path_factory.mktemp("compose") / "env"
    ensure_compose_file(file)
    return set(dotenv_values(file))


def test_the_file_keeps_the_rules(known: set[str]) -> None:
    assert faults(COMPOSE, known) == []
    assert COMPOSE["services"].keys() == SERVICES.keys() == CHECKS.keys()


def test_sparks_services_hold_the_secret_of_their_cluster_only() -> None:
    for name, service in COMPOSE["services"].items():
        if name.startswith("spark-"):
            assert [key for key in service["environment"] if SECRET.search(key)] == ["SPARK_CLUSTER_SECRET"], name


def test_one_container_at_a_time_has_the_databases_volume(tmp_path: Path) -> None:
    lock = SERVICE_PROGRAM.hold_volume(tmp_path)
    assert os.get_inheritable(lock), "PostgreSQL takes the place of this process"
    with pytest.raises(TransientFailure, match="another container works on the volume"):
        SERVICE_PROGRAM.hold_volume(tmp_path)
    os.close(lock)
    os.close(SERVICE_PROGRAM.hold_volume(tmp_path))


def test_the_keys_of_pseudonyms_quarantine_and_vault_are_among_those_that_are_passed() -> None:
    assert {"PRIVACY_HASH_KEY", "QUARANTINE_KEY", "VAULT_KEY"} <= KEYS
    assert sum(PLATFORM in service.get("environment", {}) for service in COMPOSE["services"].values()) > 1


def test_nothing_is_written_that_no_service_reads(known: set[str]) -> None:
    read = {name for name, _ in VARIABLE.findall(FILE.read_text(encoding="utf-8"))}
    assert known <= read


def change(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def apply(compose: dict[str, Any]) -> None:
        *parents, last = path.split("/")
        place = compose
        for key in parents:
            place = place[key]
        if value is None:
            del place[last]
        else:
            place[last] = value

    return apply


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (change("servces", {}), "servces is no key of a compose file"),
        (change("services/redis/enviroment", {}), "redis: enviroment is no key of a service"),
        (change("services/redis/healthcheck", None), "redis: it has no health check of its own"),
        (change("services/redis/healthcheck/timout", "1s"), "redis: timout is no key of a health check"),
        (change("services/redis/user", "0:0"), "redis: it runs as root"),
        (change("services/redis/user", None), "redis: it runs as root"),
        (change("services/redis/cap_drop", []), "redis: it may become root"),
        (change("services/redis/command", ["rediss"]), "redis: service.py does not know it"),
        (change("services/redis/depends_on", ["postgre"]), "redis: there is no service postgre"),
        (change("services/redis/networks", ["host"]), "redis: there is no network host"),
        (change("services/redis/volumes", ["/etc:/data"]), "redis: /etc is no named volume"),
        (change("services/reports/ports", ["8090:8090"]), "reports: port 8090:8090 is open to others"),
        (change("services/reports/ports", ["0.0.0.0:1:1"]), "reports: port 0.0.0.0:1:1 is open to others"),
        (change("services/redis/environment/REDIS_PASSWORD", "redis"), "redis: REDIS_PASSWORD has a default"),
        (
            change("services/redis/environment/REDIS_PASSWORD", "${REDIS_PASSWORD:-redis}"),
            "redis: REDIS_PASSWORD has a default",
        ),
        (change("services/airflow-worker/environment/VAULT_KEY", None), "airflow-worker: VAULT_KEY is not passed"),
        (change("services/set-up/environment/QUARANTINE_KEY", None), "set-up: QUARANTINE_KEY is not passed"),
        (change("services/redis/environment/OTHER", "${OTHER:?}"), "OTHER is not written"),
    ],
)
def test_a_file_that_breaks_a_rule_is_caught(known: set[str], spoil: Callable[..., None], fault: str) -> None:
    broken = copy.deepcopy(COMPOSE)
    spoil(broken)
    assert fault in faults(broken, known)


def test_the_image_runs_as_somebody_and_on_a_base_that_one_may_choose() -> None:
    lines = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8").splitlines()
    assert any(line.startswith("ARG BASE_IMAGE=") for line in lines)
    assert [line for line in lines if line.startswith("FROM")].count("FROM system") == 1
    assert [line for line in lines if line.startswith("USER")] == ["USER platform"]
    assert "useradd --uid 10001" in "\n".join(lines)


def test_no_secret_and_no_state_reaches_the_image() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    taken = [line for line in lines if not line.startswith("#")]
    assert taken[0] == "*", "all that is not named stays outside"
    assert not [line for line in taken if line.startswith(("!.env", "!.state", "!tests"))]
