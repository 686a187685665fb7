"""Fake mail server on aiosmtpd: keeps every mail and refuses on script. `python -m tests.fakes.mail --port N [--http-port M]`.

As a process it also answers GET /_log (mails as JSON) and POST /_script ({"do": "421", "times": 2}) on the HTTP port.
"""

from __future__ import annotations

import argparse
import json
import socket
import threading
import time
from collections import deque
from email import message_from_bytes
from email.message import Message
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session


class FakeMail:
    """`mails` holds what was taken, `broken` what breaks the contract. `script("421")` refuses the next DATA."""

    def __init__(self, *, port: int = 0) -> None:
        self.mails: list[dict[str, Any]] = []
        self.broken: list[str] = []
        self._script: deque[str] = deque()
        self.port = port or _free_port()
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()

    def script(self, do: str, *, times: int = 1) -> None:
        """`do` is a reply such as "421", "550", or "accept_then_die", "drop"."""
        self._script.extend([do] * times)

    def next_act(self) -> str:
        """What happens to the message that comes now; empty = it is taken."""
        return self._script.popleft() if self._script else ""

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        act = self.next_act()
        if act == "drop" and server.transport is not None:
            server.transport.abort()
            return "451 dropped"
        if act and act != "accept_then_die":
            return f"{act} refused on script"
        raw = envelope.content if isinstance(envelope.content, bytes) else (envelope.content or "").encode()
        parsed = message_from_bytes(raw, policy=default)
        if problem := check_mail(parsed, list(envelope.rcpt_tos)):
            self.broken.append(problem)
        self.mails.append(
            {
                "at_s": time.time(),
                "recipients": list(envelope.rcpt_tos),
                "sender": envelope.mail_from,
                "subject": str(parsed["Subject"]),
                "message_id": str(parsed["Message-ID"]),
                "text": _part(parsed, "text/plain"),
                "html": _part(parsed, "text/html"),
                "headers": {name: str(value) for name, value in parsed.items()},
            }
        )
        if act == "accept_then_die" and server.transport is not None:
            server.transport.abort()
        return "250 2.0.0 queued"


def check_mail(mail: Message, recipients: list[str]) -> str:
    """Why this mail breaks our own contract, or empty."""
    for name in ("Message-ID", "Subject", "From", "To"):
        if len(mail.get_all(name, [])) != 1:
            return f"not exactly one {name}"
    if len(recipients) != 1:
        return "more than one recipient"
    if mail["Auto-Submitted"] != "auto-generated":
        return "not marked as auto-generated"
    if "List-Unsubscribe" in mail and mail["Precedence"] != "bulk":  # what visitors of a status page get is no page
        return "a page must not be unsubscribed by a scanner"
    if {part.get_content_type() for part in mail.walk()} < {"text/plain", "text/html"}:
        return "not both text and HTML"
    return "larger than 50 KB" if len(mail.as_bytes()) > 50_000 else ""


def _part(mail: Message, kind: str) -> str:
    for part in mail.walk():
        if part.get_content_type() == kind:
            return str(part.get_content())  # type: ignore[attr-defined]
    return ""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--http-port", type=int, default=0)
    options = parser.parse_args()
    with FakeMail(port=options.port) as fake:

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._json({"mails": fake.mails, "broken": fake.broken})

            def do_POST(self) -> None:
                act = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
                if self.path == "/_reset":
                    fake.mails.clear()
                else:
                    fake.script(act["do"], times=act.get("times", 1))
                self._json({})

            def _json(self, value: Any) -> None:
                body = json.dumps(value).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                return None

        server = ThreadingHTTPServer(("127.0.0.1", options.http_port), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(f"smtp://127.0.0.1:{fake.port} http://127.0.0.1:{server.server_address[1]}", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
