"""The real stack in the place of the model: it takes the same events, on files of the shop's two real sources.

What the model calls a day is a day from ``START`` on, a customer a number, an amount a purchase of one CD. Contracts
are the real ones but for what a history of a handful of rows needs: any share of broken rows is tolerated, and a day
may be empty. A crash ends a step between two of its effects and leaves what had been written, as a kill does; those of
the process are ``test_kills.py``'s.
"""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

from data_platform import orchestrate, rollback
from data_platform.failures import InputError
from data_platform.holds import RECORDED_DAYS
from data_platform.intervals import ONE_DAY, Interval
from data_platform.publish import Moved
from data_platform.quarantine import Fix, find_rows, write_fixes
from data_platform.runs import STEPS
from data_platform.staleness import is_work
from data_platform.steps import perform
from data_platform.warehouse.connection import query, transaction
from data_platform.withdrawals import withdraw
from tests.conftest import forget_settings
from tests.faults.algebra import Hold, Publication
from tests.faults.deliveries import Delivery
from tests.faults.shop import CUSTOMERS, SOURCES, UNKNOWN, UNREADABLE, Facts, Line, Source, SourceDay, facts_of
from tests.landing import HEADERS
from tests.projects import two_sources
from tests.state import stale

START = date(1998, 1, 5)
SOMEBODY_ELSE = "zoe"
NUMBERS = {name: f"{number:05d}" for number, name in enumerate((*CUSTOMERS, SOMEBODY_ELSE), start=1)}
NUMBERS[UNREADABLE] = "?"
NAMES = {number: name for name, number in NUMBERS.items()}
COUNTRIES = {"us": "US", "ca": "CA", "old": "GB"}
ALWAYS_BROKEN = "Atlantis"
# What was there before: a source of which no delivery at all has a row does not pass its gate.
BASE = Delivery(0, "purchases", "purchases/base", ((-1, SOMEBODY_ELSE, 5),))
STRICT = {
    "purchases": ("{minimum: 0, maximum: 10000}", "{minimum: 1, maximum: 10000}"),
    "customers": ("[US, CA, GB, DE, FR]", "[US, CA, DE, FR]"),
}
# Where a run is when a crash of the model comes: the step that is not taken, or in which the function fails.
WITHIN_INGEST = {"commit_to_lake": "data_platform.lake.commit_attempt", "mark_live": "spark_jobs.ingest.mark"}


class Crash(BaseException):
    """Ends a step at once, past whatever handles failures."""


