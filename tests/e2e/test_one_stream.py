"""Two tabs of a browser share one stream; when the one that listens closes, or the server comes back, nothing is missed."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from playwright.sync_api import Error, Page, expect

CHECK = {"url": "http://127.0.0.1:9/", "name": "Added meanwhile"}


def streams(page: Page, tocsin: Any) -> int:
    return int(page.request.get(tocsin.url + "/api/tocsin/v1/self").json()["web"]["streams"])


def add_check(page: Page, tocsin: Any, name: str) -> None:
    csrf = page.request.get(tocsin.url + "/api/tocsin/v1/session").json()["csrf"]
    answer = page.request.post(
        tocsin.url + "/api/tocsin/v1/checks",
        data={**CHECK, "name": name},
        headers={"x-csrf-token": csrf, "origin": tocsin.url},
    )
    assert answer.ok, answer.text()


def answers_again(page: Page, tocsin: Any) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(Error):
            if page.request.get(tocsin.url + "/api/tocsin/v1/session").ok:
                return
        page.wait_for_timeout(200)
    raise AssertionError("Tocsin does not answer again within 30 s")


def test_two_tabs_share_one_stream_which_outlives_either_and_a_restart(tocsin: Any, open_browser: Any) -> None:
    first = open_browser(tocsin)
    first.goto(tocsin.url + "/checks")
    expect(first.get_by_role("button", name="live")).to_be_visible(timeout=20_000)
    second = first.context.new_page()
    second.goto(tocsin.url + "/checks")
    expect(second.get_by_role("button", name="live")).to_be_visible(timeout=20_000)
    assert streams(second, tocsin) == 1
    add_check(second, tocsin, "Seen by both")
    for page in (first, second):
        expect(page.get_by_text("Seen by both").first).to_be_visible(timeout=20_000)

    first.close()  # it was the one that listened
    add_check(second, tocsin, "After the first has gone")
    expect(second.get_by_text("After the first has gone").first).to_be_visible(timeout=30_000)

    tocsin.stop()
    tocsin.start()
    answers_again(second, tocsin)
    add_check(second, tocsin, "After a restart")
    expect(second.get_by_text("After a restart")).to_have_count(1, timeout=30_000)
    expect(second.get_by_text("Seen by both")).to_have_count(1)
