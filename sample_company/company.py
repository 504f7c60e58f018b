"""The sample company: the CDNOW log as it stands, customers to go with it, and the days after it."""

from __future__ import annotations

from datetime import date
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sample_company import cdnow
from sample_company.catalogue import Catalogue
from sample_company.customers import Canary, CustomerBook
from sample_company.draws import generator
from sample_company.shop import Shop, schedule
from sample_company.simulate import CDNOW_PROCESS, History, Population
from sample_company.support import SupportDesk
from sample_company.web import WebSite

SEED = 1997
OPENED = date(1994, 8, 1)
FIRST_EXTRACT = cdnow.FIRST_DAY  # a Wednesday, as all later ones
MONTHLY = frozenset({(1997, 9)})
# Six broken rows of each kind in the 546 days and 78 weeks of the log, and so on after it.
PURCHASE_PERIOD_DAYS, CUSTOMER_PERIOD_WEEKS, EVENT_PERIOD_DAYS = 91, 13, 91
PRODUCTS = 2_000
# Long enough that the first extract already has the 20,000 customers that the contract expects of one.
MEAN_DAYS_TO_FIRST_PURCHASE = 320
CLOSING_SHARE = 0.05
CLOSING_DAYS_AT_LEAST, CLOSING_DAYS_MEAN = 14, 200
NEVER = date.max.toordinal()


@lru_cache(maxsize=2)
def company(seed: int = SEED) -> Shop:
    """The company, built once a process in about half a second."""
    log = cdnow.log()
    closes = _closing_days(log, seed)
    book = CustomerBook(
        log.customer_ids,
        seed=seed,
        first_extract=FIRST_EXTRACT,
        signed_up=_sign_up_days(log, seed),
        closes=closes,
        schedule=schedule(seed, "customers", CUSTOMER_PERIOD_WEEKS),
    )
    population = Population.after(
        History.of_log(log),
        log.customer_ids,
        CDNOW_PROCESS,
        seed=seed,
        starts=np.full(len(log.customer_ids), cdnow.LAST_DAY.toordinal() + 1),
        closes=closes,
    )

    def lines_of(day: date) -> list[bytes]:
        return log.lines_of(day) if day <= cdnow.LAST_DAY else population.lines_of(day)

    catalogue = Catalogue(seed, FIRST_EXTRACT, PRODUCTS)
    events = schedule(seed, "web_events", EVENT_PERIOD_DAYS)
    return Shop(
        seed=seed,
        first_day=cdnow.FIRST_DAY,
        book=book,
        lines_of=lines_of,
        schedule=schedule(seed, "purchases", PURCHASE_PERIOD_DAYS),
        monthly=MONTHLY,
        others=(
            catalogue,
            WebSite(seed, cdnow.FIRST_DAY, log.customer_ids, book, catalogue, lines_of, events),
            SupportDesk(seed, cdnow.FIRST_DAY, log.customer_ids, book, lines_of),
        ),
    )


def canaries(customer_id: str, extract_day: date) -> dict[str, str]:
    """The customer's e-mail, phone and street name in an extract; see ``CustomerBook.canaries``."""
    return company().book.canaries(customer_id, extract_day)


def all_canaries(through: date = cdnow.LAST_DAY) -> list[Canary]:
    """Every canary that landed up to a day, and the addresses of all customers on the net."""
    shop = company()
    sites = [other for other in shop.others if isinstance(other, WebSite)]
    return shop.book.all_canaries(through) + [canary for site in sites for canary in site.canaries()]


def _sign_up_days(log: cdnow.Log, seed: int) -> NDArray[np.int64]:
    """Some time before the last extract up to the first purchase, so that a profile exists when it is needed."""
    first = log.first_days()
    last_extract = first - (first - FIRST_EXTRACT.toordinal()) % 7
    longest = last_extract - OPENED.toordinal()
    # The exponential distribution, cut off at the day on which the shop opened.
    chance = generator(seed, "sign-ups").random(len(first)) * -np.expm1(-longest / MEAN_DAYS_TO_FIRST_PURCHASE)
    gap = np.minimum(-MEAN_DAYS_TO_FIRST_PURCHASE * np.log1p(-chance), longest)
    return last_extract - gap.astype(np.int64)


def _closing_days(log: cdnow.Log, seed: int) -> NDArray[np.int64]:
    """A few close their account some time after their last purchase; a day far away for all others."""
    last = log.last_days()
    rng = generator(seed, "closings")
    lag = CLOSING_DAYS_AT_LEAST + rng.exponential(CLOSING_DAYS_MEAN, len(last)).astype(np.int64)
    return np.where(rng.random(len(last)) < CLOSING_SHARE, last + lag, NEVER)
