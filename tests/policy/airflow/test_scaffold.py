"""A DAG as `dp new dag` writes it keeps every policy."""

from __future__ import annotations

from pathlib import Path

from policies import POLICIES, load

from data_platform.scaffold.models import draft_dag


def test_a_new_dag_keeps_every_policy(tmp_path: Path) -> None:
    ((path, text),) = draft_dag("replay_returns", "quarantine").items()
    file = tmp_path / path.name
    file.write_text(text, encoding="utf-8")
    dag = load(file)
    assert {name: list(policy(dag)) for name, policy in POLICIES.items() if list(policy(dag))} == {}
    assert dag.tasks
