"""Names of deliveries: ``landing/…`` in the ledger, wherever that lies on this machine."""

from __future__ import annotations

from pathlib import Path

from data_platform.settings import get_settings


def local_path(path: str) -> Path:
    """Where a delivery's path (``landing/…``) stands on this machine."""
    return Path(get_settings().landing) / Path(path).relative_to("landing")


def in_landing(path: str) -> str:
    """A delivery's path, or a pattern of paths, that may lack its leading ``landing/``."""
    return path if path.startswith("landing/") else f"landing/{path}"
