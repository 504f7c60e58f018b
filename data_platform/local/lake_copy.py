"""The lake's Delta tables as files: which of them make a version, and their copies."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from data_platform.local.backup_manifest import BLOCK, StoredFile

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

LOG = "_delta_log"
ATTEMPT = re.compile(r"/attempt-(\d+)/")
# 00000000000000000007.json, ….checkpoint.parquet; `_last_checkpoint` may speak of a later version, and is not needed.
LOG_FILE = re.compile(r"(\d{20})\..+")


@dataclass(frozen=True)
class PinnedTable:
    """A Delta table at a version; ``files`` are relative to the lake, data before the log, the log in its order."""

    path: str
    version: int
    files: tuple[str, ...]


def pin_tables(lake: str) -> list[PinnedTable]:
    """Every Delta table of a lake at its present version."""
    filesystem, root = open_place(lake)
    return [_pin(filesystem, root, lake, path) for path in _tables(filesystem, root)]


def has_tables(lake: str) -> bool:
    """Whether there is any table in a lake."""
    return next(_tables(*open_place(lake)), None) is not None


def open_place(url: str) -> tuple[FileSystem, str]:
    """The file system of a folder or of an object store's address, and the path in it."""
    import pyarrow.fs

    filesystem, root = pyarrow.fs.FileSystem.from_uri(url)
    return filesystem, root


def _tables(filesystem: FileSystem, root: str) -> Iterator[str]:
    import pyarrow.fs

    everything = filesystem.get_file_info(pyarrow.fs.FileSelector(root, recursive=True, allow_not_found=True))
    logs = sorted({info.path.partition(f"/{LOG}/")[0] for info in everything if f"/{LOG}/" in info.path})
    yield from (path[len(root) + 1 :] for path in logs)


def _pin(filesystem: FileSystem, root: str, lake: str, path: str) -> PinnedTable:
    """A table at its present version: that log, what it names, and what earlier versions name as far as it is there.

    The earlier versions keep what names a version of the table, like a training set, answerable after a restore.
    """
    import deltalake
    import pyarrow as pa
    import pyarrow.fs

    table = deltalake.DeltaTable(f"{lake}/{path}")
    version = table.version()
    log = _log_files(filesystem, f"{root}/{path}/{LOG}", version)
    present = set(pa.table(table.get_add_actions())["path"].to_pylist())
    earlier = _added(filesystem, [f"{root}/{path}/{LOG}/{name}" for name in log if name.endswith(".json")]) - present
    there = filesystem.get_file_info([f"{root}/{path}/{name}" for name in sorted(earlier)])
    kept = {info.path[len(f"{root}/{path}/") :] for info in there if info.type == pyarrow.fs.FileType.File}
    files = [*sorted(present | kept), *(f"{LOG}/{name}" for name in log)]
    return PinnedTable(path, version, tuple(f"{path}/{name}" for name in files))


def _log_files(filesystem: FileSystem, folder: str, version: int) -> list[str]:
    import pyarrow.fs

    names = sorted(info.base_name for info in filesystem.get_file_info(pyarrow.fs.FileSelector(folder)))
    return [name for name in names if (match := LOG_FILE.fullmatch(name)) and int(match[1]) <= version]


def _added(filesystem: FileSystem, log: list[str]) -> set[str]:
    added = set()
    for file in log:
        with filesystem.open_input_stream(file, compression=None) as stream:
            actions = [json.loads(line) for line in stream.read().splitlines() if line]
        added |= {unquote(action["add"]["path"]) for action in actions if "add" in action}
    return added


def highest_attempt(files: list[str]) -> int:
    """The highest number of an attempt among paths of the lake's files; 0 without any."""
    return max((int(match[1]) for file in files if (match := ATTEMPT.search(file))), default=0)


def copy(source: tuple[FileSystem, str], target: tuple[FileSystem, str]) -> StoredFile:
    """Copies one file byte by byte, making the folders above it, and tells what it holds.

    Raises:
        FileNotFoundError: when the file is not there any more.
    """
    (reads, path), (writes, to) = source, target
    writes.create_dir(to.rpartition("/")[0], recursive=True)
    digest, size = hashlib.sha256(), 0
    # Unless told otherwise, both ends of the stream (un)pack what is called .gz.
    with (
        reads.open_input_stream(path, compression=None) as reader,
        writes.open_output_stream(to, compression=None) as writer,
    ):
        while block := reader.read(BLOCK):
            digest.update(block)
            size += len(block)
            writer.write(block)
    return StoredFile(size_bytes=size, sha256=digest.hexdigest())


def folder_place(folder: Path) -> tuple[FileSystem, str]:
    """A folder of this machine, as ``copy`` takes it."""
    return open_place(str(folder.absolute()))
