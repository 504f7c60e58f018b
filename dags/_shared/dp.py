"""The one operator of our DAGs: it runs a command of ``dp`` and tells Airflow what the exit code means."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, SkipMixin
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from dags._shared.links import DATA_DOCS, DBT_MODELS
from dags._shared.process import Finished, StreamedProcess
from data_platform.failures import BudgetFailure, GateFailure, InputError, PermanentFailure, TransientFailure
from data_platform.logs import failure_told_in
from data_platform.settings import get_settings

if TYPE_CHECKING:
    from airflow.sdk import Context

FAILURES = (InputError, PermanentFailure, TransientFailure, GateFailure, BudgetFailure)
KINDS = {failure.exit_code: failure.kind for failure in FAILURES}
LOST, UNKNOWN = "lost", "unknown"  # kinds of failures that nobody reported
REPORTED = re.compile(rf"^({'|'.join(sorted(set(KINDS.values())))}) failure: ")
LONGEST_RESULT = 200
SHOWN_LINES = 20
OF_AIRFLOW_ONLY = ("AIRFLOW_", "_AIRFLOW_", "PYTHONPATH", "VIRTUAL_ENV")


class TransientStepFailure(AirflowException):
    """May pass when tried again; the one failure that ``defaults.RETRIES`` retries.

    Args:
        message: the last thing in the task's log.
        reported: what the command reported; unlike its other lines it may be sent to people.
        kind: of the failure, for its alert.
    """

    def __init__(self, message: str, *, reported: str = "", kind: str = TransientFailure.kind) -> None:
        super().__init__(message)
        self.reported = reported
        self.kind = kind


class FinalStepFailure(AirflowFailException):
    """Would only fail again. Arguments as above."""

    def __init__(self, message: str, *, reported: str = "", kind: str) -> None:
        super().__init__(message)
        self.reported = reported
        self.kind = kind


def program() -> Path:
    """The program that takes the steps; the only place that decides it.

    ``dp-warm`` hands the command to a resident worker, and takes it in a process of its own where none answers.

    Raises:
        AirflowFailException: when the data side is not installed.
    """
    folder = get_settings().project_root / ".venv" / "bin"
    for name in ("dp-warm", "dp"):
        if (folder / name).exists():
            return folder / name
    raise AirflowFailException(f"{folder / 'dp'} does not exist\n  → run `make up`, which installs it")


def environment() -> dict[str, str]:
    """What the program sees: our environment without Airflow's settings and secrets, which are not its business."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(OF_AIRFLOW_ONLY)}
    return {**kept, "NO_COLOR": "1", "COLUMNS": "160"}


class DpOperator(BaseOperator, SkipMixin):
    """Runs ``dp`` with arguments. Its last lines are the failure's message, the last thing in the task's log.

    Args:
        arguments: templated; those that render to nothing are left out.
        returns: fields of the JSON document that the command prints which go to XCom. Scalars only: XCom is kept for
            long and is no place for data.
        proceed_if: a returned field; where it is null, all that follows is skipped.
    """

    template_fields = ("arguments",)
    template_fields_renderers = {"arguments": "json"}  # noqa: RUF012  Airflow's own declaration is not a ClassVar
    inherits_from_skipmixin = True

    def __init__(
        self,
        *,
        arguments: Sequence[str],
        returns: Sequence[str] = (),
        proceed_if: str | None = None,
        **base: Any,
    ) -> None:
        super().__init__(**base)
        self.arguments = list(arguments)
        self.returns = tuple(returns)
        self.proceed_if = proceed_if
        self._process: StreamedProcess | None = None

    def execute(self, context: Context) -> dict[str, Any] | None:
        """Runs the command.

        Raises:
            TransientStepFailure: exit code 75, or the program was killed: steps can be repeated.
            AirflowFailException: any other failure; repeating it would only fail again.
        """
        arguments = [a for a in self.arguments if a]
        self.log.info("$ dp %s", shlex.join(arguments))
        self._process = StreamedProcess([str(program()), *arguments], environment(), self._log_line)
        finished = self._process.wait()
        if finished.code:
            raise failure_of(finished)
        if not self.returns:
            return None
        result = select_fields(finished, self.returns)
        if self.proceed_if and result[self.proceed_if] is None:
            self._skip_the_rest(context, result)
        return result

    def _log_line(self, line: str) -> None:
        self.log.info("%s", line)

    def _skip_the_rest(self, context: Context, result: Mapping[str, Any]) -> None:
        self.log.info("there is no %s: what follows is skipped", self.proceed_if)
        context["ti"].xcom_push(key="return_value", value=result)  # skip() ends the task before it is pushed
        self.skip(ti=context["ti"], tasks=context["task"].get_flat_relatives(upstream=False))

    def on_kill(self) -> None:
        """Ends the command with all that it started, when Airflow ends the task."""
        if self._process:
            self._process.kill()


class BuildOperator(DpOperator):
    """The dbt step; links a page with every model's status and seconds."""

    operator_extra_links = (DBT_MODELS,)


class GateOperator(DpOperator):
    """A gate; links Great Expectations' Data Docs."""

    operator_extra_links = (DATA_DOCS,)


def failure_of(finished: Finished) -> TransientStepFailure | FinalStepFailure:
    """The exception that makes Airflow retry what may pass, and only that."""
    reported = reported_message(finished.errors)
    if finished.code < 0:
        end = f"signal {-finished.code} ended the command"
        return TransientStepFailure(f"{end}\n{_last_lines(finished)}".strip(), reported=end, kind=LOST)
    end = f"the command ended with code {finished.code}"
    message = reported or _last_lines(finished) or f"{end} and said nothing"
    said = reported or f"{end}; its log says what happened"
    if finished.code == TransientFailure.exit_code:
        return TransientStepFailure(message, reported=said)
    return FinalStepFailure(message, reported=said, kind=KINDS.get(finished.code, UNKNOWN))


def reported_message(errors: Sequence[str]) -> str:
    """What ``dp`` reported of its failure, in text or JSON: the last report, whole; empty when there is none."""
    for place in range(len(errors) - 1, -1, -1):
        if told := failure_told_in(errors[place]):
            return told
        if REPORTED.match(errors[place]):
            return "\n".join(errors[place:]).strip()
    return ""


def _last_lines(finished: Finished) -> str:
    return "\n".join(finished.errors[-SHOWN_LINES:]).strip()


def select_fields(finished: Finished, names: Sequence[str]) -> dict[str, str | int | float | bool | None]:
    """The named fields of the JSON document on standard output.

    Raises:
        AirflowFailException: when there is no such document or field, or a value is not a short scalar.
    """
    try:
        document = json.loads("\n".join(finished.output))
        selected = {name: document[name] for name in names}
    except (ValueError, KeyError, TypeError):
        raise AirflowFailException(f"the command did not print JSON with the fields {', '.join(names)}") from None
    for name, value in selected.items():
        if not isinstance(value, str | int | float | bool | None) or len(str(value)) > LONGEST_RESULT:
            raise AirflowFailException(f"the field {name} of the command's result is not a short scalar")
    return selected
