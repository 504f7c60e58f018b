"""What the contract does not accept by itself does not count until somebody says so."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest

from data_platform.answers import answer, held_deliveries
from data_platform.contracts.model import Contract
from data_platform.contracts.parts import DeliveryPolicy
from data_platform.failures import InputError
from data_platform.orchestrate import held_back
from data_platform.runs import open_run
from data_platform.staleness import find_stale, is_work
from data_platform.warehouse.connection import query, transaction
from tests.conftest import Platform
from tests.contracts import change_contract
from tests.ledger import (
    DAY,
    UNREADABLE,
    changed,
    discover,
    ingest,
    land,
    made_of,
    states,
    take_in,
    tell,
    what_counts,
    withdraw_file,
)

pytestmark = pytest.mark.integration
IN_TIME = datetime(1998, 1, 6, 1, tzinfo=UTC)
TOO_LATE = IN_TIME + timedelta(days=1)
Policy = Callable[..., Contract]


@pytest.fixture
def policy(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Policy:
    """Lets the contract of purchases say what happens to deliveries."""

    def say(**behaviours: str) -> Contract:
        told = DeliveryPolicy.model_validate(behaviours)
        return change_contract(monkeypatch, "purchases", on_delivery=told)

    return say


def say(word: str, *names: str) -> list[str]:
    patterns = [f"shop/purchases/{name}.txt" for name in names]
    with transaction() as connection:
        return [h.path for h in answer(connection, patterns, "a test's", accept=word == "accept")]


def held() -> dict[str, str]:
    """File to what is held of it, in a run's words to whoever is on call, and of `dp stale`."""
    with transaction() as connection:
        told = {s.what: s.reason for s in find_stale(connection, DAY, ["purchases"]) if "contract" in s.reason}
        run = open_run(connection, kind="test", asked=None, through_day=DAY, datasets=(), reason="")
        asked = held_back(connection, run)
        connection.rollback()
    assert [path for path, reason in told.items() if "asks" in reason] == [a.partition(": ")[0] for a in asked]
    return {path.rpartition("/")[2].partition(".")[0]: reason.partition(",")[0] for path, reason in told.items()}


@pytest.mark.parametrize("behaviour", ["refuse", "ask"])
def test_a_correction_waits_and_what_its_path_said_counts(platform: Platform, policy: Policy, behaviour: str) -> None:
    contract = policy(corrected=behaviour)
    land(platform, "a", "x")
    assert take_in(contract) == ["a"]
    land(platform, "a", "y")
    assert discover() == ["a: changed"]
    assert ingest(contract) == []
    assert states() == {"a": "refused" if behaviour == "refuse" else "asked"}
    assert held() == {"a": "held back: corrects what counts"}
    assert what_counts(contract) == made_of("x")
    assert say("accept", "a") == ["landing/shop/purchases/a.txt"]
    assert ingest(contract) == ["a"]
    assert what_counts(contract) == made_of("y")
    assert held() == {}


def test_a_refused_correction_is_asked_about_no_more_and_may_be_accepted_after_all(
    platform: Platform, policy: Policy
) -> None:
    contract = policy(corrected="ask")
    land(platform, "a", "x")
    take_in(contract)
    land(platform, "a", "y")
    discover()
    say("refuse", "a")
    assert held() == {}
    assert states() == {"a": "refused"}
    with pytest.raises(InputError, match="is refused already"):
        say("refuse", "a")
    land(platform, "a", "z")
    take_in(contract)
    assert held() == {"a": "held back: corrects what counts"}, "another version is another question"
    assert what_counts(contract) == made_of("x")
    say("accept", "*")
    take_in(contract)
    assert what_counts(contract) == made_of("z")


def test_a_file_that_could_not_be_read_may_be_corrected(platform: Platform, policy: Policy) -> None:
    contract = policy(corrected="refuse")
    land(platform, "a", UNREADABLE)
    take_in(contract)
    land(platform, "a", "x")
    assert take_in(contract) == ["a"]
    assert what_counts(contract) == made_of("x")


def test_a_version_that_nobody_has_read_is_not_waited_for(platform: Platform, policy: Policy) -> None:
    contract = policy(corrected="ask")
    land(platform, "a", "x")
    discover()
    land(platform, "a", "y")
    assert take_in(contract) == ["a"]
    assert what_counts(contract) == made_of("y")


@pytest.mark.parametrize("name", ["a", "b"])
def test_what_came_late_does_not_get_in_as_its_own_correction_or_copy(
    platform: Platform, policy: Policy, name: str
) -> None:
    contract = policy(late="refuse")
    land(platform, "a", "x")
    tell(platform, *({"path": path, "arrived_at": TOO_LATE.isoformat()} for path in ("a", name)))
    take_in(contract)
    land(platform, name, "x" if name == "b" else "y")
    take_in(contract)
    assert set(states().values()) == {"refused"}
    assert what_counts(contract) == made_of()


@pytest.mark.parametrize(("arrived", "is_held"), [(IN_TIME, False), (TOO_LATE, True)])
def test_a_file_is_late_when_it_comes_after_its_newest_day_and_the_delay(
    platform: Platform, policy: Policy, arrived: datetime, is_held: bool
) -> None:
    contract = policy(late="ask")
    land(platform, "a", "x")
    tell(platform, {"path": "a", "arrived_at": arrived.isoformat()})
    assert take_in(contract) == ["a"], "only what is in it tells"
    assert held() == ({"a": "held back: came late"} if is_held else {})
    assert what_counts(contract) == made_of(*(() if is_held else ("x",)))
    if is_held:
        say("accept", "a")
        assert take_in(contract) == [], "it has been read"
        assert what_counts(contract) == made_of("x")


