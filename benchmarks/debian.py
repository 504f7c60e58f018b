"""Peers that come as Debian packages: found, or installed when we are root."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from benchmarks.harness import Bench


def peer_file(bench: Bench, pattern: str, package: str) -> Path:
    """The last file that matches an absolute pattern; its package is installed when there is none.

    Raises:
        RuntimeError: when it is missing and may not, or cannot, be installed.
    """
    if found := _matches(pattern):
        return found[-1]
    install = ["apt-get", "install", "-y", "-q=2", "--no-install-recommends", package]
    by_hand = f"a peer of this bench is missing: sudo {' '.join(install)}"
    if os.geteuid() or not shutil.which("apt-get"):
        raise RuntimeError(by_hand)
    bench.say(f"installing {package}")
    for command in (["apt-get", "update", "-q=2"], install):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{by_hand}\n{done.stderr[-2000:]}")
    return _matches(pattern)[-1]


def _matches(pattern: str) -> list[Path]:
    return sorted(Path("/").glob(pattern.removeprefix("/")))
