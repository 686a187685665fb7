"""What Chromium says of a page: bytes, requests, first paint, input delay, heap. Times are milliseconds."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

CHROMIUM = os.environ.get("TOCSIN_CHROMIUM", shutil.which("chromium") or shutil.which("chromium-browser") or "")
SLOW = {"offline": False, "latency": 150, "downloadThroughput": 1_600_000 / 8, "uploadThroughput": 750_000 / 8}
"""Chrome's slow 4G; with a quarter of the CPU beside it."""
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
_PAINT = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"
# Told by the page itself, after the frame in which it is there: asking for it from outside would take its own time.
_WATCH = """(() => {
    const seen = new MutationObserver(() => {
        if (!document.querySelector(SELECTOR)) return
        seen.disconnect()
        requestAnimationFrame(() => setTimeout(() => (window.usefulMs = performance.now())))
    })
    seen.observe(document, { childList: true, subtree: true })
})()"""
# Two frames: the first may have begun before the change.
NEXT_PAINT = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done())))"


@dataclass
class Load:
    """One cold load."""

    bytes: int = 0
    """On the wire, headers included, until the page was useful."""
    requests: int = 0
    useful_ms: float = 0.0
    fcp_ms: float = 0.0


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM or None, headless=True, args=_FLAGS)
        yield browser
        browser.close()


def load(browser: Browser, url: str, useful: str, *, state: Any = None, slow: bool = False) -> Load:
    """Open `url` with an empty cache until it shows what makes it worth looking at, the CSS selector `useful`."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, storage_state=state)
    page = context.new_page()
    page.set_default_timeout(120_000)
    session = context.new_cdp_session(page)
    session.send("Network.enable")
    found = Load()

    def finished(event: dict[str, Any]) -> None:
        found.bytes += int(event["encodedDataLength"])

    def asked(event: dict[str, Any]) -> None:
        found.requests += not event["request"]["url"].startswith("data:")

    session.on("Network.loadingFinished", finished)
    session.on("Network.requestWillBeSent", asked)
    if slow:
        session.send("Network.emulateNetworkConditions", SLOW)
        session.send("Emulation.setCPUThrottlingRate", {"rate": 4})
    page.add_init_script(_WATCH.replace("SELECTOR", json.dumps(useful)))
    page.goto(url, wait_until="commit")
    page.wait_for_function("() => window.usefulMs")
    found.useful_ms = float(page.evaluate("() => window.usefulMs"))
    page.wait_for_function("() => performance.getEntriesByName('first-contentful-paint').length > 0")
    found.fcp_ms = float(page.evaluate(_PAINT))
    context.close()
    return found


def best(work: Callable[[], Load], times: int = 5) -> Load:
    """The middle of several, each figure by itself."""
    loads = [work() for _ in range(times)]

    def middle(of: Callable[[Load], float]) -> float:
        return sorted(map(of, loads))[times // 2]

    return Load(
        bytes=int(middle(lambda one: one.bytes)),
        requests=int(middle(lambda one: one.requests)),
        useful_ms=middle(lambda one: one.useful_ms),
        fcp_ms=middle(lambda one: one.fcp_ms),
    )


def signed_in(browser: Browser, link: str, url: str) -> Any:
    """The cookies of somebody who used the printed link."""
    context: BrowserContext = browser.new_context()
    page = context.new_page()
    page.goto(link)
    button = page.get_by_role("button", name=re.compile("sign in|continue", re.I))
    if button.count():
        button.first.click()
    page.wait_for_url(url + "/**")
    state = context.storage_state()
    context.close()
    return state


def heap_bytes(page: Page) -> int:
    """Of JavaScript, after the collector has been through."""
    session = page.context.new_cdp_session(page)
    for _ in range(3):
        session.send("HeapProfiler.collectGarbage")
    used = int(session.send("Runtime.getHeapUsage")["usedSize"])
    session.detach()
    return used


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
