"""An override by keyboard alone: the page goes to who took over, and the calendar says so; a week in which clocks go back."""

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

DUTY = """
global: {{smtp_smarthost: "127.0.0.1:{mail}", smtp_from: tocsin@shop.example, smtp_require_tls: false}}
users:
  - {{name: admin, email: admin@shop.example}}
  - {{name: ana, email: ana@shop.example}}
policies:
  - {{name: default, steps: [{{notify: "schedule:duty", wait: 30m}}]}}
schedules:
  - {{name: duty, tz: Europe/Paris, layers: [{{name: only, from: "2020-01-06T09:00", anchor: "2020-01-06T09:00", users: [ana]}}]}}
receivers: [{{name: ops, policy: default}}]
route: {{receiver: ops, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 4h}}
"""


@pytest.fixture
def mail() -> Iterator[FakeMail]:
    with FakeMail() as fake:
        yield fake


def fire(tocsin: Any, name: str) -> None:
    labels = {"alertname": name, "severity": "critical"}
    alert = {"labels": labels, "annotations": {"summary": "a test page"}}
    sent = Request(tocsin.url + "/api/v2/alerts", json.dumps([alert]).encode(), {"content-type": "application/json"})
    with urlopen(sent, timeout=10) as answer:
        assert answer.status == 200


def told(page: Page, mail: FakeMail, name: str) -> list[str]:
    """Who got the first mail about the alert `name`."""
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        for one in list(mail.mails):
            if name in one["subject"] + one["text"]:
                return list(one["recipients"])
        page.wait_for_timeout(200)
    raise AssertionError(f"nobody was told of {name} within 40 s; told so far: {[one['subject'] for one in mail.mails]}")


def now_on_call(calendar: str) -> list[str]:
    """The summaries of events of an iCalendar text that are going on."""
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    events = [dict(re.findall(r"(?m)^([A-Z]+):(.*)$", part)) for part in calendar.replace("\r", "").split("BEGIN:VEVENT")[1:]]
    return [one["SUMMARY"] for one in events if one["DTSTART"] <= now < one["DTEND"]]


def test_who_takes_over_by_keyboard_is_paged_and_stands_in_the_calendar(
    start_tocsin: Any, open_browser: Any, mail: FakeMail, noise: Any
) -> None:
    tocsin = start_tocsin(DUTY.format(mail=mail.port))
    page = open_browser(tocsin, timezone_id="Europe/Paris")
    fire(tocsin, "BeforeTheOverride")
    assert told(page, mail, "BeforeTheOverride") == ["ana@shop.example"]

    # In the last week of October 2027 Sunday has 25 hours: one person all week, no gap, nobody twice.
    page.goto(tocsin.url + "/oncall?week=2027-W43")
    expect(page.get_by_role("button", name=re.compile("^ana, Sun 31"))).to_have_count(1)
    expect(page.get_by_text("Nobody")).to_have_count(0)

    page.goto(tocsin.url + "/oncall")
    page.get_by_role("button", name="Override duty").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Who takes it")).to_be_focused()
    expect(page.get_by_label("Who takes it")).to_have_value("admin")
    page.get_by_label("From").evaluate("it => { it.stepDown(2); it.dispatchEvent(new Event('input', { bubbles: true })) }")
    save = page.get_by_role("button", name="Save override")
    for _ in range(30):
        if save.evaluate("it => it === document.activeElement"):
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("listitem").filter(has_text="admin has duty")).to_be_visible()

    fire(tocsin, "DuringTheOverride")
    assert told(page, mail, "DuringTheOverride") == ["admin@shop.example"]
    calendar = page.request.get(tocsin.url + "/api/tocsin/v1/schedules/duty.ics").text()
    assert now_on_call(calendar) == ["On call: admin (duty)"]
    assert noise.lines == []
