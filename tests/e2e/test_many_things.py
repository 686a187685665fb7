"""Two thousand checks and two hundred services: what is wrong is in sight, typing narrows it, the healthy are one number."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from playwright.sync_api import expect

SERVICES, EACH = 200, 10
BROKEN = {f"payments-{n:03d}-0" for n in range(0, SERVICES, 40)} | {f"search-{n:03d}-0" for n in range(20, SERVICES, 40)}


@pytest.fixture
def target() -> Iterator[str]:
    """Answers 503 at addresses of what is broken, 200 elsewhere."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(503 if self.path.startswith("/broken") else 200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def configuration(target: str) -> str:
    """JSON is YAML, and two thousand checks of it are read at once."""
    checks = []
    for number in range(SERVICES):
        kind = ("payments", "search", "web", "data")[number % 40 // 20 if number % 20 == 0 else 2 + number % 2]
        for one in range(EACH):
            name = f"{kind}-{number:03d}-{one}"
            broken = name in BROKEN
            checks.append(
                {
                    "name": name,
                    "http": f"{target}/{'broken' if broken else 'fine'}/{name}",
                    "every": "5s" if broken else "10m",
                    "labels": {"service": f"{kind}-{number:03d}"},
                    **({"alert": {"severity": "critical"}} if broken else {}),
                }
            )
    return json.dumps({"checks": checks})


def test_what_is_wrong_is_found_among_two_thousand_checks(start_tocsin: Any, open_browser: Any, noise: Any, target: str) -> None:
    tocsin = start_tocsin(configuration(target))
    page = open_browser(tocsin)
    problems = page.get_by_role("region", name="Problems")
    expect(problems).to_be_visible(timeout=40_000)
    rows = problems.locator("[data-row]")
    for name in sorted(BROKEN):
        expect(rows.filter(has_text=name)).not_to_have_count(0, timeout=40_000)

    box = page.get_by_label("Filter problems")
    box.press_sequentially("pay")
    expect(rows.filter(has_text="search-")).to_have_count(0)
    expect(rows.filter(has_text="payments-040-0")).not_to_have_count(0)
    expect(page).to_have_url(tocsin.url + "/?q=pay")
    box.fill("there is no such thing")
    expect(problems).to_contain_text("No problem matches.")
    problems.get_by_role("button", name="Clear the filter").click()
    expect(rows.filter(has_text="search-020-0")).not_to_have_count(0)

    # The healthy are counted as the server's own list of checks counts them: by then both must say the same.
    healthy = page.locator("details.healthy summary")
    expect(healthy).to_contain_text(f"of {SERVICES} services")
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        checks = page.request.get(tocsin.url + "/api/tocsin/v1/checks").json()["checks"]
        up = sum(one["state"] == "up" for one in checks)
        if f"{up} of {SERVICES * EACH} checks up" in healthy.inner_text():
            break
        page.wait_for_timeout(200)
    assert len(checks) == SERVICES * EACH
    expect(healthy).to_contain_text(f"of {SERVICES * EACH} checks up")
    assert up > 0
    assert noise.lines == []
