"""Files into the landing folder, whole or not at all, and their entries into the manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zlib import crc32

from sample_company.draws import bits
from sample_company.manifest import NAME, Entry, Manifest
from sample_company.planted import BrokenLine

FIRST_MINUTES = 5  # a delivery takes at least this long after midnight


@dataclass(frozen=True)
class Content:
    """A file's bytes, the number of its data rows (broken ones included), and the broken ones."""

    data: bytes
    rows: int
    broken: tuple[BrokenLine, ...] = ()


@dataclass(frozen=True)
class Delivery:
    """A file that is due: where it lands, when it arrives, and how its content is made."""

    path: str
    last_day: date
    arrived_at: datetime
    make: Callable[[], Content]


@dataclass(frozen=True)
class Landed:
    """What a call of ``land`` did."""

    manifest: Manifest
    written: tuple[str, ...]
    unchanged: int


def arrival(path: str, last_day: date, delay: timedelta, seed: int) -> datetime:
    """A minute within ``delay`` of the end of the last day in the file, another for each path."""
    minutes = int(delay.total_seconds() // 60)
    jitter = FIRST_MINUTES + bits(seed, crc32(path.encode())) % max(1, minutes - FIRST_MINUTES)
    return datetime.combine(last_day, time(), UTC) + timedelta(days=1, minutes=jitter)


def ignore(path: str) -> None:
    """Tells nobody."""


def land(
    landing: Path,
    deliveries: Iterable[Delivery],
    *,
    generator: str,
    on_file: Callable[[str], None] = ignore,
) -> Landed:
    """Writes the files that are not there yet, then the manifest.

    A file with the content that the manifest names is left alone, and so is a file that would get the same bytes.
    Killed anywhere, this leaves whole files and the manifest of before; called again, it goes on to the same bytes.

    Args:
        generator: names what makes the content; files of another generator are made anew.
        on_file: is told each path when it is done.
    """
    manifest = Manifest.read(landing)
    written: list[str] = []
    unchanged = 0
    for delivery in deliveries:
        if _is_landed(landing, manifest.get(delivery.path), generator):
            unchanged += 1
        else:
            content = delivery.make()
            if write_whole(landing / delivery.path, content.data):
                written.append(delivery.path)
            manifest.add(
                Entry.of(
                    delivery.path,
                    delivery.arrived_at,
                    rows=content.rows,
                    broken=content.broken,
                    sha256=hashlib.sha256(content.data).hexdigest(),
                    generator=generator,
                )
            )
        on_file(delivery.path)
    write_whole(landing / NAME, manifest.to_text().encode())
    return Landed(manifest, tuple(written), unchanged)


def _is_landed(landing: Path, entry: Entry | None, generator: str) -> bool:
    if entry is None or entry.generator != generator or not (landing / entry.path).is_file():
        return False
    with (landing / entry.path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == entry.sha256


def write_whole(file: Path, data: bytes) -> bool:
    """Writes a file by way of a temporary one, so that nobody sees half of it; False if it has these bytes already."""
    if file.is_file() and file.stat().st_size == len(data) and file.read_bytes() == data:
        return False
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.part")
    part.write_bytes(data)
    part.replace(file)
    return True
