"""Errors of libraries become failures whose type says whether to try again."""

from __future__ import annotations

import errno
import re

import psycopg2
import pytest
from psycopg2 import errors
from pyspark.errors.exceptions.connect import SparkConnectGrpcException

from data_platform.causes import explain, explained
from data_platform.failures import InputError, PermanentFailure, TransientFailure


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "/lake/part-0.parquet"),
        errors.DiskFull("could not extend file"),
        RuntimeError("Job aborted … java.io.IOException: No space left on device"),
    ],
)
def test_a_full_disk_is_permanent_and_says_so(error: Exception) -> None:
    failure = explain(error)
    assert isinstance(failure, PermanentFailure)
    assert re.search("disk is full", failure.message)


@pytest.mark.parametrize(
    "error",
    [
        errors.AdminShutdown("terminating connection"),
        errors.DeadlockDetected("deadlock"),
        errors.LockNotAvailable("lock timeout"),
        psycopg2.OperationalError("server closed the connection unexpectedly"),
        psycopg2.InterfaceError("connection already closed"),
    ],
)
def test_what_may_pass_is_transient(error: Exception) -> None:
    assert isinstance(explain(error), TransientFailure)


def test_a_spark_that_is_gone_is_transient() -> None:
    gone = SparkConnectGrpcException("<_MultiThreadedRendezvous … status = StatusCode.UNAVAILABLE")
    assert isinstance(explain(gone), TransientFailure)
    assert explain(SparkConnectGrpcException("the plan is wrong")) is None
    assert explain(ValueError("StatusCode.UNAVAILABLE")) is None


@pytest.mark.parametrize(
    "error", [ValueError("a fault of ours"), psycopg2.ProgrammingError("no results"), OSError(errno.EACCES, "denied")]
)
def test_what_nobody_knows_stays_as_it_is(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, explained():
        raise error
    assert raised.value is error


def test_a_failure_with_a_type_keeps_it() -> None:
    with pytest.raises(InputError, match="wrong"), explained():
        raise InputError("wrong")
