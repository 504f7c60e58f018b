"""The histories of the model, lived through by the real stack: what is published is what a clean build would publish.

`make test-faults` tries `DP_SEEDS=0:200` with up to 20 events each; any range may be tried by itself.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from data_platform import orchestrate
from data_platform.local.postgres import EmbeddedPostgres
from tests.conftest import Platform, make_platform
from tests.faults.algebra import Publication
from tests.faults.histories import Corrected, Event, Override, Release, Rollback, RuleChange, history_of_seed
from tests.faults.laws import require
from tests.faults.shop import UNKNOWN, Facts, Source, SourceDay, passes
from tests.faults.stack import BASE, START, Project, Stack, date_of, deliveries_of, known
from tests.faults.world import Guide
from tests.state import Rows, published, told_by_history, write_counts

log = logging.getLogger(__name__)
pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("spark_server"), pytest.mark.no_cover]
SEEDS = range(*map(int, os.environ.get("DP_SEEDS", "0:8").split(":")))
IS_LONG = "DP_SEEDS" in os.environ
CleanBuild = Callable[[dict[SourceDay, Facts], int], dict[str, Rows]]
LONGEST = 20 if IS_LONG else 5


class StackGuide(Guide):
    """Leads the real stack through a history."""

    def __init__(self, stack: Stack, clean: CleanBuild) -> None:
        super().__init__(stack)
        self.stack = stack
        self.clean = clean
        self.last_built: tuple[Any, dict[str, Rows]] = (None, {})
        stack.expected = self.world.facts

    def happen(self, event: Event) -> bool | None:
        """An event of which the stack tells whether it could be."""
        if isinstance(event, Override):
            chosen = self.row_of(event)
            if chosen is None or not self.stack.override(*chosen, event.amount):
                return False
            self.world.overrides[chosen] = event.amount
            return None
        if isinstance(event, Rollback):
            publication = self.publication_of(event)
            if publication is None or not (pins := self.pinned_by(publication)):
                return False
            if breaks_a_rule(pins, self.world.strict):
                return False
            # Of a day that several rollbacks hold, the state before the earliest publication counts.
            pinned = self.world.pins | {publication.number: pins}
            self.world.pins = dict(sorted(pinned.items(), reverse=True))
            self.stack.roll_back(publication, self.tick, event.crash)
            return None
        if isinstance(event, RuleChange | Corrected) and self.would_outdate(event):
            return False
        return super().happen(event)

    def would_outdate(self, event: RuleChange | Corrected) -> bool:
        """Whether something would count that the contract of the day can no longer read, or no longer lets pass.

        Files that are gone make their days wait, which is a test of its own; the model keeps every content.
        """
        if isinstance(event, RuleChange):
            strict = self.world.strict | {event.source: not self.world.strict[event.source]}
            return any(delivery.lines is None for delivery in self.stack.landing.values()) or any(
                breaks_a_rule(pins, strict) for pins in self.world.pins.values()
            )
        return event.lines is None and any(
            reason.endswith(("not read yet", "not discovered")) for reason in self.stack.stale()
        )

    def pinned_by(self, publication: Publication) -> dict[SourceDay, Facts]:
        """What its rollback would hold: what it brought, but for days that the rollback of an earlier one holds."""
        held = {day for number, pins in self.world.pins.items() if number < publication.number for day in pins}
        return {day: facts for day, facts in self.brought(publication).items() if day not in held}

    def check(self) -> None:
        """Whatever is published is what its inputs were; where nothing is stale, these are all there are."""
        says, wanted = self.stack.facts(), known(self.stack.days, self.today + 100)
        require(says == wanted, "a publication is what its inputs were", differing(says, wanted))
        if not self.stack.stale():
            wanted = known(self.world.facts(), self.today - 1)
            require(says == wanted, "every input is published", differing(says, wanted))
            is_now = published()
            for table, rows in told_by_history().items():
                require(rows == is_now[table], "history tells the present", table)
            if IS_LONG:
                self.check_is_clean()

    def settle(self) -> None:
        """One run makes everything right, row for row, and another finds nothing to do."""
        self.stack.run(self.today)
        self.check()
        require(not self.stack.stale(), "a run leaves nothing stale", self.stack.stale())
        self.check_is_clean()
        if IS_LONG:
            before = published(), write_counts()
            self.stack.run(self.today)
            self.stack.run(self.today, range(self.today))
            require((published(), write_counts()) == before, "a rerun writes nothing")

    def check_is_clean(self) -> None:
        """What is published is what one run makes of files that say just what there is."""
        made_of = self.today, self.world.facts()
        if self.last_built[0] != made_of:
            self.last_built = made_of, self.clean(made_of[1], self.today)
            self.stack.deploy()
        is_now, clean = published(), self.last_built[1]
        for table, rows in clean.items():
            require(is_now[table] == rows, "tables equal a clean build", table, differing_rows(is_now[table], rows))


def breaks_a_rule(pins: dict[SourceDay, Facts], strict: dict[Source, bool]) -> bool:
    """Whether what a rollback restores was published before the contract became strict: its gate would stop it."""
    return any(
        not passes(source, key[:3] if source == "purchases" else (*key, *value), strict=strict[source])
        for (source, _), facts in pins.items()
        for key, value in facts
        if value != UNKNOWN
    )


def differing(says: dict[SourceDay, Facts], wanted: dict[SourceDay, Facts]) -> list[Any]:
    """Days that say something else than they should."""
    return [
        (d, says.get(d), wanted.get(d)) for d in sorted(says.keys() | wanted.keys()) if says.get(d) != wanted.get(d)
    ]


def differing_rows(says: Rows, wanted: Rows) -> dict[str, list[Any]]:
    """Rows that only one of them has."""
    return {
        "missing": [row for row in wanted if row not in says],
        "too many": [row for row in says if row not in wanted],
    }


@pytest.fixture(scope="module")
def opened(
    postgres: EmbeddedPostgres, spark_server: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Platform, Project]]:
    """A shop on its first day, in a project of its own."""
    project = Project(tmp_path_factory.mktemp("project"))
    with pytest.MonkeyPatch.context() as patch:
        shop = partial(make_platform, today=START, project=project.root)
        with contextmanager(shop)(postgres, tmp_path_factory.mktemp("shop"), patch) as platform:
            Stack(platform.landing, project).write(BASE)
            orchestrate.run_all(None)
            patch.undo()
            yield platform, project


@pytest.mark.parametrize("seed", SEEDS)
def test_any_history_ends_in_the_state_of_a_clean_build(
    seed: int, opened: tuple[Platform, Project], postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    first_day, project = opened
    project.change({})

    @contextmanager
    def new_shop(today: int) -> Iterator[Stack]:
        home = tmp_path / str(len(list(tmp_path.iterdir())))
        shop = partial(make_platform, today=date_of(today), like=first_day, project=project.root)
        with pytest.MonkeyPatch.context() as patch, contextmanager(shop)(postgres, home, patch) as platform:
            yield Stack(platform.landing, project)

    def clean_build(facts: dict[SourceDay, Facts], today: int) -> dict[str, Rows]:
        with new_shop(today) as stack:
            project.change({})  # these have been judged
            for delivery in deliveries_of(facts, today - 1):
                stack.land(delivery)
            orchestrate.run_all(None)
            return published()

    with new_shop(0) as stack:
        guide = StackGuide(stack, clean_build)
        for event in history_of_seed(seed)[:LONGEST]:
            guide.go_on()
            happened = guide.happen(event)
            log.info("%s%s", event, "" if happened is not False else ": nothing there")
            guide.check()
        guide.settle()
        if stack.holds:
            while stack.holds:
                guide.happen(Release(0))
            guide.settle()
