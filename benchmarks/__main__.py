"""``python -m benchmarks [name …]``: runs benches, all by default, each in a process of its own.

Ends with code 1 when a target is missed, and 2 when a bench broke.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console

from benchmarks.harness import RESULTS, Result, bench_of, print_results

ALLOWED_SECONDS = 180
LOG_COLUMNS = 140
PARTS = {"__init__", "__main__", "debian", "harness", "history", "platform", "retail", "spark", "warehouse"}


def known_benches() -> list[str]:
    """Names of the benches: the modules here that are not parts of the harness."""
    return sorted(f.stem for f in Path(__file__).parent.glob("*.py") if f.stem not in PARTS)


def run_here(name: str, console: Console) -> None:
    """Runs one bench in this process and writes its results."""
    module = importlib.import_module(f"benchmarks.{name}")
    started = time.monotonic()
    with bench_of(name, console) as bench:
        module.run(bench)
        bench.write()
    seconds = time.monotonic() - started - bench.set_up_seconds
    before = f", and {bench.set_up_seconds:.0f} s before it to set up" if bench.set_up_seconds else ""
    late = f" [red](more than the {ALLOWED_SECONDS} s that a bench may take)[/]" if seconds > ALLOWED_SECONDS else ""
    console.print(f"{name}: {seconds:.0f} s{before}{late}")


def run_apart(name: str) -> bool:
    """Runs one bench in a fresh process, which inherits no import, cache or JVM; tells whether it held."""
    (RESULTS / f"{name}.jsonl").unlink(missing_ok=True)
    done = subprocess.run([sys.executable, "-m", "benchmarks", "--here", name], check=False)
    return done.returncode == 0


def read_results(name: str) -> list[Result]:
    """What a bench has written."""
    lines = (RESULTS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [Result(**json.loads(line)) for line in lines]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure against peers.")
    parser.add_argument("name", nargs="*", help=f"of: {', '.join(known_benches())}")
    parser.add_argument("--here", action="store_true", help="run in this process, without a table")
    arguments = parser.parse_args()
    names = arguments.name or known_benches()
    if unknown := sorted(set(names) - set(known_benches())):
        parser.error(f"there is no bench {unknown[0]!r}; there are: {', '.join(known_benches())}")
    console = Console(highlight=False, width=None if sys.stdout.isatty() else LOG_COLUMNS)
    if arguments.here:
        for name in names:
            run_here(name, console)
        return 0
    broken = [name for name in names if not run_apart(name)]
    results = [result for name in names if name not in broken for result in read_results(name)]
    print_results(results, console)
    if broken:
        console.print(f"[bold red]broken: {', '.join(broken)}[/]")
        return 2
    missed = [r for r in results if r.met is False]
    if missed:
        console.print(f"[bold red]targets missed: {len(missed)}[/]")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
