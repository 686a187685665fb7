"""Real local servers for tests of the whole program: a service to watch, a mail server, a chat that checks what it is sent."""

from __future__ import annotations

import email
import email.policy
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller

_METRICS = """# HELP shop_orders_total Orders.
# TYPE shop_orders_total counter
shop_orders_total{kind="paid"} 7
"""


class Service:
    """An HTTP service that can be stopped and started on the same port."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._server: ThreadingHTTPServer | None = None
        self.start()

    def start(self) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                metrics = self.path == "/metrics"
                body = (_METRICS if metrics else "ok: the shop is open\n").encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4" if metrics else "text/plain")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        ThreadingHTTPServer.allow_reuse_address = True
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


@dataclass
class Mail:
    """A mail server that keeps what it takes."""

    port: int
    messages: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        outer = self

        class Handler:
            async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
                message = email.message_from_bytes(envelope.content, policy=email.policy.default)
                assert isinstance(message, EmailMessage)
                outer.messages.append(message)
                outer.recipients += envelope.rcpt_tos
                return "250 2.0.0 taken"

        self._controller = Controller(Handler(), hostname="127.0.0.1", port=self.port)
        self._controller.start()

    def subjects(self) -> list[str]:
        return [str(message["Subject"]) for message in self.messages]

    def stop(self) -> None:
        self._controller.stop()


class Chat:
    """Slack's incoming webhook: answers `ok` only to what Slack would take."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}/services/T0/B0/secret"
        self.messages: list[dict[str, Any]] = []
        self.problems: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                problem = refusal(body, self.headers.get("Content-Type", ""))
                if problem:
                    outer.problems.append(problem)
                else:
                    outer.messages.append(json.loads(body))
                self.send_response(400 if problem else 200)
                self.end_headers()
                self.wfile.write(problem.encode() if problem else b"ok")

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def texts(self) -> list[str]:
        return [json.dumps(message) for message in self.messages]

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def refusal(body: bytes, content_type: str) -> str:
    """Slack's documented limits; empty = it would be taken."""
    if not content_type.startswith("application/json"):
        return "invalid_payload: content type"
    message = json.loads(body)
    blocks = message.get("blocks", [])
    checks: list[tuple[Callable[[], bool], str]] = [
        (lambda: bool(message.get("text") or blocks), "no_text"),
        (lambda: len(blocks) <= 50, "too many blocks"),
        (lambda: all(len(b["text"]["text"]) <= 150 for b in blocks if b["type"] == "header"), "header over 150"),
        (lambda: all(1 <= len(b["text"]["text"]) <= 3000 for b in blocks if b["type"] == "section"), "section over 3000"),
        (lambda: all(len(b["elements"]) <= 25 for b in blocks if b["type"] == "actions"), "too many actions"),
        (lambda: "<!channel>" not in json.dumps(message), "mentions everybody"),
    ]
    return next((text for ok, text in checks if not ok()), "")
