"""A shop: its till and its CRM, and the files that they deliver."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Protocol

from data_platform.contracts.load import get_contracts
from data_platform.contracts.model import Contract
from data_platform.intervals import Interval
from sample_company import cdnow
from sample_company.customers import CustomerBook
from sample_company.draws import generator
from sample_company.landing import Content, Delivery, Landed, arrival, ignore, land
from sample_company.planted import CUSTOMER_KINDS, EVENT_KINDS, PURCHASE_KINDS, BrokenLine, Schedule, break_purchase

VERSION = 2  # of the content; raise it when the generator's output changes, so that files are written anew
Month = tuple[int, int]
KINDS = {"purchases": PURCHASE_KINDS, "customers": CUSTOMER_KINDS, "web_events": EVENT_KINDS}


class Department(Protocol):
    """Whoever delivers a file of one dataset on some days; what is in it is a function of the day."""

    @property
    def dataset(self) -> str: ...

    def is_due(self, day: date) -> bool: ...

    def content(self, day: date) -> Content: ...


@dataclass(frozen=True)
class Shop:
    """Everything that its deliveries are a function of.

    ``lines_of`` gives the till's good lines of a day; ``monthly`` names the months that the till delivers as one file.
    ``others`` deliver beside the till and the CRM.
    """

    seed: int
    first_day: date
    book: CustomerBook
    lines_of: Callable[[date], list[bytes]]
    schedule: Schedule
    monthly: frozenset[Month] = frozenset()
    others: tuple[Department, ...] = ()

    @property
    def generator(self) -> str:
        """What the manifest names as the maker of the files."""
        return f"sample_company {VERSION}, seed {self.seed}"

    def land(self, landing: Path, days: Interval, *, on_file: Callable[[str], None] = ignore) -> Landed:
        """Lands what arrives for these days; see ``landing.land``."""
        return land(landing, self.deliveries(days), generator=self.generator, on_file=on_file)

    def deliveries(self, days: Interval) -> Iterator[Delivery]:
        """The files whose last day lies within ``days``, day by day."""
        for day in days:
            if delivered := self._till_days(day):
                yield self._delivery("purchases", self._till_name(day), day, partial(self._purchases, delivered))
            for department in (self.book, *self.others):
                if department.is_due(day):
                    yield self._delivery(department.dataset, f"{day}", day, partial(department.content, day))

    def _delivery(self, dataset: str, name: str, last_day: date, make: Callable[[], Content]) -> Delivery:
        contract = get_contracts()[dataset]
        path = path_of(contract, name)
        return Delivery(path, last_day, arrival(path, last_day, contract.arrival_delay, self.seed), make)

    def _till_days(self, day: date) -> list[date]:
        """The days that the file of a day holds: itself, its whole month on a monthly file's last day, or none."""
        if (day.year, day.month) not in self.monthly:
            return [day]
        is_last = (day + timedelta(days=1)).month != day.month
        return list(Interval(day.replace(day=1), day + timedelta(days=1))) if is_last else []

    def _till_name(self, day: date) -> str:
        return f"{day:%Y-%m}" if (day.year, day.month) in self.monthly else f"{day}"

    def _purchases(self, days: list[date]) -> Content:
        lines, broken = [cdnow.HEADER], []
        for day in days:
            good = self.lines_of(day)
            if kind := self.schedule.kind_of((day - self.first_day).days, len(good) + 1):
                broken.append(self._plant(kind, day, good, lines_before=len(lines)))
            lines += good
        return Content(b"".join(lines), len(lines) - 1, tuple(broken))

    def _plant(self, kind: str, day: date, lines: list[bytes], *, lines_before: int) -> BrokenLine:
        """Adds a broken line among the good ones of a day, made after one of them."""
        rng = generator(self.seed, "broken purchase", day.toordinal())
        model, place = int(rng.integers(len(lines))), int(rng.integers(len(lines) + 1))
        row, fault = break_purchase(kind, lines[model].removesuffix(cdnow.EOL), rng)
        lines.insert(place, row + cdnow.EOL)
        return BrokenLine(lines_before + place + 1, kind, fault)


def schedule(seed: int, dataset: str, every: int) -> Schedule:
    """When a dataset's broken rows are planted: each kind once in ``every`` days, or weeks of customers."""
    return Schedule(seed, dataset, KINDS[dataset], every, get_contracts()[dataset].tolerated_broken_share)


def path_of(contract: Contract, name: str) -> str:
    """Where a file of a dataset lands, relative to the landing folder."""
    assert contract.location is not None
    return contract.location.removeprefix("landing/").replace("{extract_day}", name).replace("*", name)
