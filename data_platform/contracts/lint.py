"""Whether contract files keep the standard (datacontract-cli, against ODCS's schema) and our own strict models."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from data_platform.contracts.load import contract_files, load_contract, load_contracts
from data_platform.failures import InputError


def lint(root: Path) -> list[str]:
    """All problems of the contracts below ``root``, one line each; empty when there is none.

    Raises:
        InputError: when there is no contract at all.
    """
    files = contract_files(root)
    problems = [problem for file in files for problem in (*_ours(file, root), *_of_standard(file, root))]
    if not problems:
        problems = list(_of_all(root))
    return problems


def _ours(file: Path, root: Path) -> Iterator[str]:
    try:
        load_contract(file, root)
    except InputError as error:
        yield from error.message.splitlines()


def _of_all(root: Path) -> Iterator[str]:
    try:
        load_contracts(root)
    except InputError as error:
        yield from error.message.splitlines()


def _of_standard(file: Path, root: Path) -> Iterator[str]:
    from datacontract.data_contract import DataContract
    from datacontract.model.run import ResultEnum

    logging.getLogger("datacontract").setLevel(logging.CRITICAL)  # it logs what it also returns
    run = DataContract(data_contract_file=str(file), all_errors=True).lint()
    for check in run.checks or ():
        if check.result != ResultEnum.passed:
            reason = " ".join((check.reason or check.name or "not valid").split())
            yield f"{Path(root.name) / file.relative_to(root)}:1:1: {reason} (Open Data Contract Standard)"
