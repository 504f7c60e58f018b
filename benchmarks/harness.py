"""The benchmarks' harness: contenders take turns in one run; a ratio says how we stand beside each peer.

How to write a bench. ``benchmarks/<name>.py`` has a docstring that says what is compared and why it is fair::

    def run(bench: Bench) -> None:
        rows = bench.warehouse.connect()              # an empty, migrated warehouse, if the bench needs one
        runs = bench.interleave(
            {OURS: load_ours, "JDBC writer": load_jdbc, "psql COPY": load_copy},
            prepare=empty_target,                     # before every turn; not timed
            check=assert_rows_are_right,              # after every turn, with the name; not timed
        )
        bench.compare("seconds", "s", runs, targets={"JDBC writer": 2.5, "psql COPY": 0.8})
        bench.compare("wal_bytes", "bytes", runs, of="wal", targets={"JDBC writer": None})
        bench.limit("rows_written_by_rerun", "rows", written, at_most=0)

- A contender is a function without arguments. The wall-clock seconds of its turn are taken; a mapping that it
  returns gives further numbers of that turn (``of="wal"``); ``seconds`` in it replaces the wall clock's.
- ``compare`` takes the medians. A ratio is > 1 where we are better, whichever way the metric points
  (``better="lower"`` is the default, ``"higher"`` for rows/s); a target is the least ratio that will do, None
  for a number that is only shown.
- ``limit`` holds one number of ours against an absolute limit, which stands in the place of the peer.
- ``bench.directory`` is a scratch folder; ``bench.environment`` lets a child process see the same warehouse.
- Say what you do with ``bench.say("loading 5M rows")``; keep the bench under three minutes. What it takes to bring a
  whole platform up, ``with bench.setting_up("starting a platform"):``, is told apart from that.

``python -m benchmarks [name …]`` prints a table and writes ``benchmarks/results/<name>.jsonl``, a line for
each metric and peer.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table

from benchmarks.warehouse import Warehouse

OURS = "ours"
RESULTS = Path(__file__).parent / "results"
REPETITIONS = 3

Numbers = Mapping[str, float]
Contender = Callable[[], Numbers | None]
Runs = dict[str, list[Numbers]]


@dataclass(frozen=True)
class Result:
    """One line of a result file. ``ratio`` is None where ours is 0, which no ratio expresses."""

    bench: str
    metric: str
    unit: str
    ours: float
    peer: float
    peer_name: str
    ratio: float | None
    target: float | None
    met: bool | None


def ratio_of(ours: float, peer: float, better: Literal["lower", "higher"]) -> float | None:
    """How many times better we are; 1 when both are 0, None when only the divisor is."""
    over, under = (peer, ours) if better == "lower" else (ours, peer)
    if under == 0:
        return 1.0 if over == 0 else None
    return over / under


@dataclass
class Bench:
    """What a bench works with. Args: its name, where it may write, where its progress goes."""

    name: str
    directory: Path
    console: Console
    results: list[Result] = field(default_factory=list)
    set_up_seconds: float = 0.0

    @contextmanager
    def setting_up(self, what: str) -> Iterator[None]:
        """Says what is made ready, and takes its seconds apart from the bench's own."""
        self.say(what)
        started = time.perf_counter()
        try:
            yield
        finally:
            self.set_up_seconds += time.perf_counter() - started

    def say(self, text: str) -> None:
        """Shows progress."""
        self.console.print(f"[dim]{self.name}:[/] {text}")

    @cached_property
    def warehouse(self) -> Warehouse:
        """A PostgreSQL of this bench alone, migrated; started when first asked for."""
        self.say("starting PostgreSQL")
        warehouse = Warehouse(self.directory)
        warehouse.start()
        return warehouse

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which a child process sees the bench's warehouse and scratch folder."""
        return {**os.environ, "DP_ENV_FILE": str(self.warehouse.env_file)}

    def interleave(
        self,
        contenders: Mapping[str, Contender],
        *,
        repetitions: int = REPETITIONS,
        prepare: Callable[[], object] | None = None,
        check: Callable[[str], object] | None = None,
        warm_up: bool = False,
    ) -> Runs:
        """Lets the contenders take turns, so that a slow minute of the machine hits all of them.

        Args:
            contenders: by name; ``OURS`` is one of them.
            repetitions: turns of each, at least three.
            prepare: called before every turn, not timed.
            check: called after every turn with the contender's name, not timed; raises when the result
                is wrong, because a quick wrong answer is no answer.
            warm_up: give each one turn that does not count (for caches that a running platform has filled).
        """
        if OURS not in contenders or repetitions < REPETITIONS:
            raise ValueError(f"a bench needs {OURS!r} and at least {REPETITIONS} repetitions")
        runs: Runs = {name: [] for name in contenders}
        for turn in range(-1 if warm_up else 0, repetitions):
            for name, contender in contenders.items():
                if prepare:
                    prepare()
                numbers = timed(contender)
                if check:
                    check(name)
                if turn >= 0:
                    runs[name].append(numbers)
                    self.say(f"turn {turn + 1} of {repetitions}, {name}: {numbers['seconds']:.3f} s")
        return runs

    def compare(
        self,
        metric: str,
        unit: str,
        runs: Runs,
        *,
        targets: Mapping[str, float | None],
        of: str = "seconds",
        better: Literal["lower", "higher"] = "lower",
    ) -> None:
        """Reports the median of one number of the turns, a line for each peer in ``targets``."""
        medians = {name: statistics.median(numbers[of] for numbers in turns) for name, turns in runs.items()}
        for peer, target in targets.items():
            ratio = ratio_of(medians[OURS], medians[peer], better)
            met = None if target is None else ratio is None or ratio >= target
            self._add(metric, unit, medians[OURS], medians[peer], peer, ratio, target, met)

    def limit(self, metric: str, unit: str, ours: float, *, at_most: float) -> None:
        """Reports one number of ours beside the most that it may be."""
        ratio = ratio_of(ours, at_most, "lower")
        self._add(metric, unit, ours, at_most, "limit", ratio, 1.0, ours <= at_most)

    def _add(
        self,
        metric: str,
        unit: str,
        ours: float,
        peer: float,
        peer_name: str,
        ratio: float | None,
        target: float | None,
        met: bool | None,
    ) -> None:
        rounded = None if ratio is None else round(ratio, 3)
        self.results.append(
            Result(self.name, metric, unit, round(ours, 6), round(peer, 6), peer_name, rounded, target, met)
        )

    def write(self, folder: Path = RESULTS) -> Path:
        """Writes the result file, all of it at once.

        Raises:
            ValueError: when the bench compared nothing.
        """
        if not self.results:
            raise ValueError(f"bench {self.name} measured nothing")
        folder.mkdir(exist_ok=True)
        file = folder / f"{self.name}.jsonl"
        file.write_text("".join(json.dumps(asdict(result)) + "\n" for result in self.results), encoding="utf-8")
        return file


