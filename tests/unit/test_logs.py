"""Logs for programs: each line an object with its ids, and nothing in it that could be personal or secret."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_platform import logs
from data_platform.failures import GateFailure, PlatformError

log = logging.getLogger("data_platform.test_logs")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """What this process logs, in JSON; its own logging comes back afterwards."""
    root = logging.getLogger()
    handlers, level, stderr = root.handlers[:], root.level, sys.stderr
    levels = {name: logging.getLogger(name).level for name in logs.OURS}
    written = io.StringIO()
    root.handlers = []
    ids = logs._ids.set({})
    logs.configure("json", written)
    yield written
    logs._ids.reset(ids)
    root.handlers, sys.stderr = handlers, stderr
    root.setLevel(level)
    logging.captureWarnings(False)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def dp(home: Path, *arguments: str, program: str = "from data_platform.cli.main import main; main()") -> Any:
    """Runs `dp` in JSON, and returns its exit code and the objects on standard error."""
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("WAREHOUSE_")},
        "LOG_FORMAT": "json",
        "DP_ENV_FILE": str(home / "no.env"),
        "STATE_DIR": str(home),
    }
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, [json.loads(line) for line in done.stderr.splitlines()]


def test_a_line_tells_when_how_bad_who_and_what(stream: io.StringIO) -> None:
    logs.event(log, "step done", seconds=1.5, rows_read=None)
    (line,) = lines(stream)
    assert line.pop("ts").endswith("+00:00")
    assert line == {"level": "info", "logger": "data_platform.test_logs", "event": "step done", "seconds": 1.5}


def test_ids_go_with_all_lines_within_and_end_with_the_block(stream: io.StringIO) -> None:
    with logs.bound(run_id="r1"):
        with logs.bound(step="publish"):
            logs.bind(publication_id=7)
            log.warning("inner")
        log.warning("outer")
    log.warning("after")
    ids = [{k: line[k] for k in ("run_id", "step", "publication_id") if k in line} for line in lines(stream)]
    assert ids == [{"run_id": "r1", "step": "publish", "publication_id": 7}, {"run_id": "r1"}, {}]


def test_a_failure_carries_the_ids_of_where_it_was_raised(stream: io.StringIO) -> None:
    with pytest.raises(GateFailure) as failure, logs.bound(run_id="r1"), logs.bound(step="gate:stage"):
        raise GateFailure("a rule is broken")
    logs.report_failure(failure.value, kind="gate", message="a rule is broken", exit_code=4)
    (line,) = lines(stream)
    assert (line["run_id"], line["step"], line["kind"], line["exit_code"]) == ("r1", "gate:stage", "gate", 4)


@given(message=st.text(), hint=st.text())
def test_a_failure_reads_the_same_from_json_and_from_text(message: str, hint: str) -> None:
    error = PlatformError(message, hint=hint)
    fields = {"kind": error.kind, "message": message, "hint": hint, "exit_code": error.exit_code}
    record = logging.makeLogRecord({"name": "dp", "msg": logs.FAILURE, "fields": fields})
    line = logs.JsonFormatter().format(record)
    assert len(line.split("\n")) == 1
    assert logs.failure_told_in(line) == f"permanent failure: {error}"


@pytest.mark.parametrize("line", ["", "gate failure: x", "{", "{}", '{"event": "step done"}', '{"event": "failure"}'])
def test_other_lines_tell_of_no_failure(line: str) -> None:
    assert logs.failure_told_in(line) is None


def test_an_error_that_nobody_foresaw_is_told_without_its_message(stream: io.StringIO) -> None:
    try:
        int("jane@example.com")
    except ValueError:
        log.exception("cannot read it")
    (line,) = lines(stream)
    assert line["error"] == "ValueError"
    assert "test_logs.py" in line["places"][0]
    assert "jane" not in stream.getvalue()


def test_what_is_printed_becomes_events(stream: io.StringIO) -> None:
    printed = logs.Lines(stream)
    printed.write("half ")
    printed.write("a line\nand a ")
    printed.flush()
    assert [line["event"] for line in lines(stream)] == ["half a line"]
    printed.end()
    assert [line["event"] for line in lines(stream)] == ["half a line", "and a"]


def test_a_command_that_fails_says_so_in_one_object(tmp_path: Path) -> None:
    code, (said,) = dp(tmp_path, "stale")
    assert (code, said["event"], said["kind"], said["exit_code"]) == (2, "failure", "permanent", 2)
    assert "WAREHOUSE_URL" in said["message"]
    assert "make" in said["hint"]


def test_a_command_that_does_not_exist_says_so_in_json(tmp_path: Path) -> None:
    code, said = dp(tmp_path, "reprt")
    assert code == 2
    assert any("reprt" in line["event"] for line in said)


def test_a_command_that_breaks_says_where_and_quotes_nothing(tmp_path: Path) -> None:
    broken = "import data_platform.cli.main as m; m.build_app = lambda: int('jane@example.com'); m.main()"
    code, (said,) = dp(tmp_path, program=broken)
    assert (code, said["kind"], said["exit_code"]) == (1, "unknown", 1)
    assert said["message"].startswith("ValueError at ")
    assert "jane" not in json.dumps(said)
