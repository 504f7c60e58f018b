"""What a run would do and cost, told before it is done: files, rows, days, seconds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from graphlib import TopologicalSorter
from typing import Any

from data_platform import models
from data_platform.contracts.model import Contract
from data_platform.costs import Cost, learn_costs
from data_platform.holds import active_holds, rows_of
from data_platform.intervals import ONE_DAY, Interval, count_days, cover, union
from data_platform.ledger import Delivery, to_ingest
from data_platform.orchestrate import look, through_day_of
from data_platform.staleness import (
    model_contracts,
    published_tables,
    rejected_days,
    source_contracts,
    stale_days,
    wanted_fingerprints,
)
from data_platform.warehouse.connection import Connection, query, transaction
from data_platform.words import number_of


@dataclass(frozen=True)
class PlannedTable:
    """What a run would do to a table.

    Args:
        files: deliveries that are read first; how many rows these have is estimated from those read before.
        days: that are staged or built anew; of a table without days, and of files not read yet, it is not known: None.
        why: in a few words.
    """

    table: str
    files: int | None
    rows: int | None
    days: int | None
    why: str


@dataclass(frozen=True)
class Plan:
    """What a run would do, table by table, and the seconds that its steps would take, if past runs tell."""

    tables: tuple[PlannedTable, ...]
    seconds_by_step: dict[str, float]

    @property
    def seconds(self) -> float | None:
        return sum(self.seconds_by_step.values()) if self.seconds_by_step else None

    def document(self) -> dict[str, Any]:
        """The plan as JSON values."""
        return {
            "tables": [vars(table) for table in self.tables],
            "seconds": self.seconds,
            "seconds_by_step": self.seconds_by_step,
        }


def plan_work(asked: Interval | None, datasets: Iterable[str] = (), *, rebuild: bool = False) -> Plan:
    """Plans a run for whatever is stale, and with ``rebuild`` for days that are done whatever their state.

    Raises:
        InputError, PermanentFailure: what a run would say at once.
    """
    names = tuple(sorted(set(datasets)))
    with transaction() as connection:
        look(connection, asked, names)
        through = through_day_of(connection, asked)
        sources, changed = [], {}
        unread_rows = 0
        for contract in source_contracts(names):
            waiting = to_ingest(connection, contract)
            planned, days = _plan_source(connection, contract, waiting, asked if rebuild else None, through)
            unread_rows += planned.rows if waiting and planned.rows else 0
            sources.append(planned)
            changed[contract.table] = (cover(days), bool(waiting))
        built = _plan_models(connection, changed, through)
        rows = sum(planned.rows or 0 for planned in sources)
        seconds = _seconds(learn_costs(connection), ingested=unread_rows, staged=rows) if rows else {}
        connection.rollback()
    return Plan((*sources, *built), seconds)


def _plan_source(
    connection: Connection, contract: Contract, waiting: Sequence[Delivery], asked: Interval | None, through: date
) -> tuple[PlannedTable, set[date]]:
    """What a run would do to a source, and its days whose readers are built, which a reference table has if stale."""
    wanted = wanted_fingerprints(connection, contract, active_holds(connection, contract.table))
    stale = {day for day in stale_days(connection, contract) if day <= through}
    rejected = rejected_days(connection, contract)
    due = {day for day in wanted if asked and (contract.is_reference or day in asked)}
    days = stale | (due - rejected.keys())
    rows = sum(rows_of(wanted.get(day)) for day in days)
    said = [f"{number_of(stale)} stale"] if stale else []
    said += [f"{number_of(days - stale)} asked for"] if days - stale else []
    if waiting:
        said.append("files to read: their days and rows are an estimate" if rows else "rows estimated by size")
        rows += _estimated_rows(connection, contract, waiting)
    number = None if contract.is_reference else len(days)
    planned = PlannedTable(contract.table, len(waiting), rows, number, "; ".join(said) or "nothing to do")
    return planned, stale if contract.is_reference else days


def _estimated_rows(connection: Connection, contract: Contract, waiting: Sequence[Delivery]) -> int:
    """Rows of deliveries that were not read yet, by their size."""
    read = query(
        connection,
        "select sum(rows_read) as rows, sum(size_bytes) as bytes from ops.files where dataset = %s and rows_read > 0",
        (contract.dataset,),
    )[0]
    if not read["bytes"]:
        return 0
    return round(sum(delivery.size_bytes for delivery in waiting) * float(read["rows"]) / float(read["bytes"]))


def _plan_models(
    connection: Connection, changed: dict[str, tuple[list[Interval], bool]], through: date
) -> list[PlannedTable]:
    """The tables that dbt would build, each with the days that changes reach through its look-back windows."""
    published = published_tables(connection)
    references = {contract.table for contract in source_contracts() if contract.is_reference}
    planned: list[PlannedTable] = []
    for contract in _in_order(model_contracts()):
        before = published.get(contract.table)
        reached: list[Interval] = []
        grows = False
        replaced = ""
        for upstream, reach in models.reads(contract.table).items():
            days, unknown = changed.get(upstream, ([], False))
            grows |= unknown
            if upstream in references and (days or unknown):
                replaced, days, grows = upstream, [], True
            reached = union(reached, _clipped((i.widened(reach.look_back_days) for i in days), through))
        is_new = before is None or before["code_hash"] != models.code_hash(contract)
        whole = is_new or bool(replaced)
        due = before is not None and before["through_day"] < through
        changed[contract.table] = (reached, grows)
        why = "never published" if before is None else "code or contract changed" if is_new else ""
        why = why or (f"{replaced} is replaced" if replaced else "")
        why = f"all of it: {why}" if why else ""
        why = why or ("what the changed days reach" if reached else "what is due" if due else "nothing to do")
        has_days = contract.unit_column == contract.day_column
        days_built = count_days(reached) if has_days and not whole and not grows else None
        planned.append(
            PlannedTable(contract.table, None, before["rows"] if before and whole else None, days_built, why)
        )
    return planned


def _clipped(intervals: Iterable[Interval], through: date) -> list[Interval]:
    return [Interval(i.start, min(i.end, through + ONE_DAY)) for i in intervals if i.start <= through]


def _in_order(contracts: Sequence[Contract]) -> list[Contract]:
    """Contracts so that each comes after what it reads."""
    of_table = {contract.table: contract for contract in contracts}
    reads = {table: models.upstream_tables(table) & of_table.keys() for table in of_table}
    return [of_table[table] for table in TopologicalSorter(reads).static_order()]


def _seconds(costs: Mapping[str, Cost], *, ingested: int, staged: int) -> dict[str, float]:
    return {
        step: round(cost.seconds(ingested if "ingest" in step else staged), 1)
        for step, cost in costs.items()
        if ingested or "ingest" not in step
    }
