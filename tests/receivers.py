"""Servers that take alerts, real ones on this machine: a webhook, and mail with STARTTLS and login."""

from __future__ import annotations

import json
import socketserver
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from threading import Thread
from typing import Any


@dataclass
class Webhook:
    """What was posted, and what is answered."""

    url: str = ""
    status: int = 200
    posts: list[dict[str, Any]] = field(default_factory=list)
    other: list[str] = field(default_factory=list)


@dataclass
class Mailbox:
    """The mails that came, and what was said on the way."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    commands: list[tuple[str, bool]] = field(default_factory=list)
    refuses: bool = False


@contextmanager
def webhook() -> Iterator[Webhook]:
    """A server that keeps what is posted to it."""
    received = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if received.status == 200:
                received.posts.append(json.loads(body))
            self.send_response(received.status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            received.other.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Not into the test's output."""

    with _serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        received.url = f"http://127.0.0.1:{port}/hook/a-token"
        yield received


class _MailServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, box: Mailbox, tls: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), _MailHandler)
        self.box = box
        self.tls = tls

    def handle_error(self, *_: Any) -> None:
        """A client that does not trust our certificate hangs up."""


class _MailHandler(socketserver.StreamRequestHandler):
    server: _MailServer
    encrypted = False

    def handle(self) -> None:
        self.say("220 here")
        while line := self.rfile.readline():
            command = line.decode().strip()
            self.server.box.commands.append((command, self.encrypted))
            if command == "QUIT":
                self.say("221 bye")
                return
            self.answer(command.split(" ")[0].upper())

    def say(self, *lines: str) -> None:
        for place, line in enumerate(lines):
            code, _, rest = line.partition(" ")
            last = place == len(lines) - 1
            self.wfile.write(f"{code}{' ' if last else '-'}{rest}\r\n".encode())

    def answer(self, verb: str) -> None:
        if verb == "EHLO":
            self.say("250 here", *(["250 AUTH PLAIN"] if self.encrypted else []), "250 STARTTLS")
        elif verb == "STARTTLS":
            self.say("220 go on")
            self.connection = self.server.tls.wrap_socket(self.connection, server_side=True)
            self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", buffering=0)
            self.encrypted = True
        elif verb == "AUTH":
            self.say("535 wrong" if self.server.box.refuses else "235 welcome")
        elif verb == "DATA":
            self.say("354 go on")
            lines = list(iter(self.rfile.readline, b".\r\n"))
            self.server.box.mails.append(message_from_bytes(b"".join(lines), policy=policy.default))
            self.say("250 taken")
        else:
            self.say("250 fine")


@contextmanager
def mailbox(certificate: Path | None = None) -> Iterator[Mailbox]:
    """A mail server; with a certificate (and its key in the same file) it can STARTTLS, and then asks for a login."""
    box = Mailbox()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if certificate:
        tls.load_cert_chain(certificate)
    with _serving(_MailServer(box, tls)) as port:
        box.port = port
        yield box


@contextmanager
def _serving(server: socketserver.BaseServer) -> Iterator[int]:
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def make_certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1 that signs itself, with its key in the same file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mail of a test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = folder / "mail.pem"
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + private)
    return file
