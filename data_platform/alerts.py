"""Alerts: what a person on call is told, and the channels that carry it.

Light, so that Airflow's processes can import it: the standard library and the settings. The log is always a channel; a
webhook and mail are, where they are set up. A channel that is down hides no other, and never fails what reported.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import smtplib
import ssl
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Any, Literal, Protocol
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from data_platform.privacy import MASK
from data_platform.settings import Settings, get_settings

log = logging.getLogger(__name__)

Status = Literal["open", "resolved", "test"]
Severity = Literal["error", "warning"]
DEADLINE = "deadline"  # the kind of a run that is late
TIMEOUT_S = 10
LONGEST_MESSAGE = 2_000
KEY_HEX = 16

EXAMPLE = re.compile(r"^\s*example:")
# Messages name no persons; should one quote a value all the same, it goes no further than the log.
PERSONAL = re.compile(
    r"[^\s@]+@[^\s@]+\.[^\s@]+"  # e-mail, with what adheres to it
    r"|\+\d(?:[ ()/.-]*\d){7,}"  # international telephone number
    r"|\b(?!\d{4}-\d\d-\d\d)\d(?:[ -]?\d){12,18}\b"  # payment card; two days side by side are none
)
# What differs between two occurrences of one thing: run ids, hashes, numbers. Days and file names tell things apart.
VARYING = re.compile(r"\d{8}t\d{6}_[0-9a-f]{6}|\b(?=\w*\d)[0-9a-f]{9,}\b|(?<![\w./-])\d+(?:[.,]\d+)*(?![\w/-])")


def fit_to_send(message: str) -> str:
    """A message as it may leave the house: without rows of data, personal values masked, of bounded length."""
    lines = [line for line in message.strip().splitlines() if not EXAMPLE.match(line)]
    text = PERSONAL.sub(MASK, "\n".join(lines))
    return text if len(text) <= LONGEST_MESSAGE else f"{text[:LONGEST_MESSAGE]} …"


@dataclass(frozen=True)
class Alert:
    """What has failed.

    Args:
        dag: the DAG; its name and the step's are Airflow's.
        step: the task; empty where the run as a whole is meant.
        run_id: Airflow's run.
        kind: of the failure: permanent, transient, gate, budget; deadline; lost or unknown where nobody said.
        message: what is wrong. It is made fit to send here, so that no alert can hold more.
        runbook: name of a file in docs/runbooks, without ``.md``.
        log_url: the task's log in Airflow.
        severity: ``warning`` where consumers have all but what is named.
        status: ``resolved`` ends what ``open`` began.
    """

    dag: str
    step: str
    run_id: str
    kind: str
    message: str
    runbook: str
    log_url: str = ""
    severity: Severity = "error"
    status: Status = "open"

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", fit_to_send(self.message))

    @property
    def incident_key(self) -> str:
        """Equal for alerts of the same incident. A deadline is missed anew by each run."""
        same = self.run_id if self.kind == DEADLINE else VARYING.sub("#", self.message.lower())
        text = json.dumps([self.dag, self.step, self.kind, same])
        return hashlib.sha256(text.encode()).hexdigest()[:KEY_HEX]

    @property
    def title(self) -> str:
        """One line: what, and what became of it."""
        what = f"{self.dag}.{self.step}" if self.step else self.dag
        if self.status != "open":
            return f"{self.status}: {what}"
        return f"{what} missed its deadline" if self.kind == DEADLINE else f"{what} failed ({self.kind})"

    @property
    def runbook_link(self) -> str:
        """Where to read what to do."""
        return f"{get_settings().runbooks_url.rstrip('/') or 'docs/runbooks'}/{self.runbook}.md"

    def text(self) -> str:
        """For people."""
        facts = {"run": self.run_id, "runbook": self.runbook_link, "log": self.log_url, "incident": self.incident_key}
        return "\n".join([self.title, self.message, "", *(f"{name}: {fact}" for name, fact in facts.items() if fact)])

    def document(self) -> dict[str, Any]:
        """For programs; ``text`` is the field that chat systems show."""
        return {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "title": self.title,
            **asdict(self),
            "runbook": self.runbook_link,
            "incident_key": self.incident_key,
            "text": self.text(),
        }


class Channel(Protocol):
    """A way to people."""

    name: str

    def deliver(self, alert: Alert) -> str:
        """Hands the alert over and returns what the other side said; raises whatever went wrong."""
        ...


class LogChannel:
    """The process's log, and a line in ``STATE_DIR/alerts.jsonl`` for whatever forwards it."""

    name = "log"

    def __init__(self, settings: Settings) -> None:
        self._path = settings.state_dir / "alerts.jsonl"

    def deliver(self, alert: Alert) -> str:
        levels = {"error": logging.ERROR, "warning": logging.WARNING}
        log.log(levels[alert.severity] if alert.status == "open" else logging.INFO, "%s", alert.text())
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(alert.document(), ensure_ascii=False) + "\n")
        return str(self._path)


