"""Which environment this process works in, and where that keeps its settings and its state.

Standard library only: ``dp-warm`` asks before anything heavy is imported.
"""

from __future__ import annotations

import os
from pathlib import Path

PROJECT_ROOT = Path(os.environ.get("DP_PROJECT_ROOT") or Path(__file__).resolve().parent.parent)
DEVELOPMENT = "dev"


def environment_name() -> str:
    """DP_ENVIRONMENT of this process: ``dev``, unless somebody says ``staging`` or ``prod``."""
    return os.environ.get("DP_ENVIRONMENT") or DEVELOPMENT


def env_file() -> Path:
    """The file of this environment's settings: ``.env``, or ``.env.<environment>``."""
    return Path(os.environ.get("DP_ENV_FILE") or PROJECT_ROOT / f".env{_ending()}")


def default_state_dir() -> Path:
    """Where this environment's state is unless STATE_DIR says otherwise: ``.state``, or ``.state.<environment>``."""
    return PROJECT_ROOT / f".state{_ending()}"


def _ending() -> str:
    return "" if environment_name() == DEVELOPMENT else f".{environment_name()}"
