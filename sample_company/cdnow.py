"""The CDNOW log: every purchase of 23,570 customers of an online record shop, 1997-01-01 to 1998-06-30.

It comes with the ``lifetimes`` package as ``CDNOW_master.txt``: a header, then rows of exactly 26 bytes and CRLF, like
`` 00001 19970101  1   11.77``, sorted by customer. There is no transaction id; equal rows are separate purchases.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_platform.failures import InputError

FIRST_DAY = date(1997, 1, 1)
LAST_DAY = date(1998, 6, 30)
EOL = b"\r\n"
HEADER = b" customer_id  date number_of_cds  dollar_value" + EOL
ROW_BYTES = 26
CUSTOMER_BYTES = slice(1, 6)
DAY_BYTES = slice(7, 15)
COUNT_BYTES = slice(16, 18)
AMOUNT_BYTES = slice(19, 26)


@dataclass(frozen=True)
class Log:
    """The log as arrays over its rows, in the order of the file.

    ``rows`` is bytes of shape (n, 28), line ends included; ``customer`` indexes ``customer_ids``; ``day`` counts days
    since 0001-01-01, as ``date.toordinal`` does; ``amount_usd`` is for statistics, not for sums.
    """

    rows: NDArray[np.uint8]
    customer_ids: tuple[str, ...]
    customer: NDArray[np.int64]
    day: NDArray[np.int64]
    amount_usd: NDArray[np.float64]

    def lines_of(self, day: date) -> list[bytes]:
        """The rows of one day with their line ends, in the order of the log."""
        return [row.tobytes() for row in self.rows[self.day == day.toordinal()]]

    def first_days(self) -> NDArray[np.int64]:
        """Day of each customer's first purchase."""
        days = np.full(len(self.customer_ids), LAST_DAY.toordinal())
        np.minimum.at(days, self.customer, self.day)
        return days

    def last_days(self) -> NDArray[np.int64]:
        """Day of each customer's last purchase."""
        days = np.zeros(len(self.customer_ids), dtype=np.int64)
        np.maximum.at(days, self.customer, self.day)
        return days


def source_file() -> Path:
    """Where the installed ``lifetimes`` keeps the log; found without importing it, which takes seconds.

    Raises:
        InputError: when the package is not installed.
    """
    spec = find_spec("lifetimes")
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            "the package lifetimes, which carries the CDNOW log, is not installed", hint="run `make setup`"
        )
    return Path(spec.submodule_search_locations[0]) / "datasets" / "CDNOW_master.txt"


@lru_cache(maxsize=1)
def log() -> Log:
    """Reads the log, once a process.

    Raises:
        InputError: when the file is not the one that this module describes.
    """
    content = source_file().read_bytes()
    body = content.removeprefix(HEADER)
    width = ROW_BYTES + len(EOL)
    if body == content or len(body) % width or body.count(EOL) * width != len(body):
        raise InputError(
            f"{source_file()} is not the CDNOW log", hint="reinstall lifetimes from the locked requirements"
        )
    rows = np.frombuffer(body, dtype=np.uint8).reshape(-1, width)
    ids, customer = np.unique(_texts(rows, CUSTOMER_BYTES), return_inverse=True)
    days, day_index = np.unique(_texts(rows, DAY_BYTES), return_inverse=True)
    ordinals = np.array([date.fromisoformat(day.decode()).toordinal() for day in days])
    return Log(
        rows=rows,
        customer_ids=tuple(customer_id.decode() for customer_id in ids),
        customer=customer,
        day=ordinals[day_index],
        amount_usd=_texts(rows, AMOUNT_BYTES).astype(np.float64),
    )


def _texts(rows: NDArray[np.uint8], columns: slice) -> NDArray[np.bytes_]:
    block = np.ascontiguousarray(rows[:, columns])
    return block.view(f"S{block.shape[1]}").ravel()