def timed(contender: Contender) -> Numbers:
    """Lets a contender take its turn; also for those that have something to prepare themselves."""
    started = time.perf_counter()
    numbers = contender()
    return {"seconds": time.perf_counter() - started, **(numbers or {})}


@contextmanager
def bench_of(name: str, console: Console) -> Iterator[Bench]:
    """A bench with a scratch folder, which is removed at the end together with its PostgreSQL."""
    directory = Path(tempfile.mkdtemp(prefix=f"bench-{name}."))
    directory.chmod(0o755)  # PostgreSQL runs as another user when we are root
    bench = Bench(name, directory, console)
    try:
        yield bench
    finally:
        if "warehouse" in vars(bench):
            bench.warehouse.remove()
        shutil.rmtree(directory, ignore_errors=True)


def print_results(results: list[Result], console: Console) -> None:
    """Prints the results as a table."""
    table = Table(title="ratio > 1: we are better", title_justify="left", header_style="bold")
    for column in ("bench", "metric", "unit", "peer"):
        table.add_column(column, overflow="fold")
    for column in ("ours", "theirs", "ratio", "target"):
        table.add_column(column, justify="right")
    table.add_column("met")
    for r in results:
        verdict = {True: "[green]yes[/]", False: "[bold red]no[/]", None: ""}[r.met]
        ratio = "" if r.ratio is None else f"{r.ratio:.2f}"
        target = "" if r.target is None else f"{r.target:g}"
        table.add_row(
            r.bench, r.metric, r.unit, r.peer_name, f"{r.ours:,.6g}", f"{r.peer:,.6g}", ratio, target, verdict
        )
    console.print(table)
