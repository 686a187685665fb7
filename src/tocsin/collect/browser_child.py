"""The process of one browser check: reads a job from stdin, drives Chromium, writes what it saw to stdout. Needs playwright.

`python -m tocsin.collect.browser_child`; the parent kills the whole group when time is up.
"""

from __future__ import annotations

import base64
import sys
from typing import Any

import orjson
from playwright.sync_api import Browser, Error, Page, expect, sync_playwright
from playwright.sync_api import TimeoutError as StepTimeout

from tocsin.clock import SystemClock

_MOST_NOTES = 20
_QUALITY = 35
_PICTURE_MS = 1_500
"""Kept for the picture of a failure, and for saying what was seen."""
_SHORTEST_MS = 100


def main() -> None:
    job = orjson.loads(sys.stdin.buffer.read())
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=job["executable"] or None,
                proxy={"server": f"http://127.0.0.1:{job['proxy_port']}", "bypass": "<-loopback>"},
                args=["--disable-quic", "--disable-dev-shm-usage", "--force-webrtc-ip-handling-policy=disable_non_proxied_udp"],
                chromium_sandbox=job["sandbox"],
            )
            out = _visit(browser, job)
            browser.close()
    except Error as error:
        out = {"started": False, "problem": _first_line(error)}
    sys.stdout.buffer.write(orjson.dumps(out))


def _visit(browser: Browser, job: dict[str, Any]) -> dict[str, Any]:
    """Go through the steps until one fails."""
    context = browser.new_context(
        viewport={"width": job["width"], "height": job["height"]},
        ignore_https_errors=not job["tls_verify"],
        user_agent=job["user_agent"] or None,
        locale="en-US",
    )
    page = context.new_page()
    console: list[str] = []
    failed: list[str] = []
    page.on("console", lambda message: _note(console, message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: _note(console, str(error)))
    page.on("requestfailed", lambda request: _note(failed, f"{request.url[:200]}: {request.failure}"))
    clock, steps = SystemClock(), list[dict[str, Any]]()
    problem, kind, wanted = "", "", False
    for step in job["steps"]:
        start_s = clock.monotonic_s()
        left_ms = min(max((job["deadline_s"] - start_s) * 1000 - _PICTURE_MS, _SHORTEST_MS), job["step_ms"])
        page.set_default_timeout(left_ms)
        expect.set_options(timeout=left_ms)
        try:
            wanted = _do(page, step) or wanted
        except (Error, AssertionError) as error:
            problem, kind = _first_line(error), _kind(error, step)
        steps.append({"step": step["text"], "ms": (clock.monotonic_s() - start_s) * 1000, "ok": not problem})
        if problem:
            break
    shot = _screenshot(page) if problem or wanted else ""
    return {"started": True, "steps": steps, "problem": problem, "kind": kind, "url": page.url[:500], "title": _title(page),
            "console_errors": console, "failed_requests": failed, "screenshot": shot}  # fmt: skip


def _do(page: Page, step: dict[str, Any]) -> bool:
    """One step; True where a picture of the end is wanted."""
    match step["action"], step["value"]:
        case "goto", url:
            answer = page.goto(url, wait_until="load")
            if answer is not None and answer.status >= 400:
                raise AssertionError(f"HTTP {answer.status}")
        case "fill", fields:
            for selector, text in fields.items():
                page.fill(selector, text)
        case "click", selector:
            page.click(selector)
        case "press", key:
            page.keyboard.press(key)
        case "wait", selector:
            page.wait_for_selector(selector)
        case "expect", text:
            expect(page.locator("body")).to_contain_text(text)
        case "expect_in", fields:
            for selector, text in fields.items():
                expect(page.locator(selector).first).to_contain_text(text)
        case "screenshot", _:
            return True
    return False


def _kind(error: Exception, step: dict[str, Any]) -> str:
    """In words of the check's reasons."""
    text = str(error)
    for sign, kind in (("ERR_NAME_NOT", "dns"), ("ERR_CONNECTION_REFUSED", "refused"), ("ERR_CERT", "tls"), ("ERR_SSL", "tls"),
                       ("ERR_TUNNEL", "unreachable"), ("ERR_PROXY", "unreachable"), ("ERR_", "unreachable")):  # fmt: skip
        if sign in text:
            return kind
    if text.startswith("HTTP "):
        return "status"
    if step["action"].startswith("expect"):
        return "body"
    return "timeout" if isinstance(error, StepTimeout) else "answer"


def _screenshot(page: Page) -> str:
    try:
        return base64.b64encode(page.screenshot(type="jpeg", quality=_QUALITY, timeout=_PICTURE_MS)).decode()
    except Error:
        return ""


def _title(page: Page) -> str:
    try:
        return page.title()[:300]
    except Error:
        return ""


def _note(notes: list[str], text: str) -> None:
    if len(notes) < _MOST_NOTES:
        notes.append(text[:300])


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]


if __name__ == "__main__":
    main()
