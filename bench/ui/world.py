"""What the dashboard is measured on: 2,000 checks of 200 services, 50,000 metric names, a board of 24 panels, alerts at once."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

SERVICES, EACH, NAMES, PANELS = 200, 10, 50_000, 24
BROKEN_EVERY = 20
"""The first check of every so-manieth service is broken."""
FLIPPED = "flipped"
LATENCY = "http_request_duration_seconds"


class Target:
    """What is checked and scraped: 200 or, for broken checks, 503; metrics under 50,000 names."""

    def __init__(self) -> None:
        target = self
        self.flipped_down = False
        self._names = "".join(f"bench_metric_{number:05d}_total {number}\n" for number in range(NAMES - 3)).encode()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                down = self.path.startswith("/broken") or (self.path.startswith("/" + FLIPPED) and target.flipped_down)
                body = target.exposition() if self.path == "/metrics" else b""
                self.send_response(503 if down else 200)
                self.send_header("content-type", "text/plain; version=0.0.4")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_args: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    def exposition(self) -> bytes:
        count = time.monotonic() * 10
        rows = [
            f'{LATENCY}_bucket{{le="{edge}"}} {count * share:.1f}' for edge, share in (("0.1", 0.9), ("1", 0.99), ("+Inf", 1))
        ]
        rows += [f"{LATENCY}_count {count:.1f}", f"{LATENCY}_sum {count / 20:.1f}"]
        return "\n".join(rows).encode() + b"\n" + self._names

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def write_configuration(folder: Path, address: str) -> Path:
    """tocsin.yaml (JSON is YAML) and the board of 24 panels beside it."""
    checks: list[dict[str, Any]] = []
    for number in range(SERVICES):
        service = f"{('payments', 'search', 'web', 'data')[number // BROKEN_EVERY % 4]}-{number:03d}"
        for one in range(EACH):
            broken = number % BROKEN_EVERY == 0 and one == 0
            name = f"{service}-{one}"
            url = f"http://{address}/{'broken' if broken else 'fine'}/{name}"
            checks.append({"name": name, "http": url, "every": "10s" if broken else "2m", "labels": {"service": service}})
    checks[-1] = {"name": FLIPPED, "http": f"http://{address}/{FLIPPED}", "every": "5s", "labels": {"service": "data-199"}}
    jobs = [{"job_name": "names", "scrape_interval": "15s", "static_configs": [{"targets": [address]}]}]
    (folder / "board.yaml").write_text(json.dumps(board()))
    config = {"checks": checks, "scrape_configs": jobs, "dashboard_files": ["board.yaml"]}
    (folder / "tocsin.yaml").write_text(json.dumps(config))
    return folder / "tocsin.yaml"


def board() -> dict[str, Any]:
    """24 graphs over six hours. The store is minutes old: before that their lines lie at zero, for each panel to have one."""
    asked = ("tocsin_process_resident_bytes", f"rate({LATENCY}_count[1m])", "node_load1", "up")
    panels = [
        {"title": f"Panel {number}", "queries": {"{{instance}}": f"sum({asked[number % len(asked)]}) or vector(0)"}}
        for number in range(PANELS)
    ]
    return {"name": "bench", "title": "Bench", "sections": [{"title": "All", "panels": panels}]}


def fire(url: str, token: str, names: list[str]) -> float:
    """Post alerts as Prometheus would; when Tocsin had taken them, by `time.time()`."""
    alerts = [
        {"labels": {"alertname": name, "severity": "critical", "service": "shop"}, "annotations": {"summary": "it burns"}}
        for name in names
    ]
    headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
    request = urllib.request.Request(url + "/api/v2/alerts", json.dumps(alerts).encode(), headers)
    with urllib.request.urlopen(request, timeout=60):
        return time.time()
