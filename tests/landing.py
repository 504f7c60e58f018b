"""What the shop's till and CRM deliver."""

from __future__ import annotations

from datetime import date
from pathlib import Path

HEADERS = {
    "purchases": "customer_id date number_of_cds dollar_value",
    "customers": "customer_id,full_name,email,phone,birth_date,street,city,gender,country,signed_up_on",
}


def purchase(day: date, amount: str, *, count: int = 1) -> bytes:
    """A line of the till, of a customer whom the small shop has."""
    return f" 00001 {day:%Y%m%d}  {count}   {amount}\r\n".encode()


def add_purchases(landing: Path, day: date, *lines: bytes) -> None:
    """A day's file comes again, with some purchases more."""
    with (landing / "shop" / "purchases" / f"{day}.txt").open("ab") as stream:
        stream.writelines(lines)
