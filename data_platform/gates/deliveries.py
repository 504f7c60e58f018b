"""What the gate after ingest checks: the ledger's account of every delivery that counts."""

from __future__ import annotations

from typing import Any

from psycopg2 import sql

from data_platform.contracts.compile.checks import plain
from data_platform.contracts.model import Contract
from data_platform.gates.rules import Relation, Subject, expectation, no_broken_rows
from data_platform.runs import Run
from data_platform.staleness import source_contracts
from data_platform.warehouse.connection import Connection, query

# Deliveries that came after the run was opened are the next run's business.
DELIVERIES = """
    select
        f.file_id, f.path, f.state, f.rows_read, f.rows_live, f.rows_quarantined, f.failure,
        (select coalesce(sum(d.rows), 0) from ops.file_days as d where d.file_id = f.file_id) as rows_of_days,
        (select count(*) from quarantine.rows as q where q.file_id = f.file_id) as rows_kept
    from ops.deliveries as f
    where
        f.dataset = {dataset} and f.state in ('new', 'live', 'failed')
        and f.discovered_at <= (select started_at from ops.runs where run_id = {run_id})
"""
PROFILE = """
    select
        count(*) as deliveries,
        count(*) filter (where state = 'live') as live,
        count(*) filter (where failure is not null) as failed,
        coalesce(sum(rows_read), 0) as rows_read,
        coalesce(sum(rows_live), 0) as rows_live,
        coalesce(sum(rows_quarantined), 0) as rows_quarantined
    from ({deliveries}) as d
"""


def ingested_subjects(connection: Connection, run: Run) -> list[Subject]:
    """The deliveries of each source dataset of the run."""
    return [_deliveries(connection, run, contract) for contract in source_contracts(run.datasets)]


def _deliveries(connection: Connection, run: Run, contract: Contract) -> Subject:
    deliveries = sql.SQL(DELIVERIES).format(dataset=sql.Literal(contract.dataset), run_id=sql.Literal(run.run_id))
    relation = Relation(contract.dataset, query=deliveries.as_string(connection))
    profile = query(connection, sql.SQL(PROFILE).format(deliveries=deliveries))[0]
    if not profile["deliveries"]:
        return Subject(relation, message="no delivery: not checked")
    counts = {name: int(profile[name]) for name in ("rows_read", "rows_live", "rows_quarantined")}
    share = 100 * counts["rows_quarantined"] / max(counts["rows_read"], 1)
    return Subject(
        relation,
        tuple(_rules(contract, any_live=profile["live"] > 0)),
        rows=profile["deliveries"],
        message=f"{profile['deliveries']} deliveries, {profile['failed']} failed; {share:.2g}% of rows quarantined",
        counts=counts,
    )


def _rules(contract: Contract, *, any_live: bool) -> list[dict[str, Any]]:
    tolerated = plain(contract.tolerated_broken_share)
    found = [
        no_broken_rows(
            "all_read",
            "state = 'new'",
            expected="no delivery is left unread",
            reason="the run was opened after it came; ingest reads all or says why not",
        ),
        no_broken_rows(
            "none_failed",
            "failure is not null",
            expected="no delivery failed",
            reason="a delivery that cannot be read fails alone and is held back; the others go on",
            severity="warning",
        ),
        no_broken_rows(
            "rows_accounted_for",
            "state = 'live' and rows_read is distinct from rows_live + rows_quarantined",
            expected="rows read = rows live + rows quarantined, for every delivery",
            reason="every row is accounted for",
        ),
        no_broken_rows(
            "days_accounted_for",
            "state = 'live' and rows_live is distinct from rows_of_days",
            expected="rows live = the sum over its days, for every delivery",
            reason="staleness is derived from the days; a row without one would never be staged",
        ),
        no_broken_rows(
            "quarantine_kept",
            "state = 'live' and rows_quarantined is distinct from rows_kept",
            expected="every quarantined row is kept",
            reason="a quarantined row can be read and replayed only if it is there",
        ),
        no_broken_rows(
            "quarantined_share",
            f"state = 'live' and rows_quarantined > {tolerated} * rows_read",
            expected=f"at most {tolerated} of a delivery's rows in quarantine",
            reason="the contract's toleratedBrokenShare",
        ),
    ]
    if any_live:
        kwargs = {"condition": "state = 'live' and rows_live > 0", "min_value": 1}
        found.append(
            expectation(
                "live_rows",
                "expect_broken_rows_to_be_between",
                kwargs,
                expected="at least one delivery with live rows",
                reason="a dataset whose deliveries are all empty has lost its source",
            )
        )
    return found
