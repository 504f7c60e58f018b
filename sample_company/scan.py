"""Looks for canaries in bytes, whatever they are the bytes of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from sample_company.customers import Canary

PREFIX_BYTES = 8
SLOT_BITS = 22
CHUNK_BYTES = 1 << 22
_SCATTER = np.uint64(0x9E3779B97F4A7C15)


class CanaryScanner:
    """Finds tens of thousands of canaries in one pass, some 20 MB a second.

    Every place whose first eight bytes may begin a canary (a bitmap over a hash tells) is compared with those that do.
    Compressed data must be unpacked before.
    """

    def __init__(self, canaries: Iterable[Canary]) -> None:
        """Raises ValueError without canaries: a scan for nothing finds nothing."""
        self._by_prefix: dict[bytes, list[tuple[bytes, Canary]]] = defaultdict(list)
        for canary in canaries:
            text = canary.text.encode()
            if len(text) < PREFIX_BYTES:
                raise ValueError(f"a canary has at least {PREFIX_BYTES} bytes, {canary.text!r} has fewer")
            self._by_prefix[text[:PREFIX_BYTES]].append((text, canary))
        if not self._by_prefix:
            raise ValueError("there are no canaries to look for")
        self._slots = np.zeros(1 << SLOT_BITS, dtype=bool)
        self._slots[_slots(b"".join(self._by_prefix))[::PREFIX_BYTES]] = True

    def scan(self, data: bytes) -> set[Canary]:
        """The canaries that stand anywhere in ``data``."""
        found: set[Canary] = set()
        for start in range(0, len(data), CHUNK_BYTES):
            chunk = data[start : start + CHUNK_BYTES + PREFIX_BYTES - 1]
            for place in (start + np.flatnonzero(self._slots[_slots(chunk)])).tolist():
                for text, canary in self._by_prefix.get(data[place : place + PREFIX_BYTES], ()):
                    if data.startswith(text, place):
                        found.add(canary)
        return found


def _slots(data: bytes) -> NDArray[np.uint64]:
    """Slot of the eight bytes that begin at each place of ``data``; its length is 7 less than that of ``data``."""
    places = max(0, len(data) - PREFIX_BYTES + 1)
    values = np.empty(places, dtype=np.uint64)
    for offset in range(min(PREFIX_BYTES, places)):
        aligned = np.frombuffer(data, dtype="<u8", offset=offset, count=(len(data) - offset) // PREFIX_BYTES)
        values[offset::PREFIX_BYTES] = aligned
    return values * _SCATTER >> np.uint64(64 - SLOT_BITS)
