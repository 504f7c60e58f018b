"""A small shop with all its sources: catalogue, web site and support desk beside the till and the CRM."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from data_platform import orchestrate
from data_platform.intervals import ONE_DAY, Interval
from data_platform.local.postgres import EmbeddedPostgres
from data_platform.settings import PROJECT_ROOT
from data_platform.warehouse.connection import query, transaction
from sample_company.manifest import Manifest
from sample_company.scan import CanaryScanner
from sample_company.small import land_small_shop, small_shop
from sample_company.web import LATEST_DAYS, WebSite
from tests.conftest import SHOP_DAYS, Platform, make_platform
from tests.state import stale

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("spark_server", "untraced_engines")]
START, LAST = SHOP_DAYS.start, SHOP_DAYS.end - ONE_DAY


@pytest.fixture(scope="module")
def shop_with_all(
    postgres: EmbeddedPostgres, spark_server: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Platform, Manifest]]:
    """All but the last day in one run, then the last, which brings events of the days before it."""
    home = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        for platform in make_platform(postgres, home, patch, today=SHOP_DAYS.end, project=PROJECT_ROOT):
            manifest = land_small_shop(platform.landing, days=len(SHOP_DAYS), start=START, whole=True)
            orchestrate.run_all(Interval(START, LAST))
            orchestrate.run_all(None)
            yield platform, manifest


def good_events(shop: tuple[Platform, Manifest]) -> list[dict[str, Any]]:
    """The objects of all good lines of the web site's files, each with the day of its file."""
    platform, manifest = shop
    events = []
    for entry in manifest:
        if "/web_events/" in entry.path:
            broken = {line.line for line in entry.broken_lines}
            lines = gzip.decompress((platform.landing / entry.path).read_bytes()).splitlines()
            arrived = date.fromisoformat(entry.path[-len("1998-01-05.jsonl.gz") :][:10])
            events += [json.loads(line) | {"arrived": arrived} for n, line in enumerate(lines, 1) if n not in broken]
    return events


def test_every_row_is_live_or_in_quarantine(shop_with_all: tuple[Platform, Manifest]) -> None:
    _, manifest = shop_with_all
    assert stale() == []
    with transaction("steward") as connection:
        files = query(connection, "select path, rows_read, rows_live, rows_quarantined from ops.files")
        lines = query(connection, "select path, line from quarantine.rows join ops.files using (file_id)")
    expected = {f"landing/{e.path}": (e.rows, e.rows - len(e.broken_lines), len(e.broken_lines)) for e in manifest}
    assert {f["path"]: (f["rows_read"], f["rows_live"], f["rows_quarantined"]) for f in files} == expected
    planted = {(f"landing/{e.path}", b.line) for e in manifest for b in e.broken_lines}
    assert {(r["path"], r["line"]) for r in lines} == planted
    assert {path.split("/")[2] for path, _ in planted} >= {"purchases", "customers", "web_events"}


def test_late_events_belong_to_the_day_on_which_they_happened(shop_with_all: tuple[Platform, Manifest]) -> None:
    events = good_events(shop_with_all)
    happened = Counter(date.fromisoformat(event["at"][:10]) for event in events)
    late = {e["id"]: e for e in events if e["arrived"] > date.fromisoformat(e["at"][:10])}
    assert late, "the shop has late events"
    with transaction() as connection:
        days = query(connection, "select happened_on, count(*) as n from raw.web_events group by 1")
        rows = query(
            connection, "select event_id, known_at from raw.web_events where event_id = any(%s)", (list(late),)
        )
    assert {r["happened_on"]: r["n"] for r in days} == happened
    assert {r["event_id"] for r in rows} == late.keys()
    assert all(r["known_at"].date() == late[r["event_id"]]["arrived"] + ONE_DAY for r in rows)


def test_fields_that_the_contract_does_not_name_are_kept(shop_with_all: tuple[Platform, Manifest]) -> None:
    with transaction() as connection:
        rows = query(connection, "select other_fields, device_type, screen_width_px from raw.web_events")
    assert {r["other_fields"] for r in rows} == {'{"experiment":"a"}', '{"experiment":"b"}'}
    assert all(r["device_type"] and r["screen_width_px"] for r in rows)


