"""One alert an incident: with a real warehouse, a real webhook and a real mail server, each up or down."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_platform import incidents
from data_platform.alerts import Alert, report_failure, report_success, send
from data_platform.failures import InputError
from data_platform.local.secrets import pick_port
from data_platform.settings import get_settings
from data_platform.warehouse import connection as warehouse
from data_platform.warehouse.connection import execute, query, transaction
from tests.conftest import Platform, forget_settings
from tests.receivers import Mailbox, Webhook, mailbox, make_certificate, webhook

pytestmark = pytest.mark.integration

ALERT = Alert("run_nightly", "gate_stage", "night 1", "gate", "rule a is broken: 3 rows", "failed-gate", "http://x/log")
DP = Path(sys.executable).with_name("dp")
STEPS = ("stage", "gate_stage")
MESSAGES = ("rule a is broken", "rule b is broken")


@pytest.fixture
def hook(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    """A webhook that alerts go to."""
    with webhook() as received:
        monkeypatch.setenv("ALERT_WEBHOOK_URL", received.url)
        forget_settings()
        yield received


@pytest.fixture
def mail(platform: Platform, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Mailbox]:
    """A mail server that asks for TLS and a login."""
    certificate = make_certificate(tmp_path)
    with mailbox(certificate) as box:
        values = {
            "ALERT_SMTP_URL": f"smtp://127.0.0.1:{box.port}",
            "ALERT_SMTP_USER": "platform",
            "ALERT_SMTP_PASSWORD": "only-in-tests",
            "ALERT_EMAIL_FROM": "platform@example.com",
            "ALERT_EMAIL_TO": "oncall@example.com, second@example.com",
            "SSL_CERT_FILE": str(certificate),
        }
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        forget_settings()
        yield box


def titles(hook: Webhook) -> list[str]:
    return [post["title"] for post in hook.posts]


def book() -> list[dict[str, Any]]:
    with transaction() as connection:
        return query(connection, "select * from ops.incidents order by incident_id")


def lose_warehouse(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(warehouse, "PAUSE_S", 0.0)
    patch.setenv("WAREHOUSE_URL", f"postgresql://127.0.0.1:{pick_port()}/warehouse")
    forget_settings()


def regain_warehouse(patch: pytest.MonkeyPatch, platform: Platform) -> None:
    patch.setenv("WAREHOUSE_URL", platform.environment["WAREHOUSE_URL"])
    forget_settings()


def test_the_webhook_gets_all_that_a_program_needs(hook: Webhook) -> None:
    report_failure(ALERT)
    (post,) = hook.posts
    assert {k: post[k] for k in ("dag", "step", "run_id", "kind", "severity", "status", "log_url")} == {
        "dag": "run_nightly",
        "step": "gate_stage",
        "run_id": "night 1",
        "kind": "gate",
        "severity": "error",
        "status": "open",
        "log_url": "http://x/log",
    }
    assert post["runbook"] == "docs/runbooks/failed-gate.md"
    assert "rule a is broken" in post["text"]


def test_the_mail_goes_encrypted_to_everybody_after_a_login(mail: Mailbox) -> None:
    report_failure(ALERT)
    (message,) = mail.mails
    assert message["Subject"] == "[error] run_nightly.gate_stage failed (gate)"
    assert message["From"] == "platform@example.com"
    assert "rule a is broken" in message.get_content()
    said = {command.split(" ")[0]: encrypted for command, encrypted in mail.commands}
    assert said["AUTH"]
    assert said["data"]
    assert [c for c, _ in mail.commands if c.upper().startswith("RCPT")] == [
        "rcpt TO:<oncall@example.com>",
        "rcpt TO:<second@example.com>",
    ]


def test_nothing_is_sent_to_a_mail_server_that_is_not_the_one(mail: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    delivered = {d.channel: d for d in send(ALERT)}
    assert not delivered["smtp"].delivered
    assert not mail.mails
    assert "AUTH" not in {command.split(" ")[0] for command, _ in mail.commands}


def test_an_incident_is_told_once_and_ended_once(hook: Webhook) -> None:
    for night in range(1, 4):
        report_failure(replace(ALERT, run_id=f"night {night}", message=f"rule a is broken: {night} rows"))
    assert titles(hook) == ["run_nightly.gate_stage failed (gate)"]
    (open_one,) = book()
    assert (open_one["occurrences"], open_one["run_id"]) == (3, "night 3")
    assert open_one["message"] == "rule a is broken: 3 rows"
    report_success("run_nightly", "build")
    report_success("backfill_range", "gate_stage")
    assert len(hook.posts) == 1
    report_success("run_nightly", "gate_stage")
    report_success("run_nightly", "gate_stage")
    assert titles(hook)[1:] == ["resolved: run_nightly.gate_stage"]
    report_failure(ALERT)
    assert len(hook.posts) == 3
    assert [row["resolved_at"] is None for row in book()] == [False, True]


def test_a_step_that_passed_by_hand_has_ended_its_incident(hook: Webhook) -> None:
    report_failure(ALERT)
    with transaction() as connection:
        execute(connection, "insert into ops.runs (run_id, kind) values ('by_hand', 'run')")
        execute(
            connection, "insert into ops.run_steps (run_id, step, state) values ('by_hand', 'gate:stage', 'failed')"
        )
    report_failure(ALERT)
    assert len(hook.posts) == 1
    with transaction() as connection:
        execute(connection, "update ops.run_steps set state = 'done', started_at = clock_timestamp()")
    report_failure(ALERT)
    assert titles(hook) == ["run_nightly.gate_stage failed (gate)"] * 2


def test_a_channel_that_is_down_hides_no_other(
    hook: Webhook, mail: Mailbox, caplog: pytest.LogCaptureFixture, platform: Platform
) -> None:
    hook.status = 500
    report_failure(ALERT)
    assert len(mail.mails) == 1
    assert "by webhook: HTTP 500" in caplog.text
    hook.status = 200
    report_failure(ALERT)
    assert (len(mail.mails), len(hook.posts)) == (1, 0)


def test_an_alert_that_nobody_took_is_sent_again(
    hook: Webhook, mail: Mailbox, platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    hook.status, mail.refuses = 500, True
    report_failure(ALERT)
    assert "by smtp: SMTPAuthenticationError 535" in caplog.text
    (line,) = (platform.home / "state" / "alerts.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["incident_key"] == ALERT.incident_key
    hook.status = 200
    report_failure(ALERT)
    report_failure(ALERT)
    assert len(hook.posts) == 1


def test_nobody_hears_of_the_end_who_did_not_hear_of_the_beginning(hook: Webhook) -> None:
    hook.status = 500
    report_failure(ALERT)
    hook.status = 200
    report_success(ALERT.dag, ALERT.step)
    assert hook.posts == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirection_is_no_delivery(hook: Webhook, status: int) -> None:
    hook.status = status
    assert {d.channel: d.said for d in send(ALERT)}["webhook"] == f"HTTP {status}"
    assert hook.other == []


def test_a_failing_channel_tells_no_secret(
    hook: Webhook, mail: Mailbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    mail.refuses = True
    for url in (hook.url.replace("127.0.0.1", "no-such-host.invalid"), "http://127.0.0.1:1/a-token", f"{hook.url}\n x"):
        monkeypatch.setenv("ALERT_WEBHOOK_URL", url)
        forget_settings()
        said = [d.said for d in send(ALERT) if not d.delivered]
        assert len(said) == 2, "both are down"
        assert not [text for text in said if "a-token" in text or "only-in-tests" in text]
    assert "a-token" not in caplog.text
    assert "only-in-tests" not in caplog.text


@pytest.mark.parametrize("is_away", [False, True])
def test_failures_at_the_same_time_are_told_once(
    hook: Webhook, platform: Platform, monkeypatch: pytest.MonkeyPatch, *, is_away: bool
) -> None:
    if is_away:
        lose_warehouse(monkeypatch)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: report_failure(ALERT), range(8)))
    assert len(hook.posts) == 1
    regain_warehouse(monkeypatch, platform)
    report_failure(ALERT)
    assert book()[0]["occurrences"] == 9


def test_an_alert_goes_out_without_warehouse_and_without_disk(
    hook: Webhook, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lose_warehouse(monkeypatch)
    (tmp_path / "file").touch()
    monkeypatch.setenv("STATE_DIR", str(tmp_path / "file" / "state"))
    forget_settings()
    report_failure(ALERT)
    assert titles(hook) == ["run_nightly.gate_stage failed (gate)"]


def test_a_book_that_a_kill_cut_off_is_begun_anew(hook: Webhook, platform: Platform) -> None:
    state = platform.home / "state"
    state.mkdir(exist_ok=True)
    (state / incidents.KEPT).write_text('{"0123": {"dag": "run_ni', encoding="utf-8")
    report_failure(ALERT)
    assert len(hook.posts) == len(book()) == 1


def test_what_happened_without_the_warehouse_is_in_its_book_afterwards(
    hook: Webhook, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_warehouse(monkeypatch)
    report_failure(ALERT)
    report_failure(ALERT)
    regain_warehouse(monkeypatch, platform)
    report_failure(ALERT)
    assert len(hook.posts) == 1
    (row,) = book()
    assert (row["occurrences"], row["told_at"] is not None) == (3, True)
    assert row["opened_at"] < row["last_seen_at"]


def test_what_was_told_without_the_warehouse_is_not_told_again(
    hook: Webhook, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook.status = 500
    report_failure(ALERT)
    hook.status = 200
    lose_warehouse(monkeypatch)
    report_failure(ALERT)
    regain_warehouse(monkeypatch, platform)
    report_failure(ALERT)
    assert len(hook.posts) == 1


def test_a_person_can_end_an_incident(hook: Webhook) -> None:
    report_failure(ALERT)
    incidents.resolve(book()[0]["incident_id"])
    assert titles(hook)[1:] == ["resolved: run_nightly.gate_stage"]
    with pytest.raises(InputError, match="no open incident"):
        incidents.resolve(book()[0]["incident_id"])
    with transaction() as connection:
        assert len(incidents.list_incidents(connection, open_only=False, limit=20)) == 1
        assert incidents.list_incidents(connection, open_only=True, limit=20) == []


def dp(*arguments: str) -> tuple[int, Any]:
    """Exit code of a command, and the JSON that it prints."""
    done = subprocess.run([DP, *arguments, "--json"], capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout)


def test_the_commands_of_the_runbook(hook: Webhook) -> None:
    code, said = dp("alert", "test")
    assert (code, [(one["channel"], one["said"]) for one in said][1:]) == (0, [("webhook", "HTTP 200")])
    assert hook.posts.pop()["status"] == "test"
    hook.status = 503
    code, said = dp("alert", "test")
    assert (code, said[1]) == (75, {"channel": "webhook", "delivered": False, "said": "HTTP 503"})
    hook.status = 200
    report_failure(ALERT)
    (incident,) = dp("incidents", "--open")[1]
    assert (incident["dag"], incident["step"], incident["occurrences"]) == ("run_nightly", "gate_stage", 1)
    assert dp("alert", "resolve", str(incident["incident_id"]))[0] == 0
    assert dp("incidents", "--open") == (0, [])
    assert titles(hook)[1:] == ["resolved: run_nightly.gate_stage"]


@dataclass
class Model:
    """What people ought to hear: one book that is always there, one for the time without it."""

    away: bool = False
    known: set[tuple[str, str]] = field(default_factory=set)
    kept: set[tuple[str, str]] = field(default_factory=set)
    heard: list[tuple[str, str, str]] = field(default_factory=list)

    def fail(self, step: str, message: str) -> None:
        told = self._book()
        if (step, message) not in told:
            self.heard.append(("open", step, message))
        told.add((step, message))

    def succeed(self, step: str) -> None:
        told = self._book()
        over = {one for one in told if one[0] == step}
        told -= over
        self.heard += sorted(("resolved", *one) for one in over)

    def _book(self) -> set[tuple[str, str]]:
        if self.away:
            return self.kept
        self.known |= self.kept
        self.kept.clear()
        return self.known


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("fail"), st.sampled_from(STEPS), st.sampled_from(MESSAGES)),
        st.tuples(st.just("succeed"), st.sampled_from(STEPS), st.just("")),
        st.tuples(st.sampled_from(["away", "back"]), st.just(""), st.just("")),
    ),
    max_size=12,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=EVENTS)
def test_any_sequence_of_events_gives_one_alert_an_incident(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, events: list[tuple[str, str, str]]
) -> None:
    regain_warehouse(monkeypatch, platform)
    with transaction() as connection:
        execute(connection, "truncate ops.incidents")
    for name in ("alerts.jsonl", incidents.KEPT):
        (get_settings().state_dir / name).unlink(missing_ok=True)
    model = Model()
    for place, (what, step, message) in enumerate(events):
        if what == "fail":
            report_failure(replace(ALERT, step=step, message=f"{message}: {place} rows"))
            model.fail(step, message)
        elif what == "succeed":
            report_success(ALERT.dag, step)
            model.succeed(step)
        else:
            model.away = what == "away"
            (lose_warehouse(monkeypatch) if model.away else regain_warehouse(monkeypatch, platform))
    assert heard() == by_event(model.heard)


def heard() -> list[tuple[str, str, str]]:
    """What the log channel took: status, step and message without numbers."""
    file = get_settings().state_dir / "alerts.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    told = [json.loads(line) for line in lines]
    return by_event([(t["status"], t["step"], t["message"].partition(":")[0]) for t in told])


def by_event(told: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """Notices that end several incidents of one success come in any order."""
    runs: list[list[tuple[str, str, str]]] = []
    for one in told:
        if runs and one[0] == "resolved" and runs[-1][-1][:2] == one[:2]:
            runs[-1].append(one)
        else:
            runs.append([one])
    return [one for run in runs for one in sorted(run)]