class Project:
    """A project of its own, whose contracts may change."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        shutil.copytree(two_sources() / "contracts", folder / "contracts")
        (folder / "dbt_project").symlink_to(two_sources() / "dbt_project")
        self.change({})

    def change(self, strict: dict[Source, bool]) -> None:
        """Writes the contracts of the sources, each strict or lenient."""
        for source in SOURCES:
            name = f"contracts/sources/shop/{source}.odcs.yaml"
            text = (two_sources() / name).read_text(encoding="utf-8")
            lenient, strictly = STRICT[source]
            for old, new in (
                ("missingDay, value: error", "missingDay, value: empty"),
                ("toleratedBrokenShare, value: 0.2}", "toleratedBrokenShare, value: 1}"),
                ("toleratedBrokenShare, value: 0.05}", "toleratedBrokenShare, value: 1}"),
                (lenient, strictly if strict.get(source) else lenient),
            ):
                text = text.replace(old, new)
            (self.root / name).write_text(text, encoding="utf-8")
        forget_settings()


class Stack:
    """What ``algebra.Platform`` is to the model. Publications are numbered from 1, whatever their id.

    Args:
        landing: where files land.
        project: the contracts.
    """

    def __init__(self, landing: Path, project: Project) -> None:
        self.landing: dict[str, Delivery] = {}
        self.log: list[Publication] = []
        self.ids: list[int] = []
        self.holds: list[Hold] = []
        self.left_over: tuple[str, tuple[str, ...]] | None = None
        self.expected: Callable[[], dict[SourceDay, Facts]] = dict
        self.days: dict[SourceDay, Facts] = {}
        self._folder = landing / "shop"
        self._project = project
        self._strict: dict[Source, bool] = dict.fromkeys(SOURCES, False)
        self._staged: dict[str, dict[SourceDay, Facts]] = {}

    # What comes from outside.

    def land(self, delivery: Delivery) -> None:
        """A file appears, or takes the place of another."""
        self.landing[delivery.path] = delivery
        self.write(delivery)

    def write(self, delivery: Delivery) -> None:
        """Writes a file that no event knows of."""
        file = self._file(delivery.path)
        file.parent.mkdir(parents=True, exist_ok=True)
        lines = ["no till writes this"] if delivery.lines is None else [HEADERS[delivery.source]]
        lines += [text_of(delivery.source, line) for line in delivery.lines or ()]
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _file(self, path: str) -> Path:
        source, _, name = path.partition("/")
        if source == "customers":
            return self._folder / source / f"{date_of(int(name))}.csv"
        return self._folder / source / f"{name}.txt"

    def discover(self) -> None:
        """`dp discover`, without opening a run."""
        with transaction() as connection:
            orchestrate.look(connection, None, ())

    def withdraw(self, path: str, _: int) -> None:
        """`dp withdraw`; and the file is gone."""
        self.landing.pop(path)
        file = self._file(path)
        with transaction() as connection:
            withdraw(connection, str(file.relative_to(self._folder.parent)), "a test's")
        file.unlink()

    def change_rule(self, source: Source, _: int) -> None:
        """Deploys another contract."""
        self._strict[source] = not self._strict[source]
        self.deploy()

    def deploy(self) -> None:
        """Writes the contracts as they should now be."""
        self._project.change(self._strict)

    def override(self, line: Line, occurrence: int, amount: int, _: int = 0) -> bool:
        """`dp quarantine fix`, of a row that has got there."""
        text = text_of("purchases", line)
        with transaction() as connection:
            rows = find_rows(connection, dataset="purchases")
            fixes = [
                Fix(row, text_of("purchases", (*line[:2], amount)))
                for row in rows
                if (row.text(), row.occurrence) == (text, occurrence)
            ]
            if fixes:
                write_fixes(connection, fixes, "a test's")
        return bool(fixes)

    # Runs.

    def run(self, today: int, asked: range = range(0), stop_before: str | None = None) -> None:
        """A run of the days asked for, or a night; a crash stops it before a step."""
        os.environ["BUSINESS_DATE_OFFSET_DAYS"] = str((datetime.now(UTC).date() - date_of(today)).days)
        forget_settings()
        if stop_before == "discover":
            return
        days = Interval(date_of(asked[0]), date_of(asked[-1]) + ONE_DAY) if asked else None
        opened = orchestrate.open_work(days, rebuild=True)
        if opened.run is None:
            return
        self._take(opened.run.run_id, STEPS[1:], stop_before)

    def resume(self) -> None:
        """Takes the steps that a crashed run had left; of one that stands on what has moved nothing comes."""
        if self.left_over:
            run_id, steps = self.left_over
            if "stage" in steps:
                self.discover()
            try:
                self._take(run_id, steps, None)
            except (Moved, InputError):
                self.left_over = None

    def roll_back(self, publication: Publication, _: int, stop_before: str | None = None) -> None:
        """`dp rollback`; once it is decided it stands, whatever becomes of its run."""
        with transaction() as connection:
            plan = rollback.plan_rollback(connection, self.ids[publication.number - 1])
            run = rollback.hold(connection, plan, "a test's")
        self.holds.append(Hold(0, publication.number, {}))
        publication.is_rolled_back = True
        left_over, self.left_over = self.left_over, None
        self._take(run.run_id, rollback.STEPS, stop_before)
        self.left_over = left_over

    def release(self, hold: Hold, _: int) -> None:
        """`dp release`."""
        with transaction() as connection:
            rollback.release(connection, self.ids[hold.publication - 1])
        self.holds.remove(hold)

    def _take(self, run_id: str, steps: Sequence[str], stop_before: str | None) -> None:
        for number, step in enumerate(steps):
            within = WITHIN_INGEST.get(stop_before or "") if step == "ingest" else None
            if step == stop_before:
                self.left_over = (run_id, tuple(steps[number:]))
                return
            if step == "stage":
                self._staged[run_id] = self.expected()
            try:
                with crashing(within):
                    perform(run_id, step)
            except Crash:
                self.left_over = (run_id, tuple(steps[number:]))
                return
        self.left_over = None
        self._note_publications(run_id)

    def _note_publications(self, run_id: str) -> None:
        with transaction() as connection:
            found = query(
                connection,
                "select publication_id, kind from ops.publications join ops.runs using (run_id) where run_id = %s",
                (run_id,),
            )
            for row in found:
                days = query(
                    connection,
                    """select row_key ->> 'table_name' as name, (row_key ->> 'day')::date as day from ops.before_images
                       where publication_id = %s and table_name = %s""",
                    (row["publication_id"], RECORDED_DAYS),
                )
                changed: list[SourceDay] = [(d["name"].partition(".")[2], (d["day"] - START).days) for d in days]
                self.days |= {day: self._staged[run_id].get(day, ()) for day in changed}
                self.ids.append(row["publication_id"])
                kind = "rollback" if row["kind"] == "rollback" else "run"
                self.log.append(Publication(len(self.ids), kind, 0, dict(self.days), {}, {}))

    # What is there.

    def stale(self) -> list[str]:
        """What a run has to do, with what nobody has discovered yet."""
        with transaction() as connection:
            undiscovered = [f"{found['path']}: not discovered" for found in orchestrate.look(connection, None, ())]
            connection.rollback()
        return undiscovered + [f"{s.table} {s.what}: {s.reason}" for s in stale() if is_work(s)]

    def facts(self) -> dict[SourceDay, Facts]:
        """What published tables say of each day; unknown customers stand in no table."""
        good: dict[SourceDay, list[Line]] = defaultdict(list)
        with transaction() as connection:
            for row in query(connection, "select customer_id, purchased_on, amount_usd from raw.purchases"):
                day = (row["purchased_on"] - START).days
                if (name := NAMES[row["customer_id"]]) != SOMEBODY_ELSE:
                    good["purchases", day].append((day, name, int(row["amount_usd"])))
            for row in query(connection, "select customer_id, extract_day, country from raw.customers"):
                day = (row["extract_day"] - START).days
                country = next(short for short, country in COUNTRIES.items() if country == row["country"])
                good["customers", day].append((day, NAMES[row["customer_id"]], country))
        return {day: facts_of(*day, lines, []) for day, lines in good.items()}


def date_of(day: int) -> date:
    """The date of a day's number."""
    return START + timedelta(days=day)


