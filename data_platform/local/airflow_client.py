"""A small client of Airflow's REST API: what set-up, the demo and tests ask of it.

Calls of Airflow's own CLI cost 5 to 10 s each; a request costs milliseconds.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from pydantic import SecretStr

from data_platform.failures import PermanentFailure, TransientFailure

REQUEST_TIMEOUT_S = 30
WARM_UP_TIMEOUT_S = 180
FINAL_RUN_STATES = frozenset({"success", "failed"})
Json = dict[str, Any]


class AirflowRefusal(PermanentFailure):
    """Airflow answered with an error; ``status`` is its HTTP code."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class AirflowClient:
    """Speaks to one Airflow. Logs in on first use and again when the token has expired.

    Args:
        url: without a trailing slash.
        user: name to log in with.
        password: of that user.
    """

    def __init__(self, url: str, user: str, password: SecretStr) -> None:
        self.url = url
        self._user = user
        self._password = password
        self._token = ""
        # Never through a proxy: Airflow is on this machine.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def _send(self, method: str, path: str, body: Json | None, token: str, timeout_s: float = REQUEST_TIMEOUT_S) -> Any:
        request = urllib.request.Request(f"{self.url}{path}", method=method)  # noqa: S310 — our own http address
        request.add_header("Accept", "application/json")
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        try:
            with self._opener.open(request, data, timeout=timeout_s) as answer:
                content = answer.read()
        except urllib.error.HTTPError as error:
            detail = error.read().decode(errors="replace")[:500]
            if error.code >= 500:
                raise TransientFailure(f"Airflow failed to answer {method} {path}: {error.code} {detail}") from None
            raise AirflowRefusal(f"Airflow refused {method} {path}: {error.code} {detail}", error.code) from None
        except OSError as error:
            reason = getattr(error, "reason", error)
            raise TransientFailure(f"Airflow at {self.url} does not answer: {reason}", hint="run `make up`") from None
        return json.loads(content) if content else None

    def _login(self) -> None:
        body = {"username": self._user, "password": self._password.get_secret_value()}
        self._token = self._send("POST", "/auth/token", body, "")["access_token"]

    def request(self, method: str, path: str, body: Json | None = None, **query: object) -> Any:
        """Sends a request below ``/api/v2`` and returns the decoded answer.

        Raises:
            AirflowRefusal: for a 4xx answer.
            TransientFailure: when Airflow does not answer, or with a 5xx.
        """
        path = f"/api/v2{path}" + (f"?{urlencode(query, doseq=True)}" if query else "")
        if not self._token:
            self._login()
        try:
            return self._send(method, path, body, self._token)
        except AirflowRefusal as refusal:
            if refusal.status != 401:
                raise
        self._login()
        return self._send(method, path, body, self._token)

    def get(self, path: str, **query: object) -> Any:
        return self.request("GET", path, None, **query)

    def post(self, path: str, body: Json) -> Any:
        return self.request("POST", path, body)

    def is_healthy(self, part: str, since: float = 0) -> bool:
        """Whether a part (metadatabase, scheduler, triggerer, dag_processor) is healthy.

        Airflow believes a heartbeat for 30 s, also that of a process which ended. Only one after ``since``, in
        seconds since the epoch, counts.
        """
        health = self._send("GET", "/api/v2/monitor/health", None, "")[part]
        if health["status"] != "healthy":
            return False
        heartbeat = health.get(f"latest_{part}_heartbeat")
        return heartbeat is None or datetime.fromisoformat(heartbeat).timestamp() >= since

    def warm_up(self) -> None:
        """Has the server build the API that tasks use. It does so on the first request, and takes longer for it than
        tasks wait.
        """
        self._send("GET", "/execution/health", None, "", WARM_UP_TIMEOUT_S)

    def dags(self) -> list[Json]:
        """All DAGs that Airflow has parsed."""
        return self.get("/dags", limit=100)["dags"]

    def import_errors(self) -> list[Json]:
        """DAG files that Airflow cannot read."""
        return self.get("/importErrors", limit=100)["import_errors"]

    def wait_for_dags(self, names: set[str], timeout_s: float = 60) -> None:
        """Waits until DAGs are parsed.

        Raises:
            PermanentFailure: when a DAG file is broken.
            TransientFailure: when they do not come in time.
        """
        deadline = time.monotonic() + timeout_s
        while missing := names - {dag["dag_id"] for dag in self.dags()}:
            if errors := self.import_errors():
                first = errors[0]
                raise PermanentFailure(f"{first['filename']} is not a valid DAG file:\n{first['stack_trace']}")
            if time.monotonic() > deadline:
                raise TransientFailure(f"Airflow has not parsed {', '.join(sorted(missing))} in {timeout_s:.0f} s")
            time.sleep(0.5)

    def unpause(self, dag_id: str) -> None:
        """Lets a DAG's runs be scheduled."""
        self.request("PATCH", f"/dags/{quote(dag_id)}", {"is_paused": False})

    def trigger(
        self,
        dag_id: str,
        *,
        interval: tuple[datetime, datetime] | None = None,
        conf: Mapping[str, object] | None = None,
        note: str = "",
    ) -> str:
        """Starts a run of a DAG and returns its id.

        Args:
            interval: start and end of the data that the run is about, aware of their time zone.
            conf: the run's parameters.
            note: shown beside the run.
        """
        body: Json = {"logical_date": None, "conf": dict(conf or {})}
        if interval:
            start, end = (moment.isoformat() for moment in interval)
            body |= {"logical_date": start, "data_interval_start": start, "data_interval_end": end}
        if note:
            body["note"] = note
        return self.post(f"/dags/{quote(dag_id)}/dagRuns", body)["dag_run_id"]

    def run(self, dag_id: str, run_id: str) -> Json:
        """A run as Airflow sees it now."""
        return self.get(f"/dags/{quote(dag_id)}/dagRuns/{quote(run_id)}")

    def task_states(self, dag_id: str, run_id: str) -> dict[str, str | None]:
        """State of each task of a run, in order of their start; None for one that has not begun."""
        answer = self.get(f"/dags/{quote(dag_id)}/dagRuns/{quote(run_id)}/taskInstances", limit=100)
        tasks = sorted(answer["task_instances"], key=lambda task: task["start_date"] or "~")
        return {task["task_id"]: task["state"] for task in tasks}

    def wait_for_run(
        self,
        dag_id: str,
        run_id: str,
        *,
        timeout_s: float = 900,
        on_change: Callable[[str, str], None] | None = None,
    ) -> Json:
        """Waits until a run has ended, well or not, and returns it.

        Args:
            on_change: called with task and state whenever a task's state changes.

        Raises:
            TransientFailure: when it has not ended in time.
        """
        deadline = time.monotonic() + timeout_s
        seen: dict[str, str | None] = {}
        while True:
            run = self.run(dag_id, run_id)
            states = self.task_states(dag_id, run_id)
            for task, state in states.items():
                if on_change and state is not None and seen.get(task) != state:
                    on_change(task, state)
            seen = states
            if run["state"] in FINAL_RUN_STATES:
                return run
            if time.monotonic() > deadline:
                raise TransientFailure(f"run {run_id} of {dag_id} is still {run['state']} after {timeout_s:.0f} s")
            time.sleep(0.5)

    def backfill(
        self,
        dag_id: str,
        start: datetime,
        end: datetime,
        *,
        reprocess: str = "none",
        conf: Mapping[str, object] | None = None,
    ) -> int:
        """Asks for the runs of a DAG with a logical date in [start, end], both included; returns its id.

        Args:
            reprocess: which runs that exist are done again: ``none``, ``failed`` or ``completed``.
        """
        body: Json = {
            "dag_id": dag_id,
            "from_date": start.isoformat(),
            "to_date": end.isoformat(),
            "reprocess_behavior": reprocess,
            "dag_run_conf": dict(conf or {}),
        }
        return self.post("/backfills", body)["id"]
