"""Purchases that nobody made: a buy-till-you-die process fitted to the CDNOW log.

The model is BG/NBD (Fader, Hardie & Lee 2005): a customer buys as a Poisson process whose rate is drawn from
Gamma(r, alpha), and drops out after each purchase with a probability drawn from Beta(a, b). What a purchase is worth
follows the gamma-gamma model (Fader & Hardie 2013), independent of how often somebody buys: values from Gamma(p, rate),
that rate from Gamma(q, v).

Given that a customer is still alive, rate and dropout have conjugate posteriors. Last purchases then come at rate
rate * dropout and others at rate * (1 - dropout), independently of each other, so a day can be drawn without drawing
the days before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from sample_company import cdnow
from sample_company.draws import generator

Floats = NDArray[np.float64]

SECOND_LINE_SHARE = 0.03  # 69,659 rows on 67,591 days with a purchase
GIFT_SHARE = 0.00115  # 80 of 69,659 rows have no value
CD_PRICE_USD = 14.0  # median of amount / count
CD_PRICE_SPREAD = 0.25
MOST_CDS = 99
HIGHEST_AMOUNT_USD = 9999.99  # what the seven characters of the till's last field hold


@dataclass(frozen=True)
class Process:
    """The four parameters of BG/NBD (time in days) and the three of gamma-gamma (USD)."""

    r: float
    alpha: float
    a: float
    b: float
    p: float
    q: float
    v: float


# What `refit()` gives for the whole log; a test holds the two together. To refit after a change of the log:
#   .venv/bin/python -c "from sample_company.simulate import refit; print(refit())"
CDNOW_PROCESS = Process(r=0.2671, alpha=41.905, a=0.4835, b=2.1116, p=5.086, q=3.995, v=21.252)


@dataclass(frozen=True)
class History:
    """What a customer did so far, in the terms of the models; arrays over customers.

    ``repeats``: days with a purchase after the first; ``recency``: days from the first to the last purchase;
    ``age``: days from the first purchase to now; ``mean_usd``: mean value of the repeat days, 0 where there are none.
    """

    repeats: Floats
    recency: Floats
    age: Floats
    mean_usd: Floats

    @classmethod
    def none(cls, customers: int) -> History:
        """Customers of whom nothing is known yet."""
        return cls(*(np.zeros(customers) for _ in range(4)))

    @classmethod
    def of_log(cls, log: cdnow.Log) -> History:
        """The customers of the log on its last day."""
        buying_days, index = np.unique(log.customer * 1_000_000 + log.day, return_inverse=True)
        value = np.bincount(index, weights=log.amount_usd)
        customer, day = buying_days // 1_000_000, buying_days % 1_000_000
        first, last = log.first_days(), log.last_days()
        repeat = day > first[customer]
        repeats = np.bincount(customer[repeat], minlength=len(first)).astype(np.float64)
        spent = np.bincount(customer[repeat], weights=value[repeat], minlength=len(first))
        return cls(
            repeats=repeats,
            recency=(last - first).astype(np.float64),
            age=(cdnow.LAST_DAY.toordinal() - first).astype(np.float64),
            mean_usd=np.divide(spent, repeats, out=np.zeros_like(spent), where=repeats > 0),
        )


def refit() -> Process:
    """Fits the process to the log by maximum likelihood; takes some seconds, most of them the import."""
    from lifetimes import BetaGeoFitter, GammaGammaFitter

    history = History.of_log(cdnow.log())
    buying = BetaGeoFitter().fit(history.repeats, history.recency, history.age).params_
    spenders = history.mean_usd > 0
    spending = GammaGammaFitter().fit(history.repeats[spenders], history.mean_usd[spenders]).params_
    return Process(**{name: float(value) for name, value in {**buying, **spending}.items()})


@dataclass(frozen=True)
class Population:
    """Customers with their own rates of buying, dropping out and spending, from a day on.

    ``until`` is the moment of the last purchase in days since 0001-01-01, with its fraction of a day; ``starts`` and
    ``closes`` are the first day on which the customer may buy and the first on which he may not.
    """

    seed: int
    customer_ids: Sequence[str]
    process: Process
    steady_rate: Floats
    until: Floats
    value_rate: Floats
    starts: NDArray[np.int64]
    closes: NDArray[np.int64]

    @classmethod
    def after(
        cls,
        history: History,
        customer_ids: Sequence[str],
        process: Process,
        *,
        seed: int,
        starts: NDArray[np.int64],
        closes: NDArray[np.int64],
    ) -> Population:
        """Draws each customer's rates from what is known of him on the day before ``starts``."""
        rng = generator(seed, "population")
        x, age = history.repeats, history.age
        rate = rng.gamma(process.r + x, 1 / (process.alpha + age))
        dropout = rng.beta(process.a, process.b + x)
        alive = rng.random(len(x)) < _probability_alive(history, process)
        lifetime = np.where(alive, rng.exponential(1 / np.maximum(rate * dropout, 1e-12)), -1.0).astype(np.float64)
        value_rate = rng.gamma(process.q + process.p * x, 1 / (process.v + x * history.mean_usd))
        return cls(seed, customer_ids, process, rate * (1 - dropout), starts + lifetime, value_rate, starts, closes)

    def lines_of(self, day: date) -> list[bytes]:
        """The till's lines of one day with their line ends, by customer: a function of the seed and the day alone."""
        rng = generator(self.seed, "purchases", day.toordinal())
        buyers = self._buyers(day, rng)
        customers = np.repeat(buyers, 1 + (rng.random(len(buyers)) < SECOND_LINE_SHARE))
        amounts = rng.gamma(self.process.p, 1 / self.value_rate[customers])
        prices = rng.lognormal(np.log(CD_PRICE_USD), CD_PRICE_SPREAD, len(customers))
        counts = np.clip(np.rint(amounts / prices), 1, MOST_CDS).astype(int)
        amounts = np.clip(amounts, 0.01, HIGHEST_AMOUNT_USD)
        amounts[rng.random(len(customers)) < GIFT_SHARE] = 0
        text, ids = f"{day:%Y%m%d}", self.customer_ids
        return [
            f" {ids[customer]} {text} {count:2d} {amount:7.2f}\r\n".encode()
            for customer, count, amount in zip(customers.tolist(), counts.tolist(), amounts.tolist(), strict=True)
        ]

    def _buyers(self, day: date, rng: np.random.Generator) -> NDArray[np.int64]:
        """Indices of who buys that day, once for each purchase."""
        now = day.toordinal()
        share_alive = np.clip(self.until - now, 0, 1)
        purchases = rng.poisson(self.steady_rate * share_alive) + (np.floor(self.until) == now)
        purchases[(now < self.starts) | (now >= self.closes)] = 0
        return np.repeat(np.arange(len(purchases)), purchases)


def _probability_alive(history: History, process: Process) -> Floats:
    """P(alive) of BG/NBD; 1 for who bought once, since a death follows only a repeat purchase."""
    x = history.repeats
    log_ratio = (process.r + x) * np.log((process.alpha + history.age) / (process.alpha + history.recency))
    odds_dead = np.exp(np.minimum(log_ratio, 700)) * process.a / np.maximum(process.b + x - 1, 1e-9)
    return np.where(x > 0, 1 / (1 + odds_dead), 1.0)
