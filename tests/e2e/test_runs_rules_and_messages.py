"""From a check that fails to its run, its rule, its incident and the words of the page that went out; new alerts move nothing."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from tests.e2e.test_every_page import violations
from tests.e2e.test_keyboard_only import CONFIG as ALERTS
from tests.e2e.test_keyboard_only import fire
from tests.fakes.mail import FakeMail

CONFIG = """
checks:
  - {{name: shop, http: "{url}", labels: {{service: shop}}, headers: {{X-Api-Key: our-own-key}}, alert: {{severity: critical}}}}
global: {{smtp_smarthost: "127.0.0.1:{mail}", smtp_from: tocsin@shop.example, smtp_require_tls: false}}
users:
  - {{name: ana, email: ana@shop.example}}
  - {{name: ben, email: ben@shop.example}}
policies:
  - {{name: default, steps: [{{notify: ana, wait: 5m}}, {{notify: ben, wait: 5m}}]}}
"""


@pytest.fixture
def mail() -> Iterator[FakeMail]:
    with FakeMail() as it:
        yield it


def until(look: Any, what: str) -> Any:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.3)
    return pytest.fail(f"waited in vain for {what}")


def calm(page: Page) -> None:
    """What axe says about a page as it stands."""
    found = violations(page)
    assert not found, "\n".join(found)


def test_a_failing_check_leads_to_its_run_its_rule_and_what_the_page_said(
    start_tocsin: Any, open_browser: Any, service: Any, mail: FakeMail, noise: Any
) -> None:
    tocsin = start_tocsin(CONFIG.format(url=service.url, mail=mail.port))
    api = tocsin.url + "/api/tocsin/v1"
    page = open_browser(tocsin, reduced_motion="reduce")
    page.goto(tocsin.url + "/checks/shop")
    expect(page.locator(".verdict strong").first).to_have_text("Up")
    csrf = page.request.get(api + "/session").json()["csrf"]
    headers = {"x-csrf-token": csrf, "origin": tocsin.url}
    page.request.post(api + "/markers", headers=headers, data={"kind": "deploy", "service": "shop", "text": "8f2c"})
    service.status, service.body = 503, b'{"error": "pool exhausted", "token": "of-the-shop"}'

    page.get_by_role("button", name="Run now").click()
    last = page.get_by_role("region", name="Last run")
    expect(last.get_by_text("HTTP 503").first).to_be_visible()
    expect(last.get_by_text("asked for by")).to_be_visible()
    number = until(lambda: page.request.get(api + "/incidents").json()["incidents"], "an incident")[0]["number"]

    # The run: what was asked, where the time went, what came back; nobody's keys.
    runs = page.get_by_role("region", name="Runs")
    runs.locator("summary").first.click()
    runs.get_by_role("link", name=re.compile("The whole run")).first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("HTTP 503")
    expect(page.get_by_role("region", name="Request")).to_contain_text("x-api-key: <hidden>")
    expect(page.get_by_role("region", name="Body")).to_contain_text("pool exhausted")
    expect(page.get_by_role("list", name="Phases")).to_be_visible()
    expect(page.get_by_role("region", name="Places")).to_contain_text("only local looks at it")
    assert "our-own-key" not in page.content() and "of-the-shop" not in page.content()
    calm(page)

    page.goto(tocsin.url + "/checks?window=30d")
    expect(page.get_by_role("img", name=re.compile("last 30 days: down on 1 day"))).to_be_visible()
    calm(page)

    # The incident: the deploy before it, who looked, what is left to do.
    page.goto(f"{tocsin.url}/i/{number}")
    expect(page.get_by_role("region", name="Changed shortly before")).to_contain_text("deploy 8f2c")
    expect(page.get_by_text("admin looked at it")).to_be_visible()
    items = page.get_by_role("region", name="Action items")
    items.get_by_label("Action item", exact=True).fill("raise the pool")
    items.get_by_label("Owner", exact=True).select_option("ben")
    items.get_by_role("button", name="Add").click()
    items.get_by_role("checkbox", name="raise the pool").check()
    page.reload()
    expect(items.get_by_role("checkbox", name="raise the pool")).to_be_checked()
    expect(page.get_by_text("done: raise the pool")).to_be_visible()
    why = page.get_by_role("region", name="Who was told, and why")
    why.get_by_role("combobox").select_option("ben")
    expect(why.get_by_text("which was not reached")).to_be_visible()
    calm(page)

    # What did the page say?
    until(lambda: mail.mails, "the mail")
    page.goto(f"{tocsin.url}/notifications?incident={number}&recipient=ana")
    row = page.locator("li[id^=notification-]").first
    row.locator("summary").click()
    said = row.get_by_role("region", name="What it said")
    expect(said).to_contain_text("Subject: [CRIT #")
    expect(said).to_contain_text("shop is down")
    assert "/ack/1." not in said.inner_text()
    calm(page)

    # The rule behind it.
    page.goto(tocsin.url + "/alerts")
    page.get_by_role("link", name=re.compile("CheckDown")).first.click()
    page.get_by_role("link", name="The rule", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("CheckDown")
    expect(page.get_by_role("region", name="Is it worth its pages?")).to_contain_text("It fired once in 30 days")
    expect(page.get_by_role("region", name="Series", exact=True)).to_contain_text("firing")
    calm(page)
    assert noise.lines == []


def test_a_new_alert_moves_no_row_under_the_pointer(start_tocsin: Any, open_browser: Any, noise: Any) -> None:
    tocsin = start_tocsin(ALERTS)
    page = open_browser(tocsin)
    fire(tocsin, "Zulu")
    page.goto(tocsin.url + "/alerts")
    row = page.locator("#main [id^=alert-]").filter(has_text="Zulu")
    expect(row).to_be_visible()
    row.hover()
    fire(tocsin, "Alpha")
    chip = page.get_by_role("button", name="1 new")
    deadline = time.monotonic() + 40
    while not chip.is_visible() and time.monotonic() < deadline:  # a hand that is about to press is never quite still
        row.hover(position={"x": 300 + int(time.monotonic() * 10) % 40, "y": 20})
        page.wait_for_timeout(100)
    expect(chip).to_be_visible()
    expect(page.get_by_text("Alpha")).to_have_count(0)
    chip.click()
    expect(page.locator("#main [id^=alert-]").filter(has_text="Alpha")).to_be_visible()
    assert noise.lines == []
