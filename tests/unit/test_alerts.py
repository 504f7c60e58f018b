"""What an alert says, what it leaves out, and which failures are the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_platform.alerts import LONGEST_MESSAGE, Alert, channels
from data_platform.failures import InputError
from data_platform.privacy import MASK
from data_platform.settings import get_settings
from tests.conftest import forget_settings

GATE = """gate failure: the gate after stage stops run 20261121t020001_ab12cd:
  raw.purchases, rule amounts_are_positive: observed 3 of 1402 rows
    expected: amount_usd >= 0
    example:  customer_id=4711, amount_usd=-1.00
  → `dp gate results --run 20261121t020001_ab12cd` shows examples"""
ALERT = Alert("run_nightly", "gate_stage", "scheduled__2026-11-21", "gate", GATE, "failed-gate", "http://x/log")


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Settings of the test's own."""
    monkeypatch.setenv("DP_ENV_FILE", str(tmp_path / "no.env"))
    monkeypatch.setenv("STATE_DIR", str(tmp_path))
    forget_settings()
    return monkeypatch


def key(message: str, **other: str) -> str:
    return replace(ALERT, message=message, **other).incident_key


def test_an_alert_says_what_failed_and_where_to_read_on() -> None:
    text = ALERT.text()
    assert text.startswith("run_nightly.gate_stage failed (gate)\n")
    for fact in ("amounts_are_positive: observed 3", "scheduled__2026-11-21", "docs/runbooks/failed-gate.md", "x/log"):
        assert fact in text
    assert ALERT.document()["text"] == text
    assert ALERT.document()["incident_key"] == ALERT.incident_key


def test_the_runbook_can_be_anywhere(settings: pytest.MonkeyPatch) -> None:
    settings.setenv("RUNBOOKS_URL", "https://git.example.com/runbooks/")
    forget_settings()
    assert ALERT.runbook_link == "https://git.example.com/runbooks/failed-gate.md"


def test_rows_of_data_stay_in_the_log() -> None:
    assert "example:" in GATE
    assert "4711" not in str(ALERT.document())


@given(before=st.text(max_size=20), address=st.emails(), after=st.text(max_size=20))
def test_no_e_mail_address_leaves(before: str, address: str, after: str) -> None:
    message = replace(ALERT, message=f"{before} {address} {after}").message
    assert address not in message


@pytest.mark.parametrize("value", ["+31 20 123 45 67", "+1 (555) 010-9999", "4111 1111 1111 1111", "4111111111111111"])
def test_no_number_of_a_person_leaves(value: str) -> None:
    assert replace(ALERT, message=f"bad value {value}!").message == f"bad value {MASK}!"


@pytest.mark.parametrize(
    "harmless",
    [
        "days 1998-06-30 1998-07-01",
        "run 20261121t020001_ab12cd",
        "landing/shop/purchases/1998-06-30.txt: line 3: 1,402 rows, 2500315.63 in all",
        "2026-11-21 02:00:01+00:00",
    ],
)
def test_what_names_nobody_stays(harmless: str) -> None:
    assert replace(ALERT, message=harmless).message == harmless


def test_a_long_message_is_cut() -> None:
    assert len(replace(ALERT, message="x" * 10_000).message) < LONGEST_MESSAGE + 3


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (GATE, GATE.replace("20261121t020001_ab12cd", "20261122t020003_00ff31").replace("3 of 1402", "17 of 1388")),
        ("the lock of 60.5 s was not given", "the lock of 12 s was not given"),
        ("delivery 0f3a9c88d1e2 is gone", "delivery 77aa01b2c3d4 is gone"),
    ],
)
def test_the_same_again_is_one_incident(one: str, other: str) -> None:
    assert key(one) == key(other)
    assert key(one, run_id="another") == key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (GATE, GATE.replace("amounts_are_positive", "customers_are_known")),
        (GATE, GATE.replace("raw.purchases", "raw.customers")),
        ("rule spend_30d is broken", "rule spend_90d is broken"),
        ("landing/shop/1998-06-29.txt: no header", "landing/shop/1998-06-30.txt: no header"),
        ("purchases has no rows for 1998-06-29", "purchases has no rows for 1998-06-30"),
    ],
)
def test_another_thing_is_another_incident(one: str, other: str) -> None:
    assert key(one) != key(other)


@pytest.mark.parametrize("field", ["dag", "step", "kind"])
def test_another_place_or_kind_is_another_incident(field: str) -> None:
    assert replace(ALERT, **{field: "other"}).incident_key != ALERT.incident_key


def test_each_run_misses_its_own_deadline() -> None:
    late = replace(ALERT, step="", kind="deadline", message="the run has not ended by 2026-11-21 06:00")
    assert late.title == "run_nightly missed its deadline"
    assert replace(late, message="said otherwise").incident_key == late.incident_key
    assert replace(late, run_id="scheduled__2026-11-22").incident_key != late.incident_key


def test_the_log_is_always_a_channel(settings: pytest.MonkeyPatch) -> None:
    assert [c.name for c in channels(get_settings())] == ["log"]
    settings.setenv("ALERT_WEBHOOK_URL", "https://chat.example.com/hook/token")
    settings.setenv("ALERT_SMTP_URL", "smtp://mail.example.com:587")
    settings.setenv("ALERT_EMAIL_FROM", "platform@example.com")
    settings.setenv("ALERT_EMAIL_TO", "oncall@example.com")
    forget_settings()
    assert [c.name for c in channels(get_settings())] == ["log", "webhook", "smtp"]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"ALERT_WEBHOOK_URL": "chat.example.com/hook/a-token"}, "ALERT_WEBHOOK_URL"),
        ({"ALERT_WEBHOOK_URL": "file:///etc/a-token"}, "ALERT_WEBHOOK_URL"),
        ({"ALERT_SMTP_URL": "mail.example.com"}, "smtp://HOST:PORT"),
        ({"ALERT_SMTP_URL": "smtp://me:a-token@mail.example.com:587"}, "smtp://HOST:PORT"),
        ({"ALERT_SMTP_URL": "smtp://mail.example.com:25", "ALERT_EMAIL_TO": ""}, "ALERT_EMAIL_TO"),
        (
            {
                "ALERT_SMTP_URL": "smtp://mail.example.com:25",
                "ALERT_SMTP_USER": "me",
                "ALERT_SMTP_STARTTLS": "false",
            },
            "in the clear",
        ),
    ],
)
def test_a_wrong_setting_is_refused_and_not_repeated(
    settings: pytest.MonkeyPatch, wrong: dict[str, str], says: str
) -> None:
    addresses = {"ALERT_EMAIL_FROM": "platform@example.com", "ALERT_EMAIL_TO": "oncall@example.com"}
    for name, value in {**addresses, **wrong}.items():
        settings.setenv(name, value)
    forget_settings()
    with pytest.raises(InputError, match=says) as failure:
        get_settings()
    assert "a-token" not in str(failure.value)
