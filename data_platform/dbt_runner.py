"""Runs dbt in this process: profiles, a manifest whose schema is the run's, results.

dbt parses the whole project again when anything of the profile changes, the schema's name too. So a run's profile is
always the same, with a placeholder for the schema, and the run's schema is put into the parsed manifest: a warm parse
takes a fifth of a second instead of several.
"""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from psycopg2 import sql

from data_platform.failures import PermanentFailure, TransientFailure
from data_platform.settings import get_settings
from data_platform.warehouse.connection import execute, transaction

PROFILE = "data_platform"
PLACEHOLDER = "run"
PASSWORD_VARIABLE = "DBT_ENV_SECRET_WAREHOUSE_PASSWORD"  # noqa: S105 - dbt masks variables of this prefix in its logs
THREADS = 2
LOCK_TIMEOUT = "60s"
CONTRACT_TESTS = "test_type:generic,path:models/generated"

# What dbt makes of psycopg2's errors is text only. These pass when tried again.
TRANSIENT = re.compile(
    r"server closed the connection|connection (?:refused|already closed|not open|to server .* failed)"
    r"|terminating connection|the database system is|lock timeout|deadlock detected|too many clients"
    r"|could not (?:connect|receive|send)|SSL SYSCALL",
    re.IGNORECASE,
)


def write_developer_profile() -> Path:
    """Makes the developer's schema and writes ``dbt_project/profiles.yml`` (mode 600, not committed).

    With both, plain ``dbt build`` works in ``dbt_project/``: role developer, schema ``dev_<user>``. The file holds
    the password, as a developer's shell knows none of the platform's variables.

    Returns:
        The file.
    """
    schema = developer_schema()
    with transaction() as connection:
        name = sql.Identifier(schema)
        execute(connection, sql.SQL("create schema if not exists {}").format(name))
        execute(connection, sql.SQL("grant all on schema {} to developer").format(name))
    parameters = get_settings().warehouse_parameters("developer")
    file = get_settings().dbt_project_dir / "profiles.yml"
    _write_profile(file, "dev", schema, parameters, str(parameters["password"]))
    return file


def developer_schema() -> str:
    """``dev_<user>``, of the user of the operating system."""
    return "dev_" + re.sub(r"[^a-z0-9_]", "_", getpass.getuser().lower())


def _write_profile(file: Path, target: str, schema: str, parameters: dict[str, str | int], password: str) -> None:
    output = {
        "type": "postgres",
        **{key: parameters[key] for key in ("host", "port", "dbname", "user")},
        "password": password,
        "schema": schema,
        "threads": THREADS,
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump({PROFILE: {"target": target, "outputs": {target: output}}}, sort_keys=False)
    partial = file.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
        stream.write("# Written at set-up; not committed.\n" + text)
    partial.replace(file)


def build(schema: str, raw_tables: set[str]) -> list[Any]:
    """Builds all models in ``schema`` and runs the hand-written tests.

    Unit tests speak of the code, not of the data; rules of the contracts are the gate's.

    Args:
        schema: where the run builds.
        raw_tables: source tables that stand in that schema, because this run has staged them.

    Returns:
        dbt's results, one a node.

    Raises:
        PermanentFailure: when the project cannot be parsed.
        TransientFailure: when the warehouse does not answer.
    """
    from dbt.cli.main import dbtRunner

    _spare_the_stack()
    with _profile_of_runs() as folder:
        options = _options(folder)
        manifest = _result(dbtRunner().invoke(["parse", *options]))
        move_to_schema(manifest, schema, raw_tables)
        arguments = ["build", *options, "--exclude", CONTRACT_TESTS, "--exclude-resource-type", "unit_test"]
        outcome = dbtRunner(manifest=manifest).invoke(arguments)
    return list(_result(outcome).results)


def _spare_the_stack() -> None:
    """Tells dbt's behaviour flags who asks for them.

    For a name in a message dbt looks up the module of every frame of the stack, for each flag: about 2 s of an
    invocation in a process that has loaded as many modules as the resident worker.
    """
    from dbt_common.behavior_flags import BehaviorFlagRendered

    BehaviorFlagRendered._default_source = staticmethod(lambda: "dbt")  # type: ignore[method-assign]


def _options(folder: Path) -> list[str]:
    project = get_settings().dbt_project_dir
    return [
        *("--project-dir", str(project), "--profiles-dir", str(folder)),
        *("--target-path", str(folder / "target"), "--log-path", str(folder / "logs")),
        *("--log-level", "none", "--log-level-file", "info", "--no-write-json", "--no-version-check"),
    ]


@contextmanager
def _profile_of_runs() -> Iterator[Path]:
    """A folder with the profile of runs; password and lock timeout are in the environment as long as dbt runs."""
    folder = get_settings().state_dir / "dbt"
    parameters = get_settings().warehouse_parameters("platform")
    _write_profile(
        folder / "profiles.yml", PLACEHOLDER, PLACEHOLDER, parameters, f"{{{{ env_var('{PASSWORD_VARIABLE}') }}}}"
    )
    ours = {PASSWORD_VARIABLE: str(parameters["password"]), "PGOPTIONS": f"-c lock_timeout={LOCK_TIMEOUT}"}
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        yield folder
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def move_to_schema(manifest: Any, schema: str, raw_tables: set[str]) -> None:
    """Puts all nodes, and the sources among ``raw_tables``, into ``schema``."""
    for node in manifest.nodes.values():
        if node.schema == PLACEHOLDER:
            _move(node, schema)
    for source in manifest.sources.values():
        if source.name in raw_tables:
            _move(source, schema)
    manifest.build_flat_graph()  # what macros see as `graph` is a copy


def _move(node: Any, schema: str) -> None:
    if node.relation_name:
        node.relation_name = node.relation_name.replace(f'"{node.schema}".', f'"{schema}".', 1)
    node.schema = schema


def _result(outcome: Any) -> Any:
    """What an invocation returned; a failed node is a result too.

    Raises:
        PermanentFailure, TransientFailure: when dbt did not come so far.
    """
    if outcome.exception is None and outcome.result is not None:
        return outcome.result
    message = str(outcome.exception).strip()
    if is_transient(message):
        raise TransientFailure(f"dbt: {message}", hint="`make status` tells whether the warehouse runs; then try again")
    raise PermanentFailure(f"dbt: {message}", hint="correct the project; `cd dbt_project && dbt parse` shows the same")


def is_transient(message: str) -> bool:
    """Whether a database error may pass when tried again."""
    return TRANSIENT.search(message) is not None


def failed(results: Sequence[Any]) -> list[Any]:
    """Results of nodes that failed; those skipped because of them are not among these."""
    return [r for r in results if str(r.status) in {"error", "fail", "runtime error"}]
