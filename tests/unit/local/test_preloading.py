"""The resident worker's parent holds nothing that its children should learn for themselves."""

from __future__ import annotations

import subprocess
import sys

LOOKED_AT = """
from data_platform.local.worker import preload
preload()
from data_platform.contracts.load import get_contracts
from data_platform.settings import get_settings
print(get_settings.cache_info().currsize + get_contracts.cache_info().currsize)
"""


def test_what_is_imported_ahead_reads_neither_settings_nor_contracts() -> None:
    done = subprocess.run([sys.executable, "-c", LOOKED_AT], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"
    assert "not preloaded" not in done.stderr
