"""Answers: what somebody says of deliveries, and of withdrawals by a manifest, that the contract does not accept.

Until then a delivery does not count, and what its path said before does; a withdrawal takes nothing away.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, Literal

from data_platform.clock import business_now
from data_platform.contracts.model import Contract
from data_platform.failures import InputError
from data_platform.landing import in_landing
from data_platform.warehouse.connection import Connection, execute, query

WORDS = {
    "late": "came late",
    "corrected": "corrects what counts",
    "duplicate": "says what another file says",
    "withdrawn": "is taken back by the manifest",
}


@dataclass(frozen=True)
class Held:
    """A delivery that does not count, or a withdrawal that takes nothing away, as the contract does not accept it.

    Args:
        file_ids: versions that an answer speaks of.
        kind: ``late``, ``corrected``, ``duplicate`` or ``withdrawn``.
        policy: what the contract says of that kind.
        is_answered: whether somebody has said that it stays so.
    """

    dataset: str
    path: str
    file_ids: tuple[int, ...]
    about: Literal["delivery", "withdrawal"]
    kind: str
    policy: Literal["refuse", "ask"]
    is_answered: bool
    arrived_at: datetime

    @property
    def is_asked(self) -> bool:
        return self.policy == "ask" and not self.is_answered

    @property
    def reason(self) -> str:
        """Why it is held, and who can change that."""
        if self.is_answered:
            return f"{WORDS[self.kind]}, and was refused"
        if self.is_asked:
            return f"{WORDS[self.kind]}, and the contract asks: `dp deliveries accept` or `dp deliveries refuse`"
        return f"{WORDS[self.kind]}, which the contract refuses; `dp deliveries accept` overrules it"


def write_policy(connection: Connection, contract: Contract) -> None:
    """Lets the contract's policy hold from now on."""
    policy = contract.on_delivery
    execute(
        connection,
        """insert into ops.delivery_policies as p (dataset, late, corrected, duplicate, withdrawn, arrival_delay)
           values (%s, %s, %s, %s, %s, %s)
           on conflict (dataset) do update
           set (late, corrected, duplicate, withdrawn, arrival_delay)
               = (excluded.late, excluded.corrected, excluded.duplicate, excluded.withdrawn, excluded.arrival_delay)
           where p is distinct from excluded""",
        (
            contract.dataset,
            policy.late,
            policy.corrected,
            policy.duplicate,
            policy.withdrawn,
            contract.arrival_delay,
        ),
    )


def take_back_withdrawals(connection: Connection, dataset: str, still_said: Collection[str]) -> None:
    """Forgets what the manifest withdrew, was not accepted, and the manifest no longer says."""
    execute(
        connection,
        """delete from ops.withdrawals using ops.files
           where files.file_id = withdrawals.file_id and by_manifest and dataset = %s and path <> all(%s)
               and files.file_id not in (select file_id from ops.standing_withdrawals)""",
        (dataset, list(still_said)),
    )


def held_deliveries(connection: Connection, datasets: Collection[str] | None = None) -> list[Held]:
    """Whatever is held of these datasets, or of all, by path; of a path whose withdrawal is held too, that."""
    rows: list[dict[str, Any]] = query(
        connection,
        """with held as (
               select
                   dataset, path, array_agg(w.file_id order by w.file_id) as file_ids, 'withdrawal' as about,
                   'withdrawn' as kind, p.withdrawn as policy, bool_or(a.file_id is not null) as is_answered,
                   max(w.arrived_at) as arrived_at
               from ops.withdrawals as w
               join ops.files using (file_id)
               join ops.delivery_policies as p using (dataset)
               left join ops.last_answers as a on a.file_id = w.file_id and a.about = 'withdrawal'
               where w.file_id not in (select file_id from ops.standing_withdrawals)
               group by dataset, path, p.withdrawn
               union all
               select
                   dataset, path, array[file_id], 'delivery', kind, policy, is_accepted is not null, arrived_at
               from ops.deliveries
               where state in ('asked', 'refused')
           )
           select distinct on (path) * from held
           where %(datasets)s::text[] is null or dataset = any(%(datasets)s::text[])
           order by path, about desc""",
        {"datasets": None if datasets is None else list(datasets)},
    )
    return [Held(**row | {"file_ids": tuple(row["file_ids"])}) for row in rows]


def answer(connection: Connection, patterns: Sequence[str], reason: str, *, accept: bool) -> list[Held]:
    """Writes what somebody says of held deliveries; the next run does what follows from it.

    Args:
        patterns: paths, with or without their leading ``landing/``; ``*`` stands for any text.

    Raises:
        InputError: naming the pattern that fits none, or none that is not refused already.
    """
    held = held_deliveries(connection)
    answered: dict[str, Held] = {}
    for pattern in patterns:
        wanted = in_landing(pattern)
        fitting = [h for h in held if fnmatchcase(h.path, wanted)]
        if not fitting:
            raise InputError(
                f"no delivery is held as {wanted}",
                hint="`dp deliveries list` names them; what counts already is taken back by `dp withdraw`",
            )
        if not accept and all(h.is_answered for h in fitting):
            raise InputError(f"{wanted} is refused already", hint="`dp deliveries accept` lets it count after all")
        answered |= {h.path: h for h in fitting if accept or not h.is_answered}
    for one in answered.values():
        execute(
            connection,
            """insert into ops.answers (file_id, about, is_accepted, reason, arrived_at)
               select file_id, %s, %s, %s, %s from unnest(%s::bigint[]) as file_id""",
            (one.about, accept, reason, business_now(), list(one.file_ids)),
        )
    return list(answered.values())
