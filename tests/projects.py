"""The project with the till and the CRM alone, for tests of what is the same with any sources: each run costs half."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from data_platform.contracts.load import load_contracts
from data_platform.models import Project
from data_platform.settings import PROJECT_ROOT

SOURCES = {"customers", "purchases"}


def two_sources() -> Path:
    """Where it is, once ``make_two_sources`` has made it."""
    return Path(os.environ["TEST_SERVERS"]) / "project"


def make_two_sources() -> None:
    """Copies contracts and models of the two sources and all that is made of them alone; the rest is linked."""
    root, copied = two_sources(), {"contracts", "dbt_project"}
    root.mkdir()
    for entry in PROJECT_ROOT.iterdir():
        if entry.name not in copied | {".env", ".state"}:
            (root / entry.name).symlink_to(entry)
    for name in copied:
        ignored = shutil.ignore_patterns("target", "logs", "profiles.yml")
        shutil.copytree(PROJECT_ROOT / name, root / name, ignore=ignored)
    contracts = load_contracts(PROJECT_ROOT / "contracts")
    project = Project(PROJECT_ROOT / "dbt_project")
    sources = {c.dataset for c in contracts.of_layer("sources")}

    def origins(dataset: str) -> set[str]:
        return {dataset} if dataset in sources else set().union(*map(origins, project.upstream(dataset)))

    for contract in contracts:
        if not origins(contract.dataset) <= SOURCES:
            names = {contract.dataset, f"stg_{contract.source}__{contract.dataset}"}
            (root / "contracts" / contract.path).unlink()
            for file in (root / "dbt_project" / "models").rglob("*"):
                if file.stem in names:
                    file.unlink()
