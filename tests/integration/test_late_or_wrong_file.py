"""The runbook on files that come late, again, twice, or should not have come, command by command on a real shop."""

from __future__ import annotations

import shutil

import pytest
from typer.testing import CliRunner

from data_platform import orchestrate
from data_platform.cli.main import build_app
from data_platform.clock import business_date
from data_platform.contracts.parts import DeliveryPolicy
from data_platform.intervals import ONE_DAY
from data_platform.staleness import is_work
from data_platform.warehouse.connection import query, transaction
from tests.conftest import SHOP_DAYS, Platform
from tests.contracts import change_contract
from tests.landing import add_purchases, purchase
from tests.runbooks import commands_of
from tests.state import newest_publication, published, stale

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("spark_server")]
CORRECTED, WITHDRAWN = SHOP_DAYS.start + ONE_DAY, SHOP_DAYS.start + 3 * ONE_DAY


@pytest.fixture
def asking_shop(shop: Platform, monkeypatch: pytest.MonkeyPatch) -> Platform:
    """A published shop whose contract asks about corrected files and copies; one of each came."""
    asks = DeliveryPolicy(corrected="ask", duplicate="ask")
    change_contract(monkeypatch, "purchases", on_delivery=asks)
    add_purchases(shop.landing, CORRECTED, purchase(CORRECTED, "12.34"))
    folder = shop.landing / "shop/purchases"
    shutil.copy(folder / f"{WITHDRAWN}.txt", folder / "1998-02-01.txt")
    return shop


def held() -> set[str]:
    return {s.what.rpartition("/")[2] for s in stale() if s.reason.startswith("held back")}


def test_what_waits_for_an_answer_is_not_published(asking_shop: Platform) -> None:
    before, number = published(), newest_publication()
    assert orchestrate.run_all(None).run is None, "there is nothing to do"
    assert (published(), newest_publication()) == (before, number)
    assert held() == {f"{CORRECTED}.txt", "1998-02-01.txt"}


def test_each_command_of_the_runbook_works(asking_shop: Platform) -> None:
    before = set(published()["raw.purchases"])
    commands = commands_of("late-or-wrong-file")
    assert {"accept", "refuse"} <= {command[1] for command in commands if command[0] == "deliveries"}
    assert {"discover", "stale", "sql", "withdraw", "run"} <= {command[0] for command in commands}
    for command in commands:
        done = CliRunner().invoke(build_app(), command)
        assert done.exit_code == 0 or "are held back" in str(done.exception), (command, done.output)
    assert [s for s in stale() if is_work(s)] == []
    assert held() == set()
    rows = set(published()["raw.purchases"])
    assert before - rows == {row for row in before if WITHDRAWN in row}
    assert len(rows - before) == 1
    with transaction() as connection:
        (new,) = query(connection, "select known_at from raw.purchases where amount_usd = 12.34")
    assert new["known_at"].date() == business_date(), "known since the answer"
