"""Great Expectations is imported without what a gate never uses, and nobody else notices."""

from __future__ import annotations

import subprocess
import sys

CHECK = """
import gc, os, sys
from data_platform.gates.loading import HIDDEN, LATE, load
load()
import great_expectations
from importlib.util import _LazyModule
assert not [name for name in HIDDEN if name in sys.modules], "hidden modules are importable again"
assert type(sys.modules["altair"]) is _LazyModule, "charts are not loaded"
assert type(sys.modules["scipy.stats"]) is _LazyModule, "statistics are not loaded"
assert os.environ["GX_ANALYTICS_ENABLED"] == "false"
assert gc.isenabled() and not [f for f in sys.meta_path if type(f).__module__.startswith("data_platform")]
from scipy import stats
assert stats.norm.cdf(0) == 0.5, "what was left out loads when somebody uses it"
import pyspark, boto3
assert pyspark.__version__ and boto3.__version__
"""


def test_the_lean_import_leaves_no_trace() -> None:
    done = subprocess.run([sys.executable, "-c", CHECK], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_was_imported_before_stays() -> None:
    code = (
        "import pyspark; from data_platform.gates.loading import load; load(); import sys; sys.modules['pyspark'].sql"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
