"""A gate: checks all that a step has made, records what it found, and stops the run when an error rule fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import cast

from data_platform.failures import GateFailure, InputError
from data_platform.gates import results
from data_platform.gates.built import built_subjects, staged_subjects
from data_platform.gates.deliveries import ingested_subjects
from data_platform.gates.rules import Evaluation, Gate, RuleResult, Subject
from data_platform.runs import Run, StepLog
from data_platform.staleness import TRIAL
from data_platform.warehouse.connection import Connection, transaction

FINDERS: dict[Gate, Callable[[Connection, Run], list[Subject]]] = {
    "ingest": ingested_subjects,
    "stage": staged_subjects,
    "build": built_subjects,
}
SHOWN_EXAMPLES = 3


def gate_step(after: str) -> Callable[[Run, StepLog], None]:
    """The step ``gate:<after>`` of a run.

    Raises:
        InputError: when no gate stands after that step.
    """
    if after not in FINDERS:
        raise InputError(f"no gate stands after {after!r}", hint=f"gates stand after {', '.join(FINDERS)}")
    return partial(run_gate, cast("Gate", after))


def run_gate(after: Gate, run: Run, log: StepLog) -> None:
    """Checks what the step made.

    Raises:
        GateFailure: names each error rule that failed, with what was observed, the limit, and the reason.
        TransientFailure: when the warehouse goes away.
    """
    with transaction(application="dp gate") as connection:
        subjects = FINDERS[after](connection, run)
    evaluations = _evaluate(after, run, [s for s in subjects if s.is_checked])
    for subject in subjects:
        if not subject.is_checked:
            log.add(subject.relation.name, message=subject.message)
    for evaluation in evaluations:
        _report(log, evaluation)
    failures = [(e, rule) for e in evaluations for rule in e.failed if rule.severity == "error"]
    if failures:
        raise GateFailure(
            "\n".join([f"the gate after {after} stops run {run.run_id}:", *(_describe(*f) for f in failures)]),
            hint=f"consumers keep the previous publication; `dp gate results --run {run.run_id}` shows examples,"
            " docs/runbooks/failed-gate.md says what to do",
        )


def _evaluate(after: Gate, run: Run, subjects: Sequence[Subject]) -> list[Evaluation]:
    """Evaluates and records; Great Expectations is loaded only when there is something to check."""
    if not subjects:
        return []
    from data_platform.gates.context import open_context
    from data_platform.gates.data_docs import add_pages
    from data_platform.gates.evaluate import Evaluator

    context = open_context(run.schema)
    evaluator = Evaluator(context)
    try:
        evaluations = [evaluator.evaluate(subject) for subject in subjects]
    finally:
        evaluator.close()
    with transaction(application="dp gate") as connection:
        results.save(connection, run.run_id, after, evaluations)
    if run.kind != TRIAL:  # many of them would push out the pages of the runs before
        add_pages(context, run.run_id, after, evaluations)
    return evaluations


def _report(log: StepLog, evaluation: Evaluation) -> None:
    subject = evaluation.subject
    broken = [f"{rule.rule_id}: {rule.observed}" for rule in evaluation.failed]
    kept = f"{len(evaluation.rules) - len(broken)} of {len(evaluation.rules)} rules hold"
    log.add(
        evaluation.relation,
        rows_read=subject.counts.get("rows_read"),
        rows_live=subject.counts.get("rows_live"),
        rows_quarantined=subject.counts.get("rows_quarantined"),
        verdict=evaluation.verdict,
        message="; ".join(part for part in (subject.message, kept, *broken) if part),
        seconds=round(evaluation.seconds, 3),
    )


def _describe(evaluation: Evaluation, rule: RuleResult) -> str:
    lines = [
        f"  {evaluation.relation}, rule {rule.rule_id}: observed {rule.observed}",
        f"    expected: {rule.expected}",
        f"    reason:   {rule.reason}",
    ]
    examples = (", ".join(f"{column}={value}" for column, value in e.items()) for e in rule.examples)
    return "\n".join([*lines, *(f"    example:  {text}" for text in islice(examples, SHOWN_EXAMPLES))])
