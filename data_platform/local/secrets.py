"""Writes the file of an environment: every secret, its ports, and in ``dev`` the business clock of the sample company.

Only keys that are missing are added, so a key that somebody set stays, and a second set-up changes nothing.
"""

from __future__ import annotations

import base64
import os
import secrets
import socket
import tempfile
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from urllib.parse import urlsplit

from dotenv import dotenv_values

from data_platform.environment import DEVELOPMENT, environment_name
from data_platform.settings import ROLES

SAMPLE_COMPANY_TODAY = date(1998, 7, 1)  # so that its last real day, 1998-06-30, is yesterday
HEADER = "# Secrets and ports of this machine. Written by set-up; never commit it. See .env.example.\n"
Generators = dict[str, Callable[[], str]]
PORTS = range(20000, 32000)  # below the range that Linux uses for outgoing connections


def _password() -> str:
    return secrets.token_urlsafe(24)


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def pick_port(preferred: int | None = None) -> int:
    """A port that is free on 127.0.0.1 now: the preferred one, else any outside the ephemeral range."""
    others = (secrets.choice(PORTS) for _ in range(100))
    candidates = [preferred, *others] if preferred else others
    return next(port for port in candidates if _is_free(port))


def _offset_days(known: dict[str, str]) -> str:
    if known.get("DP_ENVIRONMENT", DEVELOPMENT) != DEVELOPMENT:
        return "0"
    return str((datetime.now(UTC).date() - SAMPLE_COMPANY_TODAY).days)


def _warehouse_url(known: dict[str, str]) -> str:
    server = urlsplit(known.get("POSTGRES_ADMIN_URL", ""))
    if server.hostname:
        host = f"[{server.hostname}]" if ":" in server.hostname else server.hostname
        return f"postgresql://{host}:{server.port or 5432}/warehouse"
    return f"postgresql://127.0.0.1:{known['POSTGRES_PORT']}/warehouse"


def _generators(known: dict[str, str]) -> Generators:
    """Key → how to make its first value; ``known`` holds the values so far."""
    return {
        "POSTGRES_PORT": lambda: str(pick_port(5532)),
        "POSTGRES_SUPERUSER_PASSWORD": _password,
        "WAREHOUSE_URL": lambda: _warehouse_url(known),
        **{f"WAREHOUSE_PASSWORD_{role.upper()}": _password for role in ROLES},
        "AIRFLOW_PORT": lambda: str(pick_port(8080)),
        "AIRFLOW_ADMIN_PASSWORD": lambda: secrets.token_urlsafe(12),
        "AIRFLOW_DATABASE_PASSWORD": _password,
        "AIRFLOW_FERNET_KEY": _fernet_key,
        "AIRFLOW_JWT_SECRET": lambda: secrets.token_urlsafe(64),
        "AIRFLOW_SECRET_KEY": lambda: secrets.token_urlsafe(32),
        "REPORTS_PORT": lambda: str(pick_port(8090)),
        "SPARK_CONNECT_PORT": lambda: str(pick_port(15002)),
        # By this name, not by number: PySpark sends a token without TLS to "localhost" only.
        "SPARK_REMOTE": lambda: f"sc://localhost:{known['SPARK_CONNECT_PORT']}",
        "SPARK_CONNECT_TOKEN": lambda: secrets.token_hex(32),
        "PRIVACY_HASH_KEY": lambda: secrets.token_hex(32),
        "QUARANTINE_KEY": _fernet_key,
        "VAULT_KEY": _fernet_key,
        "BUSINESS_DATE_OFFSET_DAYS": lambda: _offset_days(known),
        "SAMPLE_COMPANY": lambda: "false" if known["BUSINESS_DATE_OFFSET_DAYS"] == "0" else "true",
    }


def _compose_generators(known: dict[str, str]) -> Generators:
    """The same for docker-compose.yml, whose addresses and ports are its own."""
    here = _generators(known)
    own = ("_PORT", "_URL", "_REMOTE", "_TOKEN")
    return {
        "DP_ENVIRONMENT": environment_name,
        **{key: generate for key, generate in here.items() if not key.endswith(own)},
        "REDIS_PASSWORD": _password,
        "SPARK_CLUSTER_SECRET": lambda: secrets.token_hex(32),
    }


def write_private(path: Path, content: str) -> None:
    """Writes a file that only its owner can read, in one step: a reader sees the old content or the new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _known(path: Path) -> dict[str, str]:
    file = {key: value for key, value in dotenv_values(path).items() if value}
    return file | {key: value for key, value in os.environ.items() if value}


def missing_keys(path: Path) -> list[str]:
    """The keys that ``ensure_env_file`` would add."""
    known = _known(path)
    return [key for key in _generators(known) if key not in known]


def ensure_env_file(path: Path) -> list[str]:
    """Adds the keys that neither ``path`` nor the process environment has; returns their names.

    Whatever stands in the file already, comments too, stays as it is; its mode becomes 600.
    """
    return _add(path, _known(path), _generators)


def ensure_compose_file(path: Path) -> list[str]:
    """The same for the file of docker-compose.yml, which must hold all that there is, whatever the process has."""
    return _add(path, {key: value for key, value in dotenv_values(path).items() if value}, _compose_generators)


def _add(path: Path, known: dict[str, str], generators: Callable[[dict[str, str]], Generators]) -> list[str]:
    present = path.read_text(encoding="utf-8") if path.exists() else HEADER
    added = []
    for key, generate in generators(known).items():
        if key not in known:
            known[key] = generate()
            added.append(key)
    if added:
        lines = "".join(f"{key}={known[key]}\n" for key in added)
        separator = "" if present.endswith("\n") else "\n"
        write_private(path, f"{present}{separator}{lines}")
    path.chmod(0o600)
    return added
