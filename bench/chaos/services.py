"""The services that fail: one HTTP address whose metrics say which of them is bad."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Services:
    """`since` and `ended` say when each one failed and recovered (seconds since 1970); `mute`: scrapes get a 503."""

    def __init__(self, count: int) -> None:
        self.names = [f"svc-{n}" for n in range(count)]
        self.since: dict[str, float] = {}
        self.ended: dict[str, float] = {}
        self.mute = False
        self.scrapes = 0
        services = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = services.page().encode()
                services.scrapes += 1
                self.send_response(503 if services.mute else 200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                return None

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_address[1]}"

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield
        finally:
            self._server.shutdown()
            self._server.server_close()

    def page(self) -> str:
        lines = ["# TYPE service_bad gauge"]
        lines += [f'service_bad{{service="{name}"}} {int(self.bad(name))}' for name in self.names]
        return "\n".join(lines) + "\n"

    def bad(self, name: str) -> bool:
        return name in self.since and name not in self.ended

    def fail(self, names: list[str]) -> None:
        self.since.update({name: time.time() for name in names if name not in self.since})

    def recover(self) -> None:
        self.ended.update({name: time.time() for name in self.since if name not in self.ended})
