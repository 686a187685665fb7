"""The measures of section 4.7 of the dashboard's specification, each on the running program."""

from __future__ import annotations

import time
from typing import Any

from bench.ui.browser import NEXT_PAINT, heap_bytes, percentile
from bench.ui.world import FLIPPED, PANELS, Target, fire
from playwright.sync_api import Page, expect

_SAYS = "([where, text]) => document.querySelector(where)?.textContent.includes(text)"
_LOOK_MS = 20
_TYPE = """async text => {
    const box = document.querySelector('input[type=search]')
    const began = performance.now()
    box.value = text
    box.dispatchEvent(new InputEvent('input', { bubbles: true }))
    await new Promise(done => requestAnimationFrame(() => setTimeout(done)))
    return performance.now() - began
}"""
_WATCH_KEYS = """() => {
    window.delays = []
    new PerformanceObserver(list => {
        for (const one of list.getEntries())
            if (one.name === 'keydown') window.delays.push([one.processingStart - one.startTime, one.duration])
    }).observe({ type: 'event', durationThreshold: 16 })
}"""
_WATCH_COMPLETION = """() => {
    // The list is closed before each key: one that is there shows the key's own names.
    window.completion = null
    let typed = 0
    const root = [...document.querySelectorAll('*')].find(it => it.shadowRoot).shadowRoot
    addEventListener('keydown', event => event.key.length === 1 && (typed = performance.now()), true)
    new MutationObserver(() => {
        if (!typed || !root.querySelector('.cm-tooltip-autocomplete li')) return
        const began = typed
        typed = 0
        requestAnimationFrame(() => (window.completion = performance.now() - began))
    }).observe(root, { childList: true, subtree: true })
}"""
_HOUR_OF_EVENTS = """async ([seconds, each]) => {
    const channel = new BroadcastChannel('tocsin-live:/')
    for (let n = 0; n < seconds * each; n++) {
        channel.postMessage({ kind: 'change', cursor: 0, change: { id: n, topics: ['check'], subjects: [] } })
        await new Promise(done => setTimeout(done, 1000 / each))
    }
}"""


def keystrokes(page: Page, url: str) -> list[float]:
    """From a character in the filter of the Overview to the frame after it, ms."""
    page.goto(url + "/")
    page.get_by_label("Filter problems").wait_for()
    return [float(page.evaluate(_TYPE, text)) for _ in range(7) for text in ("p", "pa", "pay", "")][4:]


def alert_to_pixel(page: Page, url: str, token: str, times: int = 12) -> list[float]:
    """From the moment Tocsin has taken an alert to its row on the page, ms."""
    page.goto(url + "/alerts")
    page.get_by_role("heading", name="Alerts").wait_for()
    page.locator("button.live[aria-pressed]").wait_for(timeout=60_000)
    waits = []
    for number in range(times):
        name = f"Pixel{number:03d}Burns"
        taken_s = fire(url, token, [name])
        waits.append(_seen_ms(page, "main", name) - taken_s * 1000)
    return waits


def check_to_pixel(page: Page, url: str, target: Target, times: int = 6) -> list[float]:
    """From the change of a check's state, as it is on record, to the word on the page, ms."""
    page.goto(f"{url}/checks?q={FLIPPED}")
    row = page.locator(f"#check-{FLIPPED}")
    expect(row).to_contain_text("Up", timeout=120_000)
    waits = []
    for number in range(times):
        target.flipped_down = number % 2 == 0
        seen_ms = _seen_ms(page, f"#check-{FLIPPED} .state", "Down" if target.flipped_down else "Up")
        known = page.request.get(f"{url}/api/tocsin/v1/checks/{FLIPPED}").json()
        waits.append(seen_ms - float(known["since_ms"]))
    return waits


def completions(page: Page, url: str) -> list[float]:
    """From a key to the list of names under the caret, ms; 50,000 metric names are known."""
    page.goto(url + "/explore")
    page.locator(".cm-content").wait_for()
    box = page.get_by_role("textbox", name="PromQL expression")
    page.evaluate(_WATCH_COMPLETION)
    waits: list[float] = []
    for text in ("bench_metric_01", "http_request_dur", "metric_4999"):
        box.fill("")
        for character in text:
            page.evaluate("() => { window.completion = null }")
            page.keyboard.type(character)
            page.wait_for_function("() => window.completion !== null")
            waits.append(float(page.evaluate("() => window.completion")))
            page.keyboard.press("Escape")
    return waits


def board_ms(page: Page, url: str) -> float:
    """A board of 24 panels over six hours, cold, until the last one has drawn."""
    page.set_viewport_size({"width": 1440, "height": 6000})  # panels out of sight would not be drawn
    page.goto(f"{url}/d/bench?from=now-6h", wait_until="commit")
    page.wait_for_function(f"() => document.querySelectorAll('.plot canvas').length >= {PANELS}", timeout=60_000)
    page.evaluate(NEXT_PAINT)
    took = float(page.evaluate("() => performance.now()"))
    page.set_viewport_size({"width": 1440, "height": 900})
    return took


def storm(page: Page, url: str, token: str, alerts: int = 500) -> tuple[float, float]:
    """500 alerts at once while somebody types: (longest wait of a key for the page, until all rows are there), ms."""
    page.goto(url + "/alerts")
    page.get_by_label("Filter alerts").wait_for()
    page.evaluate(_WATCH_KEYS)
    began_s = fire(url, token, [f"Storm{number:03d}" for number in range(alerts)])
    page.get_by_label("Filter alerts").focus()
    while page.evaluate("() => document.querySelectorAll('[data-row]').length") < alerts and time.time() - began_s < 60:
        page.keyboard.type("s")
        page.wait_for_timeout(120)
        page.keyboard.press("Backspace")
        page.wait_for_timeout(120)
    listed_ms = (time.time() - began_s) * 1000
    for character in "storm4":
        page.keyboard.type(character)
        page.wait_for_timeout(150)
    delays: list[list[float]] = page.evaluate("() => window.delays")
    return max((delay for delay, _ in delays), default=0.0), listed_ms


def heap_growth(page: Page, url: str, seconds: int = 60, each: int = 4) -> tuple[int, int]:
    """Heap before and after the events of an hour, pressed into `seconds`: each second as many fetches as an idle minute."""
    page.goto(url + "/")
    page.locator("details.healthy").wait_for()
    other = page.context.new_page()
    other.goto(url + "/login")
    other.evaluate(_HOUR_OF_EVENTS, [10, each])  # caches and compiled code are filled once
    before = heap_bytes(page)
    other.evaluate(_HOUR_OF_EVENTS, [seconds, each])
    page.wait_for_timeout(2_000)
    return before, heap_bytes(page)


def _seen_ms(page: Page, where: str, text: str) -> float:
    """When the text stood there, by `time.time()`; looked at every 20 ms."""
    page.wait_for_function(_SAYS, arg=[where, text], polling=_LOOK_MS, timeout=60_000)
    return time.time() * 1000


def worst(values: list[float]) -> dict[str, Any]:
    return {"p50": percentile(values, 0.5), "p95": percentile(values, 0.95), "n": len(values)}