def test_web_features_are_what_the_events_say(shop_with_all: tuple[Platform, Manifest]) -> None:
    visits: dict[str, set[tuple[date, str]]] = defaultdict(set)
    views: Counter[str] = Counter()
    for event in good_events(shop_with_all):
        if event["customer"]:
            customer = event["customer"]["id"]
            visits[customer].add((date.fromisoformat(event["at"][:10]), event["visit"]))
            views[customer] += event["type"] == "product_view"
    with transaction() as connection:
        rows = query(
            connection,
            """select distinct on (customer_id) customer_id, computed_on, visit_count_7d, visit_count_lifetime,
                   product_view_count_lifetime, last_seen_at
               from features.ftr_customer__web order by customer_id, computed_on desc""",
        )
    assert {r["customer_id"] for r in rows} == visits.keys()
    for row in rows:
        days = sorted(day for day, _ in visits[row["customer_id"]])
        assert row["visit_count_lifetime"] == len(days)
        assert row["visit_count_7d"] == sum(day > row["computed_on"] - 7 * ONE_DAY for day in days)
        assert row["product_view_count_lifetime"] == views[row["customer_id"]]
        assert row["last_seen_at"].date() == days[-1]


def test_tickets_and_products_are_published(shop_with_all: tuple[Platform, Manifest]) -> None:
    _, manifest = shop_with_all
    landed = Counter({kind: sum(e.rows for e in manifest if f"/{kind}/" in e.path) for kind in ("tickets", "products")})
    with transaction() as connection:
        counts = query(
            connection,
            """select (select count(*) from marts.fct_tickets) as tickets,
                   (select sum(newest) from (
                       select max(ticket_count_lifetime) as newest
                       from features.ftr_customer__support group by customer_id) as customers) as counted,
                   (select count(*) from marts.dim_products) as products,
                   (select count(distinct product_id) from raw.web_events
                    where product_id not in (select product_id from marts.dim_products)) as unknown_products""",
        )[0]
    assert counts["tickets"] == counts["counted"] == landed["tickets"] > 0
    assert counts["products"] == landed["products"] > 0
    assert counts["unknown_products"] == 0


def test_a_night_touches_only_the_days_that_late_events_belong_to(shop_with_all: tuple[Platform, Manifest]) -> None:
    events = [event for event in good_events(shop_with_all) if event["arrived"] == LAST]
    touched = {date.fromisoformat(event["at"][:10]) for event in events}
    assert min(touched) >= LAST - LATEST_DAYS * ONE_DAY
    with transaction() as connection:
        rows = query(
            connection,
            """select day from ops.published_days where table_name = 'raw.web_events'
               and publication_id = (select max(publication_id) from ops.published_days
                                     where table_name = 'raw.web_events')""",
        )
    assert {r["day"] for r in rows} == touched


def test_nothing_that_identifies_a_customer_is_left_of_tickets_and_events(
    shop_with_all: tuple[Platform, Manifest],
) -> None:
    shop = small_shop(days=len(SHOP_DAYS), start=START, whole=True)
    canaries = shop.book.all_canaries(LAST) + [c for o in shop.others if isinstance(o, WebSite) for c in o.canaries()]
    scanner = CanaryScanner(canaries)
    platform, manifest = shop_with_all
    landed = b"".join((platform.landing / e.path).read_bytes() for e in manifest if "/tickets/" in e.path)
    assert scanner.scan(landed), "people write what is theirs"
    with transaction() as connection:
        tickets = query(connection, "select * from marts.fct_tickets")
        events = query(connection, "select * from raw.web_events")
    assert scanner.scan(repr([tickets, events]).encode()) == set()
    texts = " ".join(f"{ticket['subject']} {ticket['body']}" for ticket in tickets)
    assert {"<NAME>", "<EMAIL>", "<PHONE>", "<ADDRESS>"} <= set(re.findall("<[A-Z]+>", texts))
