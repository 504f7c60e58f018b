"""Sorting what passes a gate from what does not, by trying parts of it."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, log2

from hypothesis import given
from hypothesis import strategies as st

from data_platform.culprits import sift


@given(st.integers(1, 60), st.data())
def test_all_but_the_culprits_is_kept_after_few_trials(size: int, data: st.DataObject) -> None:
    culprits = data.draw(st.sets(st.integers(0, size - 1)))
    trials = []

    def passes(tried: Sequence[int]) -> bool:
        trials.append(list(tried))
        return culprits.isdisjoint(tried)

    kept: list[int] = []
    rejected: list[int] = []
    sift(range(size), passes, kept, rejected)
    assert set(kept) == set(range(size)) - culprits
    assert set(rejected) == culprits
    assert len(trials) <= 1 + 2 * len(culprits) * max(1, ceil(log2(size)))


@given(st.integers(1, 20), st.sets(st.frozensets(st.integers(0, 19), min_size=1, max_size=3), max_size=6))
def test_what_is_kept_has_passed_together_and_what_is_refused_has_failed_by_itself(
    size: int, clashes: set[frozenset[int]]
) -> None:
    """Also where changes fail only beside certain others."""
    passed, failed = [], []

    def passes(tried: Sequence[int]) -> bool:
        is_good = not any(clash <= set(tried) for clash in clashes)
        (passed if is_good else failed).append(list(tried))
        return is_good

    kept: list[int] = []
    rejected: list[int] = []
    sift(range(size), passes, kept, rejected)
    assert sorted(kept + rejected) == list(range(size))
    assert not kept or passed[-1] == kept
    for culprit in rejected:
        assert any(trial[-1] == culprit and set(trial[:-1]) <= set(kept) for trial in failed)
