"""Fifty thousand metric names: the one that is meant is completed, drawn, and made an alert whose firings are counted."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from playwright.sync_api import expect

NAMES = 50_000
SCRAPE = 'scrape_configs: [{{job_name: many, scrape_interval: 5s, static_configs: [{{targets: ["{address}"]}}]}}]\n'


@pytest.fixture
def many() -> Iterator[str]:
    """An exposition with a histogram among 50,000 counters; yields its address."""
    counters = "".join(f"some_metric_{number:05d}_total {number}\n" for number in range(NAMES)).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            count = time.monotonic() * 100
            edges = (("0.1", 0.5), ("0.5", 0.9), ("1", 0.99), ("+Inf", 1.0))
            buckets = "".join(f'http_request_duration_seconds_bucket{{le="{le}"}} {count * share:.1f}\n' for le, share in edges)
            body = buckets.encode() + counters
            self.send_response(200)
            self.send_header("content-type", "text/plain; version=0.0.4")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_the_metric_that_is_meant_is_found_drawn_and_made_an_alert(
    start_tocsin: Any, open_browser: Any, many: str, noise: Any
) -> None:
    tocsin = start_tocsin(SCRAPE.format(address=many))
    page = open_browser(tocsin)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        names = page.request.get(tocsin.url + "/api/v1/label/__name__/values?limit=0").json()["data"]
        if len(names) > NAMES:
            break
        page.wait_for_timeout(500)
    assert len(names) > NAMES

    page.goto(tocsin.url + "/explore?from=now-5m")
    expect(page.locator(".cm-content")).to_be_visible()
    box = page.get_by_role("textbox", name="PromQL expression")
    box.press_sequentially("histogram_quantile(0.95, sum by (le) (rate(http_re")
    wanted = page.get_by_role("option", name="http_request_duration_seconds_bucket", exact=True)
    expect(wanted).to_be_visible()
    wanted.click()
    page.keyboard.type("[1m])))")
    expect(box).to_have_text("histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket[1m])))")
    canvas = page.locator(".plot canvas")
    for _ in range(20):  # a rate needs two samples, and the graph stands on whole steps
        page.get_by_role("button", name="Run").click()
        page.wait_for_timeout(1_000)
        if canvas.is_visible():
            break
    expect(canvas).to_be_visible()

    # True for the last hour of every day (UTC): a thing whose firings anybody can count.
    page.goto(tocsin.url + "/explore?q=vector(time()+%25+86400)+%3E+82800")
    page.get_by_role("button", name=re.compile("alert from this", re.I)).click()
    trial = page.get_by_role("dialog", name="Alert from this").get_by_role("region", name="What it would have done")
    expect(trial.get_by_text(re.compile("fired (29|30|31) times in the last 30 days"))).to_be_visible(timeout=90_000)
    # While a person types the expression is none yet, which the server says with 400.
    assert [line for line in noise.lines if "400" not in line] == []
