"""Writes drafts, and never over what is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from data_platform.contracts.load import contract_files, load_contract
from data_platform.failures import InputError
from data_platform.scaffold.contract import contract_path
from data_platform.scaffold.draft import Draft
from data_platform.scaffold.names import check_name
from data_platform.settings import get_settings

TABLE = "table:"


def draft_dataset(source: str, dataset: str, origin: Sequence[str]) -> Draft:
    """The draft of a dataset from files, or from a table of the source's database.

    Raises:
        InputError: when a name is none, the dataset has a contract, or what it is to be made of cannot be read.
    """
    check_name(source, "source")
    check_name(dataset, "dataset")
    _refuse_known(dataset)
    tables = [text for text in origin if text.startswith(TABLE)]
    if tables and len(origin) > 1:
        raise InputError("a dataset is made of files or of one table", hint="give one --from table:SCHEMA.TABLE")
    if tables:
        from data_platform.scaffold.tables import draft_of_table

        return draft_of_table(source, dataset, tables[0].removeprefix(TABLE))
    from data_platform.scaffold.dataset import draft_of_files

    return draft_of_files(source, dataset, origin)


def _refuse_known(dataset: str) -> None:
    root = get_settings().contracts_dir
    for file in contract_files(root) if root.is_dir() and any(root.rglob("*.yaml")) else ():
        if file.name.split(".")[0] == dataset:
            load_contract(file, root)
            raise InputError(
                f"dataset {dataset!r} has a contract: {Path(root.name) / file.relative_to(root)}",
                hint="edit that one, or choose another name; --dry-run of another name shows what would be written",
            )


def write_dataset(draft: Draft, text: str) -> list[Path]:
    """Writes the contract, the staging model and the page of a dataset, and returns their files."""
    from data_platform.scaffold import profile

    settings = get_settings()
    staging = f"stg_{draft.source}__{draft.dataset}.sql"
    files = {
        settings.contracts_dir / contract_path(draft.source, draft.dataset): text,
        settings.dbt_project_dir / "models" / "staging" / draft.source / staging: "{{ stage_from_contract() }}\n",
        profile.page_path(draft): profile.render(draft),
    }
    write_new(files)
    return list(files)


def write_new(files: Mapping[Path, str]) -> None:
    """Writes files that are not there yet: all of them, or none.

    Raises:
        InputError: when one is there, or cannot be written.
    """
    for path in files:
        if path.exists():
            raise InputError(f"{path} is there already", hint="choose another name, or move it away")
    begun: list[Path] = []
    try:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            begun.append(path)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        for file in begun:
            file.unlink(missing_ok=True)
        raise InputError(
            f"{path} cannot be written: {error.strerror}; nothing was", hint="check its folder and the disk"
        ) from None
