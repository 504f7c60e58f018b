"""Runs functions in children of a parent that has the heavy imports behind it: they cost little, and may be killed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from multiprocessing import get_context
from pathlib import Path
from typing import Any

_context = get_context("forkserver")
_context.set_forkserver_preload(["tests.preloaded"])


def start_forked(function: Callable[..., Any], *arguments: Any, said: Path) -> Any:
    """Starts a function in a child that has our environment and working directory, and leads a session of its own.

    Args:
        function: of a module; its return value is lost.
        said: where the child's output goes.
    """
    process = _context.Process(target=_child, args=(function, arguments, dict(os.environ), str(Path.cwd()), str(said)))
    process.start()
    return process


def run_forked(function: Callable[..., Any], *arguments: Any, said: Path) -> int:
    """The exit code of a child, once it has ended; negative when a signal ended it."""
    process = start_forked(function, *arguments, said=said)
    process.join()
    assert process.exitcode is not None
    return int(process.exitcode)


def dp(*arguments: str) -> None:
    """What the command `dp` does."""
    from data_platform.cli.main import main

    sys.argv = ["dp", *arguments]
    main()


def _child(
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    environment: Mapping[str, str],
    folder: str,
    said: str,
) -> None:
    os.setsid()
    output = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    from tests.conftest import forget_settings

    forget_settings()
    function(*arguments)
