"""A wholesaler's sales as its system exports them: half a million rows in 300 daily files, with all their oddities."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np

FIRST_DAY = date(2010, 12, 1)
WORDS = ("WHITE", "METAL", "LANTERN", "HEART", "T-LIGHT", "HOLDER", "£1 CARD", "SET OF 3", '"RETRO" TIN', "BAG, RED")
COUNTRIES = ("United Kingdom", "France", "EIRE", "Germany")
HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"


@dataclass(frozen=True)
class Written:
    """What the files hold: rows, rows without a customer, and the exact sums of quantities and prices."""

    rows: int
    without_customer: int
    quantity: int
    price: Decimal


def write_sales(folder: Path, *, files: int = 300, rows: int = 500_000, seed: int = 7) -> Written:
    """Writes a file a day.

    Cancellations have negative quantities and numbers that begin with C; customers are missing in a quarter of the rows
    and else written like 17850.0; prices have up to three decimals; one row in a hundred equals the one before it.
    """
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    without, quantity, price = 0, 0, Decimal(0)
    sizes = np.full(files, rows // files) + (np.arange(files) < rows % files)
    for number, size in enumerate(sizes.tolist()):
        day = FIRST_DAY + timedelta(days=number)
        lines: list[str] = []
        for _ in range(size):
            line = lines[-1] if lines and rng.random() < 0.01 else _line(rng, day, number)
            lines.append(line)
        for line in lines:
            *_, count, _, cost, customer, _ = line.rsplit(",", 5) if line.count('"') else line.split(",")
            without += not customer
            quantity += int(count)
            price += Decimal(cost)
        (folder / f"sales-{day}.csv").write_text(HEADER + "\n".join(lines) + "\n", encoding="cp1252", newline="\r\n")
    return Written(rows, without, quantity, price)


def _line(rng: np.random.Generator, day: date, number: int) -> str:
    draws = rng.integers(0, 1 << 30, 10).tolist()
    cancelled = draws[0] % 50 == 0
    invoice = f"{'C' if cancelled else ''}{536_000 + number * 100 + draws[1] % 100}"
    text = " ".join(WORDS[d % len(WORDS)] for d in draws[2:5])
    quoted = '"' + text.replace('"', '""') + '"' if set(text) & {",", '"'} else text
    count = (1 + draws[5] % 48) * (-1 if cancelled else 1)
    price = Decimal(draws[6] % 20_000) / (1000 if draws[7] % 10 == 0 else 100)
    customer = f"{12_346 + draws[8] % 6_000}.0" if draws[9] % 4 else ""
    time = f"{8 + draws[0] % 10:02d}:{draws[1] % 60:02d}:00"
    code = f"{10_002 + draws[2] % 80_000:05d}{'AB '[draws[3] % 3].strip()}"
    return f"{invoice},{code},{quoted},{count},{day} {time},{price},{customer},{COUNTRIES[draws[4] % 4]}"
