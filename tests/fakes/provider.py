"""A fake provider: a real HTTP server that checks every request against the provider's contract and misbehaves on script.

    with FakeSlack() as slack:
        slack.script("429", retry_after=2, times=3)
        ... slack.url, slack.accepted, slack.broken

As a process: `python -m tests.fakes.slack --port 9001`; then GET /_log answers everything seen, POST /_script takes
`{"do": "500", "times": 2}`, POST /_reset forgets.
"""

from __future__ import annotations

import argparse
import json
import socket
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

MISBEHAVIOURS = ("429", "500", "503", "hang", "drop", "accept_then_die", "garbage", "redirect")


@dataclass
class Seen:
    """One request as it came in, and what was answered (0 = nothing)."""

    method: str
    path: str
    headers: dict[str, str]
    body: str
    at_s: float
    status: int = 0
    broken: str = ""
    """Why the request breaks the provider's contract; empty = it is right."""
    accepted: bool = False
    parsed: Any = None


@dataclass
class Answer:
    status: int
    body: bytes | str = b""
    headers: dict[str, str] = field(default_factory=dict)
    parsed: Any = None


class Broken(Exception):
    """The request breaks the contract; answered as the provider would."""

    def __init__(self, why: str, answer: Answer) -> None:
        super().__init__(why)
        self.answer = answer


class Provider:
    """Subclasses say `name` and `handle(seen) -> Answer`, raising Broken."""

    name = "provider"

    def __init__(self, *, port: int = 0, hang_s: float = 30.0) -> None:
        self.seen: list[Seen] = []
        self._script: deque[dict[str, Any]] = deque()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self.hang_s = hang_s
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 60

            def do_POST(self) -> None:
                provider.serve(self)

            do_GET = do_PUT = do_PATCH = do_DELETE = do_POST

            def log_message(self, *_: Any) -> None:
                return None

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    # -- life --

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()

    # -- what tests ask --

    def script(self, do: str, *, times: int = 1, **more: Any) -> None:
        """Misbehave so for the next `times` requests."""
        assert do in MISBEHAVIOURS, do
        with self._lock:
            self._script.extend({"do": do, **more} for _ in range(times))

    @property
    def accepted(self) -> list[Seen]:
        return [seen for seen in self.seen if seen.accepted]

    @property
    def broken(self) -> list[str]:
        return [seen.broken for seen in self.seen if seen.broken]

    # -- serving --

    def handle(self, seen: Seen) -> Answer:
        raise NotImplementedError

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers.get("Content-Length") or 0)
        body = handler.rfile.read(length)
        if handler.path.startswith("/_"):
            self._control(handler, body)
            return
        headers = {name.lower(): value for name, value in handler.headers.items()}
        seen = Seen(handler.command, handler.path, headers, body.decode(errors="replace"), time.time())
        with self._lock:
            self.seen.append(seen)
            act = self._script.popleft() if self._script else None
        if act is not None and self._misbehave(handler, seen, act):
            return
        self._reply(handler, seen, self._judge(seen))

    def _judge(self, seen: Seen) -> Answer:
        try:
            answer = self.handle(seen)
        except Broken as error:
            seen.broken = f"{self.name}: {error}"
            return error.answer
        seen.accepted = 200 <= answer.status < 300
        seen.parsed = answer.parsed
        return answer

    def _misbehave(self, handler: BaseHTTPRequestHandler, seen: Seen, act: dict[str, Any]) -> bool:
        do = act["do"]
        if do == "429":
            self._reply(handler, seen, Answer(429, b"rate_limited", {"Retry-After": str(act.get("retry_after", 1))}))
        elif do in ("500", "503"):
            self._reply(handler, seen, Answer(int(do), b"internal_error"))
        elif do == "garbage":
            self._reply(handler, seen, Answer(200, b"<html><body>Please sign in to the guest network</body></html>"))
        elif do == "redirect":
            self._reply(handler, seen, Answer(302, b"", {"Location": act.get("to", "http://other.invalid/")}))
        elif do == "hang":
            self._over.wait(float(act.get("seconds", self.hang_s)))
            self._drop(handler)
        elif do == "drop":
            self._drop(handler)
        elif do == "accept_then_die":
            self._judge(seen)
            self._drop(handler)
        return True

    def _drop(self, handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        try:
            handler.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def _reply(self, handler: BaseHTTPRequestHandler, seen: Seen | None, answer: Answer) -> None:
        body = answer.body.encode() if isinstance(answer.body, str) else answer.body
        if seen is not None:
            seen.status = answer.status
        try:
            handler.send_response(answer.status)
            for name, value in answer.headers.items():
                handler.send_header(name, value)
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)
        except OSError:
            pass

    def _control(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        if handler.path == "/_log":
            self._reply(handler, None, _json({"seen": [asdict(seen) for seen in self.seen]}))
        elif handler.path == "/_script":
            act = json.loads(body)
            self.script(act.pop("do"), times=act.pop("times", 1), **act)
            self._reply(handler, None, _json({}))
        elif handler.path == "/_reset":
            with self._lock:
                self.seen.clear()
                self._script.clear()
            self._reply(handler, None, _json({}))
        else:
            self._reply(handler, None, Answer(404))


def _json(value: Any) -> Answer:
    return Answer(200, json.dumps(value), {"Content-Type": "application/json"})


def json_answer(status: int, value: Any, *, parsed: Any = None) -> Answer:
    return Answer(status, json.dumps(value), {"Content-Type": "application/json"}, parsed)


def json_body(seen: Seen) -> Any:
    """The request's JSON; a broken one breaks every contract."""
    if "application/json" not in seen.headers.get("content-type", ""):
        raise Broken("Content-Type is not application/json", Answer(400, b"invalid_content_type"))
    try:
        return json.loads(seen.body)
    except ValueError:
        raise Broken("the body is not JSON", Answer(400, b"invalid_json")) from None


def main(provider: type[Provider], arguments: Sequence[str] | None = None) -> None:
    """Run one fake as a process until it is ended; prints its address first."""
    parser = argparse.ArgumentParser(description=provider.__doc__)
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args(arguments)
    with provider(port=options.port) as server:
        print(server.url, flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            pass