def text_of(source: Source, line: Line) -> str:
    """A line as the source writes it."""
    day, customer, told = line
    if source == "purchases":
        return f" {NUMBERS[customer]} {date_of(day):%Y%m%d}  1   {told}.00"
    return f"{NUMBERS[customer]},,,,,,,,{COUNTRIES.get(told, ALWAYS_BROKEN)},1997-05-01"


def known(facts: dict[SourceDay, Facts], through: int) -> dict[SourceDay, Facts]:
    """What stands in tables of such facts: no day to come, and nobody who is unknown."""
    found = {
        day: tuple((key, value) for key, value in rows if value != UNKNOWN)
        for day, rows in facts.items()
        if day[1] <= through
    }
    return {day: rows for day, rows in found.items() if rows}


def deliveries_of(facts: dict[SourceDay, Facts], through: int) -> Iterator[Delivery]:
    """Files that say just this: one a source and day."""
    for (source, day), rows in sorted(facts.items()):
        if day <= through:
            lines = [key[:3] for key, _ in rows] if source == "purchases" else [(*key, value[0]) for key, value in rows]
            yield Delivery(0, source, f"{source}/{day}", tuple(lines))


@contextmanager
def crashing(function: str | None) -> Iterator[None]:
    """Lets a function, by its full name, be the end of what calls it."""
    if function is None:
        yield
    else:
        with patch(function, side_effect=Crash):
            yield
