"""Failures with a type, so that whoever catches one knows whether to retry, fix or wait.

Every error that a user can cause or mend is a ``PlatformError``: one message that says what is wrong and what to do.
The exit code of ``dp`` carries the type to Airflow, which retries only the transient ones.
"""

from __future__ import annotations

from typing import ClassVar


class PlatformError(Exception):
    """A failure that is reported as one message, without a traceback.

    Args:
        message: what is wrong; names file, line, column and rule where there are such.
        hint: what to do about it, as a sentence or a command.
    """

    kind: ClassVar[str] = "permanent"
    exit_code: ClassVar[int] = 3

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  → {self.hint}" if self.hint else self.message


class PermanentFailure(PlatformError):
    """Will fail again until somebody changes an input: a retry is pointless."""


class InputError(PermanentFailure):
    """Bad input of a user: a contract, an argument, a setting, a file."""

    exit_code = 2


class TransientFailure(PlatformError):
    """May pass when tried again: a server that is down, a lock, a publication that moved under a run."""

    kind = "transient"
    exit_code = 75  # EX_TEMPFAIL of sysexits.h


class GateFailure(PlatformError):
    """An ``error`` rule failed: consumers keep the previous state."""

    kind = "gate"
    exit_code = 4


class BudgetFailure(PlatformError):
    """A time, memory or cost budget is used up."""

    kind = "budget"
    exit_code = 5
