"""The benchmark harness: turns alternate, medians count, and a ratio above 1 always means that we are better."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.harness import OURS, Bench, ratio_of


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench("toy", tmp_path, Console(file=io.StringIO()))


def test_contenders_take_turns(bench: Bench) -> None:
    turns: list[str] = []
    contenders = {OURS: lambda: turns.append("ours"), "peer": lambda: turns.append("peer")}
    bench.interleave(
        contenders,
        prepare=lambda: turns.append("prepare"),
        check=lambda name: turns.append(f"check {name}"),
        warm_up=True,
    )
    assert turns == ["prepare", "ours", "check ours", "prepare", "peer", "check peer"] * 4


def test_medians_are_compared_and_written(bench: Bench, tmp_path: Path) -> None:
    ours, peer = iter([1.0, 9.0, 2.0]), iter([3.0, 4.0, 90.0])
    runs = bench.interleave({OURS: lambda: {"seconds": next(ours)}, "peer": lambda: {"seconds": next(peer)}})
    bench.compare("time", "s", runs, targets={"peer": 1.5})
    bench.compare("speed", "1/s", runs, targets={"peer": None}, better="higher")
    bench.limit("written", "rows", 3, at_most=0)
    lines = [json.loads(line) for line in bench.write(tmp_path / "results").read_text(encoding="utf-8").splitlines()]
    assert lines[0] == {
        "bench": "toy",
        "metric": "time",
        "unit": "s",
        "ours": 2.0,
        "peer": 4.0,
        "peer_name": "peer",
        "ratio": 2.0,
        "target": 1.5,
        "met": True,
    }
    assert (lines[1]["ratio"], lines[1]["target"], lines[1]["met"]) == (0.5, None, None)
    assert (lines[2]["peer_name"], lines[2]["met"]) == ("limit", False)


@pytest.mark.parametrize(
    ("ours", "peer", "better", "ratio"),
    [(1, 2, "lower", 2), (2, 1, "higher", 2), (0, 0, "lower", 1), (0, 5, "lower", None), (5, 0, "lower", 0)],
)
def test_ratios(ours: float, peer: float, better: str, ratio: float | None) -> None:
    assert ratio_of(ours, peer, better) == ratio  # type: ignore[arg-type]  # parametrised


def test_a_bench_that_compares_nothing_is_refused(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="measured nothing"):
        bench.write(tmp_path)
    with pytest.raises(ValueError, match="at least 3 repetitions"):
        bench.interleave({OURS: lambda: None}, repetitions=2)
