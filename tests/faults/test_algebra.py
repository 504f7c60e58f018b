"""The laws of state hold in the model for any history; and a platform with a fault breaks one of them.

`DP_HISTORIES=10000 pytest tests/faults/test_algebra.py` tries that many instead of 300 (5 ms each), and
`--log-cli-level=INFO` tells how often each event occurred.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from itertools import chain

import pytest
from hypothesis import given, settings

from tests.faults import histories
from tests.faults.algebra import STEPS, Platform
from tests.faults.histories import LONGEST, SHORTEST, STOPPED_WHILE_TIME_GOES_ON, Event, History, Night, history_of_seed
from tests.faults.laws import BrokenLaw, Observer
from tests.faults.mutants import MUTANTS

log = logging.getLogger(__name__)
pytestmark = pytest.mark.no_cover  # the model and its laws are all there is in it
HISTORIES = int(os.environ.get("DP_HISTORIES", "300"))
ENOUGH_TO_CATCH = 3000
EVENTS = {event.__name__ for event in Event.__args__}


def live_through(platform: Platform, history: History) -> Observer:
    """Leads a platform through a history."""
    observer = Observer(platform)
    observer.live_through(history)
    return observer


def test_any_history_obeys_the_laws() -> None:
    occurred: Counter[str] = Counter()

    @settings(max_examples=HISTORIES, database=None)
    @given(history=histories.histories())
    def obeys_the_laws(history: History) -> None:
        occurred["history"] += 1
        occurred.update(live_through(Platform(), history).occurred)

    obeys_the_laws()
    log.info("%s", dict(occurred.most_common()))
    assert occurred["history"] >= HISTORIES
    seldom = {name for name in {*EVENTS, "crash"} if occurred[name] < occurred["history"] / 100}
    assert not seldom, f"these hardly ever happened: {seldom}"


def test_histories_of_seeds_are_always_the_same_and_as_long_as_they_should_be() -> None:
    made = [history_of_seed(seed) for seed in range(300)]
    assert made == [history_of_seed(seed) for seed in range(300)]
    assert {len(history) for history in made} == set(range(SHORTEST, LONGEST + 1))
    assert {type(event).__name__ for history in made for event in history} == EVENTS
    assert {e.crash for history in made for e in history if isinstance(e, Night)} == {None, *STEPS}


def test_a_run_that_was_stopped_is_not_published_over_what_time_has_changed() -> None:
    assert live_through(Platform(), STOPPED_WHILE_TIME_GOES_ON).occurred["Resume"] == 1


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_platform_with_a_fault_breaks_a_law(mutant: type[Platform]) -> None:
    tried = chain([STOPPED_WHILE_TIME_GOES_ON], map(history_of_seed, range(ENOUGH_TO_CATCH)))
    for number, history in enumerate(tried):
        try:
            live_through(mutant(), history)
        except BrokenLaw as broken:
            log.info("%s, after %d histories: %s", mutant.__name__, number, str(broken).partition(":")[0])
            return
    pytest.fail(f"{ENOUGH_TO_CATCH} histories, and nobody noticed")
