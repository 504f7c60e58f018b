"""Finds a Java that Spark 4 runs on.

Standard library only, because the first set-up uses it before anything is installed.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

SUPPORTED = (17, 21)
DEBIAN_PACKAGE = "openjdk-17-jre-headless"
JVM_DIR = Path("/usr/lib/jvm")


def _candidates() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home)
    if program := shutil.which("java"):
        yield Path(program).resolve().parent.parent
    if JVM_DIR.is_dir():
        yield from sorted(p for p in JVM_DIR.iterdir() if p.is_dir() and not p.is_symlink())


def java_version(home: Path) -> int | None:
    """Major version of the Java installed at ``home``; None when there is none.

    Read from the installation's ``release`` file: starting a JVM to ask it would cost a tenth of a second.
    """
    if not os.access(home / "bin" / "java", os.X_OK):
        return None
    try:
        release = (home / "release").read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(r'^JAVA_VERSION="(\d+)', release, re.MULTILINE)
    return int(found[1]) if found else None


def find_java_home() -> Path | None:
    """JAVA_HOME of the first Java 17 or 21 among $JAVA_HOME, ``java`` on the PATH and Debian's JVMs."""
    return next((home for home in _candidates() if java_version(home) in SUPPORTED), None)
