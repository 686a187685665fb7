"""After it is over: what was done is kept with the incident, every delivery is on record, and the next one starts anew."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Page, expect
from tests.fakes.mail import FakeMail

CONFIG = """
external_url: http://127.0.0.1
global: {{smtp_smarthost: "127.0.0.1:{mail}", smtp_from: tocsin@shop.example, smtp_require_tls: false}}
users: [{{name: ana, email: ana@shop.example}}]
policies: [{{name: default, steps: [{{notify: ana, wait: 30m}}]}}]
services: [{{name: shop, reopen_window: 1s}}]
receivers: [{{name: ops, policy: default}}]
route: {{receiver: ops, group_by: [alertname, service], group_wait: 0s, group_interval: 1s, repeat_interval: 4h}}
"""
LABELS = {"alertname": "CheckoutErrors", "service": "shop", "severity": "critical"}


@pytest.fixture
def mail() -> Iterator[FakeMail]:
    with FakeMail() as fake:
        yield fake


def tell(tocsin: Any, *, firing: bool) -> None:
    """Send the alert as a Prometheus would."""
    now = time.time()
    stamp = [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now + seconds)) for seconds in (-60, 3600 if firing else -1)]
    alert = {"labels": LABELS, "annotations": {"summary": "5xx 7 %"}, "startsAt": stamp[0], "endsAt": stamp[1]}
    sent = Request(tocsin.url + "/api/v2/alerts", json.dumps([alert]).encode(), {"content-type": "application/json"})
    with urlopen(sent, timeout=10) as answer:
        assert answer.status == 200


def incidents(page: Page, tocsin: Any) -> list[dict[str, Any]]:
    found = page.request.get(tocsin.url + "/api/tocsin/v1/incidents?state=all").json()["incidents"]
    return sorted(found, key=lambda one: int(one["number"]))


def until(page: Page, holds: Any, what: str) -> Any:
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        if found := holds():
            return found
        page.wait_for_timeout(200)
    raise AssertionError(f"not within 40 s: {what}")


def note_what_was_done(page: Page) -> None:
    page.get_by_role("button", name="Note what was done").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("rollback", exact=True).click()
    dialog.get_by_label("In words").fill("rollback 8f2c")
    dialog.get_by_label("Did it hold?").select_option("yes")
    dialog.get_by_role("button", name="Save").click()
    expect(page.get_by_text("It held")).to_be_visible()


def test_deliveries_notes_and_remediation_are_read_and_exported(
    start_tocsin: Any, open_browser: Any, mail: FakeMail, noise: Any
) -> None:
    mail.script("421")
    tocsin = start_tocsin(CONFIG.format(mail=mail.port))
    page = open_browser(tocsin)
    tell(tocsin, firing=True)
    number = until(page, lambda: incidents(page, tocsin), "an incident")[0]["number"]
    until(page, lambda: mail.mails, "the mail after the refusal")
    page.goto(f"{tocsin.url}/i/{number}")
    page.get_by_role("button", name="Acknowledge").click()
    page.keyboard.press("n")
    page.keyboard.type("the pool is empty")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text("the pool is empty")).to_be_visible()
    note_what_was_done(page)
    page.get_by_role("button", name="Resolve").click()
    page.get_by_role("dialog").get_by_role("button", name="Resolve").click()
    expect(page.get_by_text("Was this page worth it?")).to_be_visible()

    # Every delivery, with the words of the server that refused it and the try that succeeded.
    page.goto(f"{tocsin.url}/notifications?incident={number}")
    expect(page.get_by_text(f"incident #{number}").first).to_be_visible()
    row = page.get_by_role("listitem").filter(has_text="attempt 2")
    row.locator("summary").click()
    expect(row.get_by_text("refused on script")).to_be_visible()
    expect(row.get_by_text("attempt 1")).to_be_visible()

    page.goto(f"{tocsin.url}/i/{number}")
    with page.expect_download() as download:
        page.get_by_role("link", name="Export as Markdown").click()
    text = download.value.path().read_text()
    assert "the pool is empty" in text
    assert "rollback 8f2c" in text
    assert noise.lines == []


def test_what_comes_back_is_new_and_knows_what_helped_last_time(
    start_tocsin: Any, open_browser: Any, mail: FakeMail, noise: Any
) -> None:
    tocsin = start_tocsin(CONFIG.format(mail=mail.port))
    page = open_browser(tocsin)
    tell(tocsin, firing=True)
    old = until(page, lambda: incidents(page, tocsin), "an incident")[0]["number"]
    page.goto(f"{tocsin.url}/i/{old}")
    page.get_by_role("button", name="Acknowledge").click()
    expect(page.get_by_text("has it").first).to_be_visible()
    note_what_was_done(page)
    tell(tocsin, firing=False)
    until(page, lambda: incidents(page, tocsin)[0]["state"] == "resolved", "the first is over")
    page.wait_for_timeout(1_100)  # the window in which it would be reopened: one second by this configuration
    tell(tocsin, firing=True)
    both = until(page, lambda: (found := incidents(page, tocsin)) and len(found) == 2 and found, "a second incident")
    assert (both[0]["state"], both[1]["state"]) == ("resolved", "triggered")
    assert both[1]["acknowledged_by"] == ""

    page.goto(f"{tocsin.url}/i/{both[1]['number']}")
    expect(page.get_by_role("button", name="Acknowledge")).to_be_visible()
    before = page.get_by_role("region", name="Seen before")
    expect(before).to_contain_text("rollback 8f2c")
    before.get_by_role("link", name=f"#{old}").click()
    expect(page).to_have_url(re.compile(f"/(i|incidents)/{old}$"))
    expect(page.get_by_text("It held")).to_be_visible()
    expect(page.get_by_text("acknowledged", exact=False).first).to_be_visible()
    # The incident moves by itself meanwhile: what is held against its version is refused once and said again.
    assert [line for line in noise.lines if "412" not in line] == []
