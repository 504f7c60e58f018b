"""What libraries raise, as failures with a type: whether to try again is known from the cause alone."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
from psycopg2 import errorcodes
from psycopg2.errors import DiskFull

from data_platform.failures import PermanentFailure, PlatformError, TransientFailure

NO_SPACE = "No space left on device"  # what the system says; Spark passes it on as text
# Of SQLSTATE's classes: the connection broke, transactions got into each other's way, the server is going down.
TRANSIENT_CLASSES = {
    errorcodes.CLASS_CONNECTION_EXCEPTION,
    errorcodes.CLASS_TRANSACTION_ROLLBACK,
    errorcodes.CLASS_OPERATOR_INTERVENTION,
}
# What Spark's client says of a server that has died, or was started anew meanwhile.
SPARK_IS_GONE = re.compile(
    r"StatusCode\.UNAVAILABLE|failed to connect|Connection (?:refused|reset)|Socket closed"
    r"|SESSION_(?:CHANGED|NOT_FOUND)"
)
# What a worker of Spark's raised, as its client passes it on.
OF_A_WORKER = re.compile(rf"{TransientFailure.__module__}\.{TransientFailure.__name__}: (.+)")
TRY_AGAIN = "try again; if it does not answer, start it with `make up` (`make status` tells what runs)"
TRANSIENT = {errorcodes.LOCK_NOT_AVAILABLE, errorcodes.TOO_MANY_CONNECTIONS, None}


@contextmanager
def explained() -> Iterator[None]:
    """Raises errors of database, disk or Spark whose cause is known as ``PlatformError``, others as they are."""
    try:
        yield
    except PlatformError:
        raise
    except Exception as error:
        if failure := explain(error):
            raise failure from error
        raise


def explain(error: Exception) -> PlatformError | None:
    """The failure behind an error; None when its cause is not known."""
    if isinstance(error, psycopg2.Error):
        return _explain_database(error)
    if (isinstance(error, OSError) and error.errno == errno.ENOSPC) or NO_SPACE in str(error):
        place = f" at {error.filename}" if isinstance(error, OSError) and error.filename else ""
        return _disk_is_full(f"the disk is full{place}")
    if type(error).__module__.startswith(("pyspark.", "grpc")):
        if found := OF_A_WORKER.search(str(error)):
            return TransientFailure(found[1], hint=TRY_AGAIN)
        if SPARK_IS_GONE.search(str(error)):
            return TransientFailure("Spark broke off", hint=TRY_AGAIN)
    return None


def _explain_database(error: psycopg2.Error) -> PlatformError | None:
    reason = str(error).strip().partition("\n")[0]
    if isinstance(error, DiskFull) or NO_SPACE in reason:
        return _disk_is_full(f"the warehouse's disk is full: {reason}")
    if error.pgcode is None and not isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError):
        return None  # a mistake in how we use the driver
    if error.pgcode in TRANSIENT or (error.pgcode or "")[:2] in TRANSIENT_CLASSES:
        return TransientFailure(f"the warehouse broke off: {reason}", hint=TRY_AGAIN)
    return None


def _disk_is_full(message: str) -> PermanentFailure:
    return PermanentFailure(
        message, hint="nothing was published; free some space (`df -h`), then run again: only what is missing is done"
    )