class _NoRedirect(HTTPRedirectHandler):
    """Following a redirection, urllib would turn the POST into a GET, and take the answer for a success."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class WebhookChannel:
    """POSTs the alert as JSON."""

    name = "webhook"

    def __init__(self, settings: Settings) -> None:
        self._url = settings.alert_webhook_url

    def deliver(self, alert: Alert) -> str:
        request = Request(  # noqa: S310 - the settings allow http and https only
            self._url.get_secret_value(),
            data=json.dumps(alert.document(), ensure_ascii=False).encode(),
            headers={"Content-Type": "application/json", "User-Agent": "data-platform"},
            method="POST",
        )
        with build_opener(_NoRedirect).open(request, timeout=TIMEOUT_S) as answer:
            return f"HTTP {answer.status}"


class SmtpChannel:
    """Sends the alert as a mail."""

    name = "smtp"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._receivers = [one.strip() for one in settings.alert_email_to.split(",") if one.strip()]

    def deliver(self, alert: Alert) -> str:
        settings = self._settings
        with self._connect() as server:
            if settings.alert_smtp_user:
                server.login(settings.alert_smtp_user, settings.alert_smtp_password.get_secret_value())
            refused = server.send_message(self._mail(alert))
        return f"accepted for {len(self._receivers) - len(refused)} of {len(self._receivers)} receivers"

    def _connect(self) -> smtplib.SMTP:
        address = urlsplit(self._settings.alert_smtp_url)
        host, port = address.hostname or "", address.port or 0
        context = ssl.create_default_context()
        if address.scheme == "smtps":
            return smtplib.SMTP_SSL(host, port, timeout=TIMEOUT_S, context=context)
        server = smtplib.SMTP(host, port, timeout=TIMEOUT_S)
        if self._settings.alert_smtp_starttls:
            try:
                server.starttls(context=context)
            except BaseException:
                server.close()
                raise
        return server

    def _mail(self, alert: Alert) -> EmailMessage:
        mail = EmailMessage()
        mail["Subject"] = f"[{alert.severity}] {alert.title}" if alert.status == "open" else alert.title
        mail["From"] = self._settings.alert_email_from
        mail["To"] = self._receivers
        mail["Date"] = formatdate()
        mail["Message-ID"] = make_msgid(domain=self._settings.alert_email_from.rpartition("@")[2])
        mail.set_content(alert.text())
        return mail


def channels(settings: Settings) -> list[Channel]:
    """The channels that are set up, the log first."""
    optional: list[tuple[bool, Callable[[Settings], Channel]]] = [
        (bool(settings.alert_webhook_url.get_secret_value()), WebhookChannel),
        (bool(settings.alert_smtp_url), SmtpChannel),
    ]
    return [LogChannel(settings), *(make(settings) for is_set_up, make in optional if is_set_up)]


@dataclass(frozen=True)
class Delivery:
    """What came of an alert on one channel."""

    channel: str
    delivered: bool
    said: str


def send(alert: Alert) -> list[Delivery]:
    """Sends an alert by every channel; one that fails is logged, without its address."""
    done = []
    for channel in channels(get_settings()):
        try:
            done.append(Delivery(channel.name, True, channel.deliver(alert)))
        except Exception as error:  # noqa: BLE001 - whatever a channel does, the others get the alert
            done.append(Delivery(channel.name, False, _reason(error)))
            log.warning("the alert %r did not go out by %s: %s", alert.title, channel.name, done[-1].said)
    return done


def has_reached_somebody(deliveries: list[Delivery]) -> bool:
    """Whether a channel took it that comes to people; where none is set up, the log has to do."""
    others = [one for one in deliveries if one.channel != LogChannel.name]
    return any(one.delivered for one in others or deliveries)


def _reason(error: Exception) -> str:
    """Why a channel failed, in words that hold neither address nor password: many errors quote what they were given."""
    if isinstance(error, HTTPError):
        return f"HTTP {error.code}"
    if isinstance(error, URLError) and isinstance(error.reason, OSError):
        error = error.reason
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{type(error).__name__} {error.smtp_code}"
    if isinstance(error, OSError) and error.strerror:
        return f"{type(error).__name__}: {error.strerror}"
    return type(error).__name__


def report_failure(alert: Alert) -> None:
    """Sends the alert, unless somebody was told of the same incident and it is still open."""
    from data_platform import incidents  # the warehouse's driver is loaded when something failed, not with each DAG

    incidents.report_failure(alert)


def report_success(dag: str, step: str) -> None:
    """Ends the incidents of a step that succeeded, or with an empty step those of the run as a whole; tells so once."""
    from data_platform import incidents

    incidents.report_success(dag, step)
