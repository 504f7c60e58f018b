"""What `dp` writes to standard error: text for people, or by setting one JSON object a line for programs.

A line in JSON has ``ts``, ``level``, ``logger`` and ``event``, the ids of what is being done (``run_id``, ``step``,
``publication_id``), and the event's own fields. In it an error that nobody foresaw is a type and places in the code:
its message may quote data. What other programs write, like Spark's JVM, stays as it is.

Standard library only: the DAGs read failures out of these lines.
"""

from __future__ import annotations

import atexit
import io
import json
import logging
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TextIO

FAILURE = "failure"
OURS = ("data_platform", "spark_jobs", "feature_repo", "sample_company", "dp")
TEXT = "%(levelname)s %(name)s: %(message)s"

_ids: ContextVar[Mapping[str, Any]] = ContextVar("ids", default={})  # noqa: B039 - it is never changed in place


@contextmanager
def bound(**ids: Any) -> Iterator[None]:
    """Lines within the block carry these ids, and so does the report of a failure that leaves it.

    What ``bind`` adds in the block ends with it.
    """
    token = _ids.set({**_ids.get(), **ids})
    try:
        yield
    except Exception as error:
        error.__dict__.setdefault("ids", _ids.get())
        raise
    finally:
        _ids.reset(token)


def bind(**ids: Any) -> None:
    """Lines from here to the end of the surrounding ``bound`` carry these ids too."""
    _ids.set({**_ids.get(), **ids})


def event(logger: logging.Logger, name: str, /, *, level: int = logging.INFO, **fields: Any) -> None:
    """Logs something that happened; fields that are None are left out. Text shows warnings and errors only."""
    logger.log(level, name, extra={"fields": {key: value for key, value in fields.items() if value is not None}})


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **_ids.get(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[0]:
            line |= {"error": record.exc_info[0].__name__, "places": places(record.exc_info[2])}
        return json.dumps(line, default=str, ensure_ascii=False)


def places(trace: TracebackType | None) -> list[str]:
    """Where an error came by, outermost first; code only, no values."""
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(trace)]


class Lines(io.TextIOBase):
    """A standard error whose lines become events, whoever writes them: Typer, rich, a library."""

    encoding = "utf-8"  # rich asks

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._logger = logging.getLogger("dp")
        self._rest = ""

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        """Of the stream below, for programs that are started with this one."""
        return self._stream.fileno()

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._log(line)
        return len(text)

    def end(self) -> None:
        """Logs what is left of a line that nobody ended."""
        self._log(self._rest)
        self._rest = ""

    def _log(self, line: str) -> None:
        if line.strip():
            self._logger.info("%s", line.rstrip())


def configure(log_format: str, stream: TextIO | None = None) -> None:
    """Sets the process up to log in this format, to standard error unless told otherwise."""
    out = stream or sys.stderr
    if log_format == "text":
        logging.basicConfig(level=logging.WARNING, format=TEXT, stream=out)
        return
    handler = logging.StreamHandler(out)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for name in OURS:
        logging.getLogger(name).setLevel(logging.INFO)
    logging.captureWarnings(True)
    sys.stderr = lines = Lines(out)
    atexit.register(lines.end)


def report_failure(error: Exception, *, kind: str, message: str, hint: str = "", exit_code: int) -> None:
    """Logs how a command failed, as ``failure_told_in`` reads it."""
    event(
        logging.getLogger("dp"),
        FAILURE,
        level=logging.ERROR,
        **getattr(error, "ids", {}),
        kind=kind,
        message=message,
        hint=hint or None,
        exit_code=exit_code,
    )


def is_json() -> bool:
    """Whether this process writes JSON."""
    return isinstance(sys.stderr, Lines)


def failure_told_in(line: str) -> str | None:
    """The text for people of a failure that stands in a line of JSON; None when the line tells of none."""
    if not line.startswith("{"):
        return None
    try:
        told = json.loads(line)
    except ValueError:
        return None
    if told.get("event") != FAILURE or "kind" not in told:
        return None
    text = f"{told['kind']} failure: {told['message']}"
    return f"{text}\n  → {told['hint']}" if told.get("hint") else text
