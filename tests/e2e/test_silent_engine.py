"""The engine is paused: the wallboard and the public page say how old their data is, nothing is green, the dead man's switch is
not called any more; when it goes on, all of it recovers by itself."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from playwright.sync_api import Page, expect

CONFIG = """
checks:
  - {{name: shop, http: "{service}", every: 5s, labels: {{service: shop}}}}
status_pages:
  - {{slug: shop, title: The Shop, components: [{{name: Website, checks: [shop]}}]}}
dead_man: {{url: "{switch}", every: 10s}}
"""
EVERY_S = 10.0


class Switch:
    """A dead man's switch as others offer it: it fires when nobody called for two intervals and a half."""

    def __init__(self) -> None:
        switch = self
        self.called_s: list[float] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                switch.called_s.append(time.monotonic())
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            do_POST = do_GET

            def log_message(self, *_args: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/ping"

    @property
    def fires(self) -> bool:
        return not self.called_s or time.monotonic() - self.called_s[-1] > 2.5 * EVERY_S

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def switch() -> Iterator[Switch]:
    it = Switch()
    yield it
    it.stop()


def reads(page: Page, text: str, *, seconds: float) -> None:
    """Load the public page until it says so: it has no script and does not refresh by itself."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        page.reload()
        if page.get_by_text(text).count():
            return
        page.wait_for_timeout(1_000)
    raise AssertionError(f"not within {seconds} s: {text!r} in {page.locator('body').inner_text()[:600]}")


def test_a_paused_engine_leaves_nothing_green_anywhere_and_recovers_without_reload(
    start_tocsin: Any, open_browser: Any, service: Any, switch: Switch
) -> None:
    tocsin = start_tocsin(CONFIG.format(service=service.url, switch=switch.url))
    wall = open_browser(tocsin)
    wall.goto(tocsin.url + "/?view=kiosk")
    green = wall.locator("#main svg.ok")
    expect(wall.get_by_text("1 of 1 up").first).to_be_visible(timeout=40_000)
    expect(green).not_to_have_count(0)
    public = open_browser(tocsin, sign_in=False, java_script_enabled=False)
    public.goto(tocsin.url + "/status/shop")
    reads(public, "All systems are operational.", seconds=30)
    while switch.fires:
        wall.wait_for_timeout(200)

    processes = wall.request.get(tocsin.url + "/api/tocsin/v1/self").json()["processes"]
    core = next(one["pid"] for one in processes if one["name"] == "core")
    paused = [tocsin.process.pid, core]  # the parent as well: it would put another core in the place of one that hangs
    for pid in paused:
        os.kill(pid, signal.SIGSTOP)
    try:
        expect(wall.get_by_role("alert").filter(has_text="Data is")).to_be_visible(timeout=60_000)
        expect(green).to_have_count(0)
        reads(public, "our monitoring was last heard of at", seconds=60)
        expect(public.get_by_text("Operational", exact=True)).to_have_count(0)
        while not switch.fires:
            wall.wait_for_timeout(500)
    finally:
        for pid in reversed(paused):
            os.kill(pid, signal.SIGCONT)
    expect(green).not_to_have_count(0, timeout=60_000)
    expect(wall.get_by_text("Data is")).to_have_count(0)
    reads(public, "All systems are operational.", seconds=60)
    while switch.fires:
        wall.wait_for_timeout(200)