def test_what_is_there_twice_takes_over_only_when_it_is_accepted(platform: Platform, policy: Policy) -> None:
    contract = policy(duplicate="ask")
    land(platform, "a", "x")
    land(platform, "b", "x")
    assert discover() == ["a: new", "b: same content as landing/shop/purchases/a.txt"]
    assert ingest(contract) == ["a"]
    assert held() == {"b": "held back: says what another file says"}
    land(platform, "a", "y")
    take_in(contract)
    assert what_counts(contract) == made_of("y")
    say("accept", "b")
    assert take_in(contract) == ["b"]
    assert what_counts(contract) == made_of("x", "y")


@pytest.mark.parametrize("behaviour", ["refuse", "ask"])
def test_what_the_manifest_takes_back_stays_until_that_is_accepted(
    platform: Platform, policy: Policy, behaviour: str
) -> None:
    contract = policy(withdrawn=behaviour)
    land(platform, "a", "x")
    take_in(contract)
    tell(platform, {"path": "a", "withdrawn": True})
    assert discover() == ["a: withdrawn"]
    assert discover() == [], "it is told once"
    assert held() == {"a": "held back: is taken back by the manifest"}
    assert what_counts(contract) == made_of("x")
    say("refuse", "a")
    assert held() == {}
    assert what_counts(contract) == made_of("x")
    say("accept", "a")
    assert what_counts(contract) == made_of()
    assert states() == {"a": "withdrawn"}


def test_what_was_accepted_and_is_then_taken_back_is_another_question(platform: Platform, policy: Policy) -> None:
    contract = policy(corrected="ask", withdrawn="ask")
    land(platform, "a", "x")
    take_in(contract)
    land(platform, "a", "y")
    take_in(contract)
    say("accept", "a")
    take_in(contract)
    tell(platform, {"path": "a", "withdrawn": True})
    discover()
    assert held() == {"a": "held back: is taken back by the manifest"}
    assert what_counts(contract) == made_of("y")
    say("accept", "a")
    assert what_counts(contract) == made_of()


def test_a_manifest_may_take_its_word_back_before_it_is_accepted(platform: Platform, policy: Policy) -> None:
    contract = policy(withdrawn="ask")
    land(platform, "a", "x")
    take_in(contract)
    tell(platform, {"path": "a", "withdrawn": True})
    discover()
    tell(platform)
    assert discover() == []
    assert held() == {}
    policy()
    assert discover() == []
    assert what_counts(contract) == made_of("x"), "nothing is withdrawn any longer"


def test_a_person_withdraws_whatever_the_contract_says_of_manifests(platform: Platform, policy: Policy) -> None:
    contract = policy(withdrawn="refuse")
    land(platform, "a", "x")
    take_in(contract)
    tell(platform, {"path": "a", "withdrawn": True})
    discover()
    withdraw_file("a")
    assert what_counts(contract) == made_of()
    assert held() == {}


def test_a_policy_holds_as_soon_as_the_contract_says_so(platform: Platform, policy: Policy) -> None:
    contract = policy(corrected="ask")
    land(platform, "a", "x")
    take_in(contract)
    land(platform, "a", "y")
    take_in(contract)
    assert what_counts(contract) == made_of("x")
    policy()
    assert take_in(contract) == ["a"]
    assert what_counts(contract) == made_of("y")


def test_a_held_version_is_read_as_the_contract_of_the_day_says_once_it_is_accepted(
    platform: Platform, policy: Policy
) -> None:
    contract = policy(late="ask")
    land(platform, "a", "x")
    tell(platform, {"path": "a", "arrived_at": TOO_LATE.isoformat()})
    take_in(contract)
    later = changed(contract)
    assert ingest(later) == []
    say("accept", "a")
    assert ingest(later) == ["a"]


def test_what_is_not_held_cannot_be_answered(platform: Platform, policy: Policy) -> None:
    contract = policy()
    land(platform, "a", "x")
    take_in(contract)
    with pytest.raises(InputError, match=r"no delivery is held as landing/shop/purchases/a\.txt"):
        say("accept", "a")


def test_answers_arrive_on_the_business_clock(platform: Platform, policy: Policy) -> None:
    contract = policy(corrected="ask")
    land(platform, "a", "x")
    take_in(contract)
    land(platform, "a", "y")
    discover()
    say("accept", "a")
    with transaction() as connection:
        (told,) = query(connection, "select reason, arrived_at from ops.answers")
        assert held_deliveries(connection) == []
    assert told["reason"] == "a test's"
    assert told["arrived_at"].date() == date(1998, 2, 1)


@pytest.mark.parametrize("seed", range(12))
def test_answered_at_any_time_what_was_accepted_counts_and_nothing_else(
    platform: Platform, policy: Policy, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - not to be secret
    contract = policy(corrected="ask", duplicate=chance.choice(("accept", "refuse")))
    newest: dict[str, str] = {}
    says: dict[str, str] = {}
    free: set[str] = set()
    for number in range(12):
        name = chance.choice("abc")
        newest[name] = f"{number}"
        land(platform, name, newest[name])
        discover()
        free.discard(name)  # what was accepted was another version
        if name not in says:
            free.add(name)
        elif chance.random() < 0.5:
            word = chance.choice(("accept", "refuse"))
            say(word, name)
            free |= {name} if word == "accept" else set()
        if number == 11 or chance.random() < 0.5:
            ingest(contract)
            says |= {name: newest[name] for name in free}
            free.clear()
    with transaction() as connection:
        assert not [s for s in find_stale(connection, DAY, ["purchases"]) if is_work(s) and "read" in s.reason]
    assert what_counts(contract) == made_of(*says.values())
