"""A real mail server and a real webhook on loopback, which keep what they receive."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session


class Mailbox:
    """
    What a mail server received.

    :ivar is_down: whether it refuses mails.
    """

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.is_down = False
        self.port = 0

    @property
    def connection(self) -> str:
        """The Airflow connection, as JSON."""
        extra = {"from_email": "airflow@example.com", "disable_ssl": True, "disable_tls": True, "retry_limit": 0}
        return json.dumps({"conn_type": "smtp", "host": "127.0.0.1", "port": self.port, "extra": extra})

    @property
    def subjects(self) -> list[str]:
        return [str(mail["Subject"]) for mail in self.mails]

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        if self.is_down:
            return "451 4.3.0 come back later"
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        mail["X-Recipients"] = ", ".join(envelope.rcpt_tos)
        self.mails.append(mail)
        return "250 OK"


@contextmanager
def mail_server() -> Iterator[Mailbox]:
    mailbox = Mailbox()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        mailbox.port = probe.getsockname()[1]
    controller = Controller(mailbox, hostname="127.0.0.1", port=mailbox.port, ready_timeout=60)
    controller.start()
    try:
        yield mailbox
    finally:
        controller.stop()


class Webhook:
    """
    What a webhook received.

    :ivar is_down: whether it answers 503.
    :ivar posts: path and JSON of each accepted POST.
    :ivar raw: headers, with names in lower case, and body of each POST, also of refused ones.
    :ivar asked: the number of all POSTs.
    """

    def __init__(self) -> None:
        self.posts: list[tuple[str, dict[str, Any]]] = []
        self.raw: list[tuple[dict[str, str], bytes]] = []
        self.asked = 0
        self.is_down = False
        self.port = 0

    @property
    def connection(self) -> str:
        """The Airflow connection, as JSON."""
        return self.connection_with()

    def connection_with(self, **fields: Any) -> str:
        """Return the Airflow connection with further fields, as JSON."""
        return json.dumps({"conn_type": "http", "host": "127.0.0.1", "port": self.port, "schema": "http", **fields})

    def apprise_connection(self, *services: tuple[str, str]) -> str:
        """
        Return an Airflow connection for Apprise, as JSON.

        :param services: tag and path of each service, which gets its messages here.
        """
        config = [{"path": f"json://127.0.0.1:{self.port}/{path}", "tag": tag} for tag, path in services]
        return json.dumps({"conn_type": "apprise", "extra": {"config": config}})

    @property
    def slack_connection(self) -> str:
        """The webhook as an Airflow connection to Slack, as JSON."""
        extra = {"base_url": f"http://127.0.0.1:{self.port}/"}
        return json.dumps({"conn_type": "slack", "password": "xoxb-of-the-tests", "extra": extra})

    @property
    def subjects(self) -> list[str]:
        return [content["subject"] for _, content in self.posts]


@contextmanager
def webhook_server() -> Iterator[Webhook]:
    webhook = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            webhook.asked += 1
            webhook.raw.append(({name.lower(): value for name, value in self.headers.items()}, body))
            if not webhook.is_down:
                webhook.posts.append((self.path, json.loads(body)))
            answer = b'{"ok": true}'
            self.send_response(503 if webhook.is_down else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        webhook.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield webhook
        finally:
            server.shutdown()
            thread.join()
