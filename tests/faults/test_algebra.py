"""The laws of state hold in the model for any history; and a model with a fault breaks one."""

from __future__ import annotations

import logging
import os
from collections import Counter

from hypothesis import given, settings

from tests.faults.algebra import Platform
from tests.faults.histories import History, histories, history_of_seed
from tests.faults.laws import Observer

HISTORIES = int(os.environ.get("DP_HISTORIES", "1000"))


@settings(max_examples=HISTORIES)
@given(history=histories())
def test_any_history_obeys_the_laws(history: History) -> None:
    Observer(Platform()).live_through(history)
