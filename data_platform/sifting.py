"""Which input changes pass a gate, and for which it fails: found by trying parts of them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TypeVar

from data_platform.contracts.model import Contract
from data_platform.contracts.relations import reached
from data_platform.input_changes import InputChange

T = TypeVar("T", bound=Hashable)
Unit = tuple[InputChange, ...]  # changes that only together can be tried


def newest(unit: Unit) -> date:
    return max(change.newest for change in unit)


def sift(
    group: Sequence[T], passes: Callable[[Sequence[T]], bool], kept: list[T], rejected: dict[T, tuple[T, ...]]
) -> None:
    """Sorts a group into what passes together with what is kept, and what fails there by itself, by halving.

    Everything kept has passed together in one call; everything rejected has failed as the only addition to what was
    kept then, which is noted with it. ``k`` of ``n`` that fail take about ``2 k log2(n)`` calls.
    """
    if passes([*kept, *group]):
        kept += group
    elif len(group) == 1:
        rejected[group[0]] = tuple(kept)
    else:
        half = len(group) // 2
        sift(group[:half], passes, kept, rejected)
        sift(group[half:], passes, kept, rejected)


@dataclass
class Search:
    """Finds what passes together, and what fails, each with what it was the only addition to.

    What fails without something that its foreign keys lead to is tried again beside it. What came for days after those
    that can be spoken of is neither kept nor rejected.

    Args:
        required: changes of what must come daily: only with these a run speaks of a new day.
        optional: all others.
        passes: tries some of them.
        through: the last day that what passed last speaks of.
    """

    required: Sequence[Unit]
    optional: Sequence[Unit]
    passes: Callable[[Sequence[Unit]], bool]
    through: Callable[[], date]
    contracts: Mapping[str, Contract]
    kept: list[Unit] = field(default_factory=list)
    rejected: dict[Unit, tuple[Unit, ...]] = field(default_factory=dict)

    def run(self) -> None:
        """Sorts all of them into ``kept`` and ``rejected``."""
        self._sift(self.required)
        daily = list(self.rejected)
        self._judge_what_is_spoken_of()
        for unit in daily:
            self._try_beside_what_came_for_its_days(unit)
        self._judge_what_is_spoken_of()
        while again := [u for u, beside in self.rejected.items() if self._leads_to(u, set(self.kept) - set(beside))]:
            for unit in again:
                del self.rejected[unit]
            self._sift(again)
            self._judge_what_is_spoken_of()

    def _sift(self, units: Sequence[Unit]) -> None:
        if units:
            sift(units, self.passes, self.kept, self.rejected)

    def _judge_what_is_spoken_of(self) -> None:
        through = self.through()
        self._sift([unit for unit in self._unjudged() if newest(unit) <= through])

    def _try_beside_what_came_for_its_days(self, unit: Unit) -> None:
        """One that failed may be good and need others: what it leads to, all that waits, what failed of its days."""
        last = max(newest(unit), self.through())
        waiting = [other for other in self._unjudged() if newest(other) <= last]
        ahead = [other for other in waiting if self._leads_to(unit, [other])]
        days = frozenset[date]().union(*(change.days for change in unit))
        doubted = [u for u in self.optional if u in self.rejected and any(days & change.days for change in u)]
        tried = set(self.rejected[unit])
        for beside in (ahead, waiting, [*waiting, *doubted]):
            more = {*self.kept, *beside} - tried
            if not (self._leads_to(unit, more) if beside is ahead else more.intersection(self.optional)):
                continue
            if self.passes([*self.kept, *beside, unit]):
                self.kept += [*beside, unit]
                self.rejected = {u: others for u, others in self.rejected.items() if u not in {*beside, unit}}
                return
            tried |= more
            if not beside:
                self.rejected[unit] = tuple(self.kept)

    def _unjudged(self) -> list[Unit]:
        return [unit for unit in self.optional if unit not in self.kept and unit not in self.rejected]

    def _leads_to(self, unit: Unit, others: Iterable[Unit]) -> bool:
        ends = frozenset[str]().union(*(reached(self.contracts[c.dataset], self.contracts) for c in unit))
        return any(change.dataset in ends for other in others for change in other)
