"""The shop's catalogue: a full extract on the day it opens and on the first of each month, as Parquet."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property

from sample_company import names
from sample_company.draws import bits, generator
from sample_company.landing import Content

GENRES = ("rock", "pop", "jazz", "classical", "country", "soul", "folk", "soundtrack")
FORMATS = ("cd", "double cd", "maxi single")
PRICES_USD = ("9.97", "11.99", "13.97", "14.99", "16.97", "24.99")
# How many products come every month, and how many of a hundred change their price then.
NEW_A_MONTH, REPRICED_PERCENT = 12, 2


@dataclass(frozen=True, eq=False)
class Catalogue:
    """Products by number; what an extract says of one is a function of the seed, the product and the month.

    Args:
        first_extract: the day of the first one.
        at_first: number of products in the first extract.
    """

    seed: int
    first_extract: date
    at_first: int
    dataset: str = "products"

    def is_due(self, day: date) -> bool:
        """Whether the catalogue is extracted that day."""
        return day == self.first_extract or (day.day == 1 and day > self.first_extract)

    def product_ids(self, day: date) -> list[str]:
        """What the shop sells on a day, by number."""
        return self._ids[: self._number_on(day)]

    def price_usd(self, product: int, day: date) -> Decimal:
        """The list price of a product, counted from 0, on a day."""
        month = self._month(day)
        repriced = [m for m in range(1, month + 1) if bits(self.seed, product, m, 31) % 100 < REPRICED_PERCENT]
        return Decimal(PRICES_USD[bits(self.seed, product, max(repriced, default=0), 32) % len(PRICES_USD)])

    def content(self, day: date) -> Content:
        """The extract of a day: one row a product."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        products = range(self._number_on(day))
        prices = [self.price_usd(product, day) for product in products]
        table = pa.table(
            {
                "product_id": self._ids[: len(products)],
                "title": [self._title(product) for product in products],
                "artist": [self._artist(product) for product in products],
                "genre": [GENRES[bits(self.seed, product, 33) % len(GENRES)] for product in products],
                "list_price_usd": pa.array(prices, pa.decimal128(8, 2)),
                "released_on": pa.array([self._released_on(product) for product in products], pa.date32()),
                "formats": pa.array([self._formats(product) for product in products], pa.list_(pa.string())),
            }
        )
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd")
        return Content(buffer.getvalue(), len(products))

    @cached_property
    def _ids(self) -> list[str]:
        return [f"P{number:05d}" for number in range(1, 100_000)]

    def _month(self, day: date) -> int:
        return (day.year - self.first_extract.year) * 12 + day.month - self.first_extract.month

    def _number_on(self, day: date) -> int:
        return self.at_first + NEW_A_MONTH * self._month(day)

    def _released_on(self, product: int) -> date:
        if product < self.at_first:
            return self.first_extract - timedelta(days=30 + bits(self.seed, product, 34) % 9_000)
        months = (
            self.first_extract.month + (product - self.at_first) // NEW_A_MONTH
        )  # the month before the first extract
        return date(self.first_extract.year + months // 12, months % 12 + 1, 1) - timedelta(days=10)

    def _title(self, product: int) -> str:
        rng = generator(self.seed, "title", product)
        return " ".join(names.word(int(number)) for number in rng.integers(0, names.WORDS, 1 + product % 3))

    def _artist(self, product: int) -> str:
        # Made-up words: the name of a customer would be found in a scan for customers.
        return f"The {names.word(bits(self.seed, product // 3, 35) % names.WORDS)}s"

    def _formats(self, product: int) -> list[str]:
        chosen = 1 + bits(self.seed, product, 36) % 7
        return [name for bit, name in enumerate(FORMATS) if chosen >> bit & 1]
