"""Dirty files on the way that all files take: each is read right, or its broken rows are kept apart, or it is held back
with a message; and none harms another.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml
from deltalake import DeltaTable
from pyarrow import RecordBatch
from pyspark.sql import DataFrame, SparkSession

from data_platform import lake
from data_platform.contracts.load import get_contracts, load_contract
from data_platform.intervals import Interval
from data_platform.local.postgres import EmbeddedPostgres
from data_platform.orchestrate import open_work
from data_platform.steps import perform
from data_platform.warehouse.connection import query, transaction
from spark_jobs import ingest
from spark_jobs.deliveries import Source, rows_of
from spark_jobs.reading import frame_of, layout_of, share_out
from spark_jobs.records import Layout
from tests.conftest import Platform, make_platform
from tests.pollutions import Pollution, all_pollutions

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("spark_server")]
POLLUTIONS = all_pollutions()
DIALECT_OF_VALUES = {"decimal", "thousands", "nullValues"}
TEMPLATE = Path(__file__).parent / "parcels.odcs.yaml"
DAY = date(1998, 1, 31)


@dataclass(frozen=True)
class Found:
    """What the platform made of a file: its record in the ledger, the live rows, line → rule of those in quarantine."""

    record: dict[str, Any]
    live: list[tuple[Any, ...]]
    broken: dict[int, str]


@pytest.fixture(scope="module")
def found(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Found]]:
    """Name of each file → what became of it. All are read in one run."""
    home = tmp_path_factory.mktemp("dirty")
    with pytest.MonkeyPatch.context() as patch:
        for platform in make_platform(postgres, home, patch, today=Interval.of_day(DAY).end, project=home):
            layouts = land(platform, home / "contracts", home / "dialects")
            patch.setattr(ingest, "read_sources", reading_each_by(layouts))
            run = open_work(Interval.of_day(DAY)).run
            assert run
            perform(run.run_id, "ingest")
            yield dict(what_became())


def land(platform: Platform, contracts: Path, dialects: Path) -> dict[str, Layout]:
    """Writes the files, and contracts for them. Returns path → layout.

    A dataset takes seconds, so files share one where their values are written alike; the layout of each is that of a
    contract with its own dialect. Equal files do not share one: of equal deliveries only one is read.
    """
    datasets: dict[tuple[Any, ...], str] = {}
    layouts: dict[str, Layout] = {}
    copies: Counter[tuple[Any, ...]] = Counter()
    for number, pollution in enumerate(POLLUTIONS):
        of_values = {name: value for name, value in pollution.dialect.items() if name in DIALECT_OF_VALUES}
        kind = (pollution.form, json.dumps(of_values))
        copies[kind, pollution.content] += 1
        dataset = f"parcels_{len(datasets)}"
        if (*kind, copies[kind, pollution.content]) not in datasets:
            write_contract(contracts, dataset, pollution.form, of_values)
        dataset = datasets.setdefault((*kind, copies[kind, pollution.content]), dataset)
        own = write_contract(dialects, f"dialect_{number}", pollution.form, pollution.dialect)
        file = platform.landing / "post" / dataset / pollution.file_name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(pollution.content)
        layouts[f"landing/post/{dataset}/{pollution.file_name}"] = layout_of(load_contract(own, dialects))
    return layouts


def write_contract(root: Path, dataset: str, form: str, dialect: Mapping[str, Any]) -> Path:
    contract = yaml.safe_load(TEMPLATE.read_text("utf-8"))
    contract["servers"][0] |= {"path": f"landing/post/{dataset}/*", "format": form}
    contract["schema"][0]["name"] = contract["id"] = dataset
    if dialect:
        contract["customProperties"].append({"property": "dialect", "value": dict(dialect)})
    file = root / "sources" / "post" / f"{dataset}.odcs.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(contract), encoding="utf-8")
    return file


def reading_each_by(layouts: Mapping[str, Layout]) -> Callable[..., DataFrame]:
    """What reads each source by its own layout instead of the dataset's."""

    def read_sources(spark: SparkSession, sources: Sequence[Source], layout: Layout) -> DataFrame:
        def read(group: Sequence[Source]) -> Iterator[RecordBatch]:
            return chain.from_iterable(rows_of([source], layouts[source.name]) for source in group)

        return frame_of(spark, share_out(sources), read, layout)

    return read_sources


def what_became() -> Iterator[tuple[str, Found]]:
    with transaction() as connection:
        files = query(connection, "select * from ops.files")
        rows = query(connection, "select file_id, line, rule from quarantine.rows")
    live: dict[tuple[int, int], list[tuple[Any, ...]]] = {}
    for contract in get_contracts():
        table = (
            DeltaTable(lake.table_url(contract.dataset))
            if DeltaTable.is_deltatable(lake.table_url(contract.dataset))
            else None
        )
        columns = ["file_id", "ingest_id", "parcel_id", "note", "weight_kg", "sent_on"]
        for file_id, ingest_id, *values in (
            zip(*table.to_pyarrow_table(columns=columns).to_pydict().values(), strict=True) if table else ()
        ):
            parcel, note, weight, sent = values
            live.setdefault((file_id, ingest_id), []).append((parcel, note, str(weight), sent.isoformat()))
    for file in files:
        broken = {row["line"]: row["rule"] for row in rows if row["file_id"] == file["file_id"]}
        yield Path(file["path"]).name, Found(file, live.get((file["file_id"], file["ingest_id"]), []), broken)


@pytest.mark.parametrize("pollution", POLLUTIONS, ids=lambda pollution: pollution.file_name)
def test_a_dirty_file_is_read_right_or_said_to_be_broken(pollution: Pollution, found: dict[str, Found]) -> None:
    became = found[pollution.file_name]
    record = became.record
    if pollution.refused:
        told = record["failure"]
        assert told
        assert (record["rows_live"], became.live, became.broken) == (None, [], {})
        path, message, hint = record["path"], *told.split("\n  → ")
        assert message.startswith(path)
        assert pollution.refused in told
        assert hint
        assert len(told) < 1500
        assert told.replace("\n  → ", "").isprintable()
        assert "Traceback" not in told
        return
    assert record["failure"] is None
    assert Counter(became.live) == Counter(pollution.live)
    assert became.broken == pollution.broken
    assert record["rows_read"] == len(pollution.live) + len(pollution.broken)
