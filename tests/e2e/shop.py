"""A shop that serves pages and metrics, and fails on command: watched by the browser tests and in the pictures of the docs."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

BUCKETS = ("0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "5.0", "+Inf")
ROUTES = {"/": 40.0, "/search": 20.0, "/cart": 8.0, "/pay": 6.0}  # requests a second


class Shop:
    """Counters run by the clock, as if people were buying; `fail()` breaks /pay and the health page."""

    def __init__(self) -> None:
        shop = self
        self.began = time.monotonic()
        self.failed_at: float | None = None

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                metrics = self.path == "/metrics"
                self.send_response(503 if shop.failed_at and self.path == "/health" else 200)
                self.send_header("content-type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(shop.exposition().encode() if metrics else b"pool exhausted" if shop.failed_at else b"fine")

            def log_message(self, *_args: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    def fail(self) -> None:
        self.failed_at = time.monotonic()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def exposition(self) -> str:
        lines = ["# TYPE http_server_request_duration_seconds histogram"]
        now = time.monotonic()
        for route, rate in ROUTES.items():
            broken = now - self.failed_at if self.failed_at and route == "/pay" else 0.0
            served = rate * (now - self.began)
            lines += _histogram(route, "200", served - 0.6 * rate * broken, slow=0.02)
            lines += _histogram(route, "500", 0.002 * served + 0.6 * rate * broken, slow=0.8)
        return "\n".join(lines) + "\n"


def _histogram(route: str, status: str, count: float, *, slow: float) -> list[str]:
    """`slow` is the share of answers between 1 and 2.5 s; the others spread below a quarter of a second."""
    below = {"0.05": 0.35, "0.1": 0.7, "0.25": 0.95, "0.5": 1.0, "1.0": 1.0}
    labels = f'service="shop",http_request_method="GET",http_route="{route}",http_response_status_code="{status}"'
    name = "http_server_request_duration_seconds"
    rows = []
    for edge in BUCKETS:
        share = below[edge] * (1 - slow) if edge in below else 1.0
        rows.append(f'{name}_bucket{{{labels},le="{edge}"}} {count * share:.1f}')
    return [*rows, f"{name}_count{{{labels}}} {count:.1f}", f"{name}_sum{{{labels}}} {count * (0.09 + slow * 1.6):.1f}"]
