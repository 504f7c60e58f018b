"""Great Expectations, imported in half its time.

A gate of a small night is over in a second; importing Great Expectations takes seven. Two thirds of that are not for a
gate on Postgres: engines that it finds installed beside it (Spark, cloud clients), and statistics and charts of one
expectation that we never use (SciPy, Altair). The former are hidden while it is imported, as if they were not
installed, which it is made for; the latter load when first touched, which is never.
"""

from __future__ import annotations

import gc
import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

HIDDEN = ("pyspark", "boto3", "botocore", "google.cloud")
LATE = ("scipy", "scipy.stats", "altair")


class _LateFinder(MetaPathFinder):
    """Finds the modules of ``LATE`` as ever, but lets them load at the first use of an attribute."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in LATE:
            return None
        for finder in sys.meta_path:
            spec = finder.find_spec(fullname, path, target) if finder is not self else None
            if spec is not None and spec.loader is not None:
                spec.loader = importlib.util.LazyLoader(spec.loader)
                return spec
        return None


@contextmanager
def _lean_import() -> Iterator[None]:
    finder = _LateFinder()
    hidden = [name for name in HIDDEN if name not in sys.modules]
    collecting = gc.isenabled()
    sys.meta_path.insert(0, finder)
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: "not installed", by Python's definition
    gc.disable()  # thousands of new classes, none of them garbage: collecting among them takes a tenth of the time
    try:
        yield
    finally:
        if collecting:
            gc.enable()
        for name in hidden:
            del sys.modules[name]
        sys.meta_path.remove(finder)


@cache
def load() -> None:
    """Imports Great Expectations, without telemetry. Modules that import it at their top are imported after this."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    with _lean_import():
        import great_expectations  # noqa: F401
