"""Whether a service of docker-compose.yml is well, asked inside its container: exit code 0, else 1 and why.

    python3 deploy/healthy.py NAME

Standard library only: it runs every half minute in each container.
"""

from __future__ import annotations

import json
import socket
import sys
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

TIMEOUT_S = 8
HEALTH = "http://airflow-api-server:8080/api/v2/monitor/health"
ESTABLISHED = "01"
REDIS_PORT = f"{6379:04X}"


def says(port: int, asked: bytes, answers: tuple[bytes, ...]) -> None:
    """Whether the server here answers a first message of its protocol."""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as connection:
        connection.sendall(asked)
        said = connection.recv(64)
    assert said.startswith(answers), f"port {port} said {said!r}"


def listens(port: int) -> None:
    """Whether somebody listens here."""
    socket.create_connection(("127.0.0.1", port), TIMEOUT_S).close()


def get(url: str) -> Any:
    """What a page says; parsed where it is JSON."""
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310 — our own addresses
        body = answer.read()
    return json.loads(body) if answer.headers.get_content_type() == "application/json" else body


def airflow(part: str) -> None:
    """Whether a part of Airflow has lately told the database that it lives."""
    told = get(HEALTH)[part]
    assert told["status"] == "healthy", told


def talks_to_redis() -> None:
    """Whether the worker of Celery has a connection to its queue."""
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    assert any(row[2].endswith(f":{REDIS_PORT}") and row[3] == ESTABLISHED for row in rows), "no connection to redis"


def is_set_up() -> None:
    """Whether the set-up has ended."""
    assert Path("/state/set-up").exists(), "not yet"


CHECKS: dict[str, Callable[[], object]] = {
    # A request for TLS: S and N are PostgreSQL's answers.
    "postgres": partial(says, 5432, b"\x00\x00\x00\x08\x04\xd2\x16\x2f", (b"S", b"N")),
    "redis": partial(says, 6379, b"PING\r\n", (b"-NOAUTH",)),
    "set-up": is_set_up,
    "airflow-api-server": partial(airflow, "metadatabase"),
    "airflow-scheduler": partial(airflow, "scheduler"),
    "airflow-dag-processor": partial(airflow, "dag_processor"),
    "airflow-triggerer": partial(airflow, "triggerer"),
    "airflow-worker": talks_to_redis,
    "spark-master": partial(get, "http://spark-master:8080/json"),
    "spark-worker": partial(get, "http://127.0.0.1:8081/json"),
    "spark-connect": partial(listens, 15002),
    "feast": partial(get, "http://127.0.0.1:6566/health"),
    "reports": partial(get, "http://127.0.0.1:8090/"),
}


def main() -> int:
    """Entry point."""
    try:
        CHECKS[sys.argv[1]]()
    except (AssertionError, OSError, ValueError, KeyError) as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
