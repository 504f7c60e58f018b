"""Whether texts would be good rows: asked before a correction is written down, by the rules that will read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from data_platform.contracts.model import Contract
from data_platform.failures import InputError
from data_platform.landing import local_path
from data_platform.ledger import sha256_of
from data_platform.quarantine import Breach, Candidate
from spark_jobs.corrections import Correction, encrypted, read_corrections
from spark_jobs.deliveries import Source
from spark_jobs.reading import layout_of
from spark_jobs.session import get_spark
from spark_jobs.transform import transform

# A correction that is only asked about belongs to no delivery.
NOWHERE = Source(0, 0, Path(), "", 0, None, datetime.fromtimestamp(0, UTC))


def check_rows(contract: Contract, candidates: Sequence[Candidate]) -> list[Breach | None]:
    """For each text the rule that it breaks, or None where it is a good row.

    Raises:
        InputError: when what stands at a delivery's path is not that delivery, and its header had to be read again.
    """
    if layout_of(contract).finds_by_name:
        refuse_other_files(candidates)
    corrections = [
        Correction(_place_of(candidate), number, encrypted(candidate.text))
        for number, candidate in enumerate(candidates, start=1)
    ]
    strings = read_corrections(get_spark(), corrections, contract)
    rows = transform(strings, contract).selectExpr("line", "rule", "rule_column").where("rule IS NOT NULL").collect()
    broken = {row["line"]: Breach(row["rule"], row["rule_column"]) for row in rows}
    return [broken.get(number) for number in range(1, len(candidates) + 1)]


def refuse_other_files(candidates: Sequence[Candidate]) -> None:
    """Checks that the deliveries are still there as the ledger knows them: their headers say what a text holds.

    Raises:
        InputError: names the first that is not.
    """
    for path, sha256 in dict.fromkeys((c.path, c.sha256) for c in candidates):
        file = local_path(path)
        try:
            is_other = sha256_of(file) != sha256
        except OSError as error:
            raise InputError(
                f"{path} cannot be read, and its header says what a corrected row holds: {error.strerror}",
                hint="put the delivered file back",
            ) from None
        if is_other:
            raise InputError(
                f"{path} is no longer the file that the row stands in, whose header says what a corrected row holds",
                hint="put the delivered file back; or let a run read what stands there now, and correct its rows",
            )


def _place_of(candidate: Candidate) -> Source:
    file = local_path(candidate.path) if candidate.path else NOWHERE.file
    return replace(NOWHERE, extract_day=candidate.extract_day, file=file, name=candidate.path)
