"""Imports go down only, and rooms of one floor do not import each other."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BELOW: dict[str, set[str]] = {
    "data_platform": set(),
    "spark_jobs": {"data_platform"},
    "feature_repo": {"data_platform"},
    "sample_company": {"data_platform"},
    "dags": {"data_platform"},
}
# Airflow's environment has neither Spark nor dbt nor a warehouse driver to spare for the DAG files.
LIGHT = {
    "data_platform.alerts",
    "data_platform.contracts",
    "data_platform.failures",
    "data_platform.intervals",
    "data_platform.logs",
    "data_platform.settings",
}


def imports(file: Path) -> set[str]:
    """Modules that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return found


def violations(room: str, modules: set[str]) -> set[str]:
    """Imports of other rooms that ``room`` must not make."""
    others = set(BELOW) - {room} - BELOW[room]
    return {module for module in modules if module.split(".")[0] in others}


@pytest.mark.parametrize("room", BELOW)
def test_a_room_imports_only_the_floors_below(room: str) -> None:
    files = sorted((ROOT / room).rglob("*.py"))
    assert files, f"{room}/ holds no Python: the test would check nothing"
    wrong = {str(f.relative_to(ROOT)): v for f in files if (v := violations(room, imports(f)))}
    assert not wrong


def test_dags_import_only_the_light_parts_of_the_library() -> None:
    files = sorted((ROOT / "dags").rglob("*.py"))
    heavy = {
        str(f.relative_to(ROOT)): module
        for f in files
        for module in imports(f)
        if module.startswith("data_platform") and not any(module == x or module.startswith(x + ".") for x in LIGHT)
    }
    assert files
    assert not heavy


def test_an_import_of_the_floor_above_is_caught(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text("def f():\n    from spark_jobs.session import get_spark\n")
    assert violations("data_platform", imports(bad)) == {"spark_jobs.session"}


def test_files_stay_readable() -> None:
    long = {
        str(f.relative_to(ROOT)): lines
        for room in BELOW
        for f in sorted((ROOT / room).rglob("*.py"))
        if (lines := len(f.read_text(encoding="utf-8").splitlines())) > 400
    }
    assert not long, "split what does more than one thing"
