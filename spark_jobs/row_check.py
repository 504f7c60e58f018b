"""Whether texts would be good rows: asked before a correction is written down, by the rules that will read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from data_platform.contracts.model import Contract
from data_platform.landing import local_path
from data_platform.quarantine import Breach, Candidate
from spark_jobs.corrections import Correction, encrypted, read_corrections
from spark_jobs.deliveries import Source
from spark_jobs.session import get_spark
from spark_jobs.transform import transform

# A correction that is only asked about belongs to no delivery.
NOWHERE = Source(0, 0, Path(), "", 0, None, datetime.fromtimestamp(0, UTC))


def check_rows(contract: Contract, candidates: Sequence[Candidate]) -> list[Breach | None]:
    """For each text the rule that it breaks, or None where it is a good row."""
    corrections = [
        Correction(_place_of(candidate), number, encrypted(candidate.text))
        for number, candidate in enumerate(candidates, start=1)
    ]
    strings = read_corrections(get_spark(), corrections, contract)
    rows = transform(strings, contract).selectExpr("line", "rule", "rule_column").where("rule IS NOT NULL").collect()
    broken = {row["line"]: Breach(row["rule"], row["rule_column"]) for row in rows}
    return [broken.get(number) for number in range(1, len(candidates) + 1)]


def _place_of(candidate: Candidate) -> Source:
    file = local_path(candidate.path) if candidate.path else NOWHERE.file
    return replace(NOWHERE, extract_day=candidate.extract_day, file=file, name=candidate.path)
