"""Which files a new dataset comes in, how they are packed, and what of them is read to find out the rest."""

from __future__ import annotations

import glob
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path

from data_platform.contracts.odcs import EXTRACT_DAY
from data_platform.failures import InputError
from data_platform.file_forms import (
    LONGEST_SIGN,
    Compression,
    compression_by_content,
    compression_by_name,
    open_unpacked,
)
from data_platform.settings import get_settings

HEAD_BYTES = 256 << 10
BYTES_READ = 256 << 20
CHUNK_BYTES = 1 << 20
FEWEST_FILES = 5
DAY = re.compile(r"(?<!\d)(\d{4})([-_]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])(?!\d)")


@dataclass(frozen=True)
class Sample:
    """The files of a dataset, in the order of their names, and those of them that are read."""

    files: tuple[Path, ...]
    read: tuple[Path, ...]
    compression: Compression

    @property
    def bytes_a_file(self) -> int:
        """How much of a file is read at most, unpacked."""
        return max(CHUNK_BYTES, BYTES_READ // len(self.read))

    @cached_property
    def head(self) -> bytes:
        """The beginning of the first file, unpacked."""
        return head_of(self.files[0], self.compression)

    @cached_property
    def days(self) -> tuple[date, ...]:
        """The day in each file's name; empty unless all have one, each another."""
        found = tuple(filter(None, map(day_of, self.files)))
        return found if len(found) == len(self.files) == len(set(found)) else ()

    def pattern(self, source: str, dataset: str, *, by_day: bool) -> str:
        """Where such files land, as contracts write it: as below landing/, or in a folder of the dataset's own."""
        first = self.files[0]
        landing = Path(get_settings().landing).resolve()
        inside = first.resolve().is_relative_to(landing)
        folder = f"landing/{first.resolve().parent.relative_to(landing)}" if inside else f"landing/{source}/{dataset}"
        name = first.name
        ending = "".join(Path(name).suffixes[-2:] if compression_by_name(name) != "none" else Path(name).suffixes[-1:])
        if not by_day:
            return f"{folder}/*{ending}"
        around = {DAY.sub(EXTRACT_DAY, f.name, count=1) for f in self.files} if self.days else set()
        template = around.pop() if len(around) == 1 else f"{EXTRACT_DAY}{ending}"
        return f"{folder}/{template}"

    def describe(self) -> str:
        """What was read, in words."""
        count = len(self.files)
        which = f"{len(self.read)} of {count} files, spread over all" if len(self.read) < count else f"{count} files"
        return "1 file" if count == 1 else which


def take_sample(patterns: Sequence[str]) -> Sample:
    """The files that patterns name.

    Raises:
        InputError: when there is none, or one is empty, or they are packed in different ways.
    """
    names = {Path(name) for pattern in patterns for name in glob.glob(str(Path(pattern).expanduser()), recursive=True)}  # noqa: PTH207 - may be absolute
    files = tuple(sorted(name for name in names if name.is_file()))
    if not files:
        raise InputError(
            f"no file matches {' '.join(patterns)}", hint="put the pattern in quotes: --from 'exports/orders-*.csv'"
        )
    for file in files:
        if not _readable_size(file):
            raise InputError(f"{file} is empty", hint="leave it out, or ask the source to deliver it again")
    packed = {file: _compression_of(file) for file in files}
    other = next((file for file in files if packed[file] != packed[files[0]]), None)
    if other:
        raise InputError(
            f"{files[0]} is packed by {packed[files[0]]}, {other} by {packed[other]}", hint="name files of one kind"
        )
    return Sample(files, _spread(files), packed[files[0]])


def head_of(file: Path, compression: Compression, size: int = HEAD_BYTES) -> bytes:
    """The first bytes of a file, unpacked.

    Raises:
        InputError: when it cannot be unpacked, or holds nothing.
    """
    found = b"".join(chunks_of(file, compression, size))
    if not found.strip(b" \t\r\n\0\xef\xbb\xbf\xff\xfe"):
        raise InputError(f"{file} holds nothing but blanks", hint="leave it out, or ask the source to deliver it again")
    return found


def chunks_of(file: Path, compression: Compression, most: int) -> Iterator[bytes]:
    """The file's first ``most`` bytes, unpacked, in chunks.

    Raises:
        InputError: when it cannot be unpacked.
    """
    try:
        with open_unpacked(file, compression) as stream:
            while most > 0 and (chunk := stream.read(min(CHUNK_BYTES, most))):
                most -= len(chunk)
                yield chunk
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{file} cannot be read: {error}", hint="ask the source to deliver it again") from None


def day_of(file: Path) -> date | None:
    """The day that a file's name holds, where it holds one."""
    found = DAY.findall(file.name)
    if len(found) != 1:
        return None
    year, _, month, day = found[0]
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        return None


def _readable_size(file: Path) -> int:
    try:
        with file.open("rb"):
            return file.stat().st_size
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}", hint="check the file and its rights") from None


def _compression_of(file: Path) -> Compression:
    with file.open("rb") as stream:
        return compression_by_content(stream.read(LONGEST_SIGN))


def _spread(files: tuple[Path, ...]) -> tuple[Path, ...]:
    """All files, or where they are too much as many of them as are not, the first and the last among them."""
    total = sum(file.stat().st_size for file in files)
    if total <= BYTES_READ or len(files) <= FEWEST_FILES:
        return files
    count = max(FEWEST_FILES, len(files) * BYTES_READ // total)
    steps = [round(n * (len(files) - 1) / (count - 1)) for n in range(count)]
    return tuple(files[at] for at in dict.fromkeys(steps))
