"""Any multiple of the log, for load: the same format, more customers, other cents."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sample_company import cdnow
from sample_company.draws import generator

CHUNK_ROWS = 500_000
ID_DIGITS, CENT_DIGITS = 5, 2
CENT_BYTES = slice(cdnow.AMOUNT_BYTES.stop - CENT_DIGITS, cdnow.AMOUNT_BYTES.stop)


def write_purchases(path: Path, rows: int, seed: int = 0) -> None:
    """Writes a file of ``rows`` good purchases, 28 bytes each, drawn from the log: some 2 million rows a second.

    Day, count and whole dollars are those of a row of the log; customer (00000 to 99999) and cents are drawn anew.
    Row n is the same for every number of rows.
    """
    log = cdnow.log()
    with path.open("wb") as file:
        file.write(cdnow.HEADER)
        for start in range(0, rows, CHUNK_ROWS):
            rng = generator(seed, "scale", start)
            block = log.rows[rng.integers(0, len(log.rows), CHUNK_ROWS, dtype=np.int32)]
            block[:, cdnow.CUSTOMER_BYTES] = _digits(rng.integers(0, 10**ID_DIGITS, CHUNK_ROWS), ID_DIGITS)
            block[:, CENT_BYTES] = _digits(rng.integers(0, 10**CENT_DIGITS, CHUNK_ROWS), CENT_DIGITS)
            file.write(block[: rows - start].tobytes())


def _digits(numbers: NDArray[np.int64], width: int) -> NDArray[np.uint8]:
    """Decimal digits of each number as ASCII, shape (n, width)."""
    powers = 10 ** np.arange(width - 1, -1, -1)
    return (numbers[:, None] // powers % 10 + ord("0")).astype(np.uint8)
