"""A small shop for tests: the same files by the same code, a few dozen customers, a few weeks."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np

from data_platform.intervals import Interval
from sample_company.catalogue import Catalogue
from sample_company.customers import WEEK_DAYS, CustomerBook
from sample_company.draws import generator
from sample_company.manifest import Manifest
from sample_company.planted import CUSTOMER_KINDS, EVENT_KINDS, PURCHASE_KINDS
from sample_company.shop import Department, Shop, schedule
from sample_company.simulate import History, Population, Process
from sample_company.support import SupportDesk
from sample_company.web import WebSite

# Everybody buys every other day and hardly anybody stops, so that no day is empty and one broken row among a day's
# score stays within what the contract tolerates.
PROCESS = Process(r=8.0, alpha=16.0, a=1.0, b=120.0, p=5.0, q=4.0, v=21.0)
NEWCOMERS, LEAVERS = 0.15, 0.1
PRODUCTS = 30


def small_shop(
    *, customers: int = 40, days: int = 20, start: date = date(1997, 1, 1), seed: int = 7, whole: bool = False
) -> Shop:
    """A shop of so many customers, of whom some sign up and some close their account within the days.

    Its till plants one broken row of each kind in the days (given at least 8 of them), its CRM, which makes an extract
    on the first day and each week after it, one in every extract but the first. Only a ``whole`` shop has a
    catalogue, a web site and a support desk, too.
    """
    rng = generator(seed, "small shop")
    first, ids = start.toordinal(), [f"{number:05d}" for number in range(1, customers + 1)]
    signed_up = first - rng.integers(0, 500, customers)
    newcomers = rng.random(customers) < NEWCOMERS
    signed_up[newcomers] = first + rng.integers(1, max(2, days - WEEK_DAYS), newcomers.sum())
    # An account holder has a profile from the first extract on, and buys from then on.
    starts = np.maximum(first, signed_up + (first - signed_up) % WEEK_DAYS)
    closes = np.where(
        rng.random(customers) < LEAVERS, starts + rng.integers(8, max(9, days), customers), first + 10_000
    )
    population = Population.after(History.none(customers), ids, PROCESS, seed=seed, starts=starts, closes=closes)
    book = CustomerBook(
        ids,
        seed=seed,
        first_extract=start,
        signed_up=signed_up,
        closes=closes,
        schedule=schedule(seed, "customers", len(CUSTOMER_KINDS) + 1),
    )
    others: tuple[Department, ...] = ()
    if whole:
        catalogue = Catalogue(seed, start, PRODUCTS)
        events = schedule(seed, "web_events", max(days, len(EVENT_KINDS) + 1))
        site = WebSite(seed, start, ids, book, catalogue, population.lines_of, events)
        others = (catalogue, site, SupportDesk(seed, start, ids, book, population.lines_of))
    return Shop(
        seed=seed,
        first_day=start,
        book=book,
        lines_of=population.lines_of,
        schedule=schedule(seed, "purchases", max(days, len(PURCHASE_KINDS) + 1)),
        others=others,
    )


def land_small_shop(
    landing: Path,
    *,
    customers: int = 40,
    days: int = 20,
    start: date = date(1997, 1, 1),
    seed: int = 7,
    whole: bool = False,
) -> Manifest:
    """Lands ``days`` days of a small shop, and returns what the manifest says of its files."""
    shop = small_shop(customers=customers, days=days, start=start, seed=seed, whole=whole)
    return shop.land(landing, Interval(start, start + timedelta(days=days))).manifest
