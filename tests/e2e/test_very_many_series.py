"""An expression that finds 100,000 series: chart, legend and table stay small, say how many there are, and can be used."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from playwright.sync_api import expect

SERIES = 100_000
SCRAPE = 'scrape_configs: [{{job_name: many, scrape_interval: 5s, static_configs: [{{targets: ["{address}"]}}]}}]\n'
HEAVY_MS = 60_000
"""A worker process is started for the first of such queries; on a crowded machine that takes its time."""
_SENT = (
    "() => performance.getEntriesByType('resource').filter(it => it.name.includes('/query_range')).map(it => it.encodedBodySize)"
)
PAGE_MOST = 5_000
"""Elements of a page that a phone still lays out at once."""


@pytest.fixture
def many() -> Iterator[str]:
    """Serves 100,000 series of one name; the highest are those in the middle of the list. Yields its address."""
    rows = (f'many_things{{i="{i}",room="{i % 300}"}} {i if i < SERIES / 2 else SERIES - i}' for i in range(SERIES))
    body = ("\n".join(rows) + "\n").encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def all_known(page: Any, url: str) -> None:
    """Wait until every series can be asked for at an instant that a graph of the last minutes has, too."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        asked = {"query": "count(many_things offset 6s)"}
        result = page.request.get(f"{url}/api/v1/query", params=asked).json()["data"]["result"]
        if result and float(result[0]["value"][1]) == SERIES:
            return
        page.wait_for_timeout(500)
    pytest.fail("the series did not arrive")


def test_a_hundred_thousand_series_can_be_looked_at(start_tocsin: Any, open_browser: Any, noise: Any, many: str) -> None:
    tocsin = start_tocsin(SCRAPE.format(address=many))
    page = open_browser(tocsin)
    all_known(page, tocsin.url)
    page.goto(f"{tocsin.url}/explore?q=many_things&from=now-5m")
    expect(page.get_by_text("and 99,980 other series")).to_be_visible(timeout=HEAVY_MS)
    sent = page.evaluate(_SENT)
    assert 0 < max(sent) < 100_000, "what is not drawn stays where it is"

    # The twenty are the highest of all, not the first; one can be looked at alone.
    rows = page.locator(".rows tbody tr")
    expect(rows).to_have_count(20)
    expect(rows.first).to_contain_text('i="50000"')
    rows.nth(3).get_by_role("button").click()
    expect(page.locator(".rows tr.off")).to_have_count(19)
    page.get_by_role("button", name="Up to 200 lines").click()
    expect(rows).to_have_count(200, timeout=HEAVY_MS)
    expect(page.get_by_text("and 99,800 other series")).to_be_visible()
    assert page.evaluate("document.querySelectorAll('*').length") < PAGE_MOST

    page.get_by_role("button", name="Table", exact=True).click()
    expect(page.get_by_text("The 500 highest of 100,000 series.")).to_be_visible(timeout=HEAVY_MS)
    assert page.evaluate("document.querySelectorAll('*').length") < PAGE_MOST

    # Another expression is typed over it and answered.
    box = page.get_by_role("textbox", name="PromQL expression")
    box.fill('many_things{room="7"}')
    page.keyboard.press("Escape")
    page.get_by_role("button", name=re.compile("^Run")).click()
    expect(page.locator("main tbody tr")).to_have_count(334, timeout=HEAVY_MS)
    assert noise.lines == []
