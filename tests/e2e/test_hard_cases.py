"""Bad input of the dashboard: huge and foreign labels, many series, NaN and Inf, a wrong clock, a restart while typing."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import expect

LONG = "x" * 4_000  # the store keeps label values up to 4,096 bytes; alerts may carry longer ones
FOREIGN = "مرحبا 👩‍🚒 <b>שלום</b>"
SCRAPE = 'scrape_configs: [{{job_name: odd, scrape_interval: 1s, static_configs: [{{targets: ["{address}"]}}]}}]\n'


@pytest.fixture
def odd() -> Iterator[str]:
    """Serves metrics that nobody should serve; yields its address."""
    lines = [
        f'odd_long{{blob="{LONG}"}} 1',
        f'odd_foreign{{name="{FOREIGN}"}} 2',
        f'odd_foreign{{name="{FOREIGN}", other="‮evil"}} 3',
        'odd_number{kind="nan"} NaN',
        'odd_number{kind="inf"} +Inf',
        'odd_number{kind="huge"} 1e308',
        *(f'odd_many{{i="{i}"}} {i}' for i in range(2500)),
    ]
    body = ("\n".join(lines) + "\n").encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/plain; version=0.0.4; charset=utf-8")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def fits(page: Any) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


@pytest.mark.parametrize("width", [1440, 360])
def test_odd_labels_and_values_are_shown_as_text_within_the_page(
    start_tocsin: Any, open_browser: Any, noise: Any, odd: str, width: int
) -> None:
    tocsin = start_tocsin(SCRAPE.format(address=odd))
    page = open_browser(tocsin, width=width, height=800)
    for query in ("odd_long", "odd_foreign", "odd_number", "odd_many"):
        page.goto(f"{tocsin.url}/explore?q={query}&from=now-5m")
        for _ in range(10):  # the first sample shows with the next step of the graph
            if page.locator(".plot canvas").count() or page.get_by_text("No series").count():
                page.wait_for_timeout(300)
            if page.locator(".plot canvas").count():
                break
            page.wait_for_timeout(1_500)
            page.reload()
        expect(page.locator(".plot canvas").first).to_be_visible()
        assert fits(page), query
        if query == "odd_many":
            expect(page.get_by_text("and 2,480 other series, which end lower")).to_be_visible()
        if query == "odd_long":
            assert len(page.locator("main").inner_text()) < 5_000  # the legend shows both ends of it
        page.goto(f"{tocsin.url}/explore?q={query}&mode=table")
        expect(page.locator("table").first).to_be_visible()
        assert fits(page), f"{query} as a table"
    page.goto(f"{tocsin.url}/explore?q=odd_foreign&mode=table")
    expect(page.get_by_text("<b>שלום</b>").first).to_be_visible()  # text, not markup
    page.goto(f"{tocsin.url}/explore?q=odd_number&mode=table")
    expect(page.get_by_role("cell", name="NaN", exact=True).last).to_be_visible()
    assert noise.lines == []


def test_an_alert_with_a_label_of_ten_kilobytes_fits_every_list(tocsin: Any, open_browser: Any, noise: Any) -> None:
    page = open_browser(tocsin, width=360, height=740, has_touch=True, is_mobile=True)
    labels = {"alertname": FOREIGN, "severity": "critical", "service": "y" * 200, "blob": "x" * 10_000}
    alert = {"labels": labels, "annotations": {"summary": FOREIGN * 50, "description": "z" * 10_000}}
    # A program of this machine sends it, as an Alertmanager's client would: no cookie, no session.
    sent = Request(tocsin.url + "/api/v2/alerts", json.dumps([alert]).encode(), {"content-type": "application/json"})
    with urlopen(sent, timeout=10) as answer:
        assert answer.status == 200
    page.goto(tocsin.url + "/alerts")
    expect(page.locator("[data-row]").first).to_be_visible()
    for path in ("/alerts", "/", "/incidents"):
        page.goto(tocsin.url + path)
        expect(page.locator("[data-row]").first).to_be_visible()
        assert fits(page), path
    page.locator("[data-row] a").first.click()
    expect(page.locator("h1").first).to_be_visible()
    assert fits(page), "the incident"
    page.goto(tocsin.url + "/alerts")
    page.locator("[data-row] a").first.click()
    expect(page.get_by_text("zzzz").first).to_be_visible()
    assert fits(page), "the alert"
    assert noise.lines == []


def test_a_browser_clock_an_hour_off_makes_nothing_old(tocsin: Any, open_browser: Any) -> None:
    page = open_browser(tocsin)
    page.add_init_script(
        "const real = Date; const off = 3600000;"
        "Date = class extends real {"
        " constructor(...a) { a.length ? super(...a) : super(real.now() + off) }"
        " static now() { return real.now() + off } }"
    )
    page.goto(tocsin.url + "/")
    card = page.get_by_role("region", name="Tocsin itself")
    expect(card.get_by_text("watching")).to_be_visible(timeout=20_000)
    page.wait_for_timeout(3_000)
    expect(page.get_by_text("Data is")).to_have_count(0)
    assert "1h" not in card.inner_text()


def test_a_restart_while_typing_loses_nothing_typed(tocsin: Any, open_browser: Any) -> None:
    page = open_browser(tocsin)
    page.goto(tocsin.url + "/explore")
    expect(page.locator(".cm-content")).to_be_visible()
    box = page.get_by_role("textbox", name="PromQL expression")
    box.click()
    page.keyboard.type("sum(node_lo")
    tocsin.stop()
    page.keyboard.press("Escape")
    page.keyboard.type("ad1")
    page.wait_for_timeout(2_000)
    tocsin.start()
    page.keyboard.press("Escape")
    page.keyboard.type(" ")
    expect(box).to_contain_text("sum(node_load1")
    page.get_by_role("button", name="Run").click()
    expect(page.locator(".plot canvas").or_(page.get_by_text("No series in this range"))).to_be_visible(timeout=30_000)
