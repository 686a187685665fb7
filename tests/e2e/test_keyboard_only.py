"""Triage at 200 % zoom without a mouse: open, acknowledge, silence, note; many alerts at once, assigned to a colleague."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.request import Request, urlopen

from playwright.sync_api import Page, expect

CONFIG = """
global: {smtp_smarthost: "127.0.0.1:9", smtp_from: tocsin@shop.example, smtp_require_tls: false}
users: [{name: ana, email: ana@shop.example}, {name: ben, email: ben@shop.example}]
policies: [{name: default, steps: [{notify: ana, wait: 30m}]}]
receivers: [{name: ops, policy: default}]
route: {receiver: ops, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 4h}
"""


def fire(tocsin: Any, *names: str) -> None:
    alerts = [
        {"labels": {"alertname": name, "severity": "critical", "service": "shop"}, "annotations": {"summary": "5xx"}}
        for name in names
    ]
    sent = Request(tocsin.url + "/api/v2/alerts", json.dumps(alerts).encode(), {"content-type": "application/json"})
    with urlopen(sent, timeout=10) as answer:
        assert answer.status == 200


def tab_to(page: Page, name: str | re.Pattern[str]) -> None:
    """Press Tab until the button of this name has the focus, and see that the focus can be seen."""
    button = page.get_by_role("button", name=name, exact=True).first
    for _ in range(60):
        if button.evaluate("it => it === document.activeElement"):
            seen = button.evaluate(
                "it => { const s = getComputedStyle(it); return s.outlineStyle !== 'none' || s.boxShadow !== 'none' }"
            )
            assert seen, f"nothing shows that {name} has the focus"
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{name} is not reached by Tab")


def fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


def test_triage_by_keyboard_alone_at_twice_the_size(start_tocsin: Any, open_browser: Any, noise: Any) -> None:
    tocsin = start_tocsin(CONFIG)
    # 200 % zoom of a 1280 x 800 window.
    page = open_browser(tocsin, width=640, height=400, device_scale_factor=2)
    fire(tocsin, "CheckoutErrors")
    for key in "ga":
        page.keyboard.press(key)
    expect(page.get_by_role("heading", name="Alerts", level=1)).to_be_visible()  # the page before has rows, too
    expect(page.locator("#main [id^=alert-]").first).to_be_visible(timeout=20_000)
    assert fits(page)
    page.keyboard.press("j")
    page.keyboard.press("s")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text(re.compile("Matches 1 alert now"))).to_be_visible()
    assert fits(page)
    for _ in range(20):
        if dialog.get_by_label("Why").evaluate("it => it === document.activeElement"):
            break
        page.keyboard.press("Tab")
    page.keyboard.type("known; a fix is on its way")
    tab_to(page, "Silence")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Silenced until")).to_be_visible()
    page.keyboard.press("u")  # and taken back

    for key in "gi":
        page.keyboard.press(key)
    expect(page.get_by_role("heading", name="Incidents", level=1)).to_be_visible()
    expect(page.locator("#main [id^=incident-]").first).to_be_visible(timeout=20_000)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Timeline")).to_be_visible()
    assert fits(page)
    page.keyboard.press("a")
    expect(page.get_by_text("has it").first).to_be_visible()
    page.keyboard.press("n")
    page.keyboard.type("rolled back")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text("rolled back")).to_be_visible()
    assert noise.lines == []


def test_many_incidents_are_acknowledged_at_once_and_one_is_assigned(start_tocsin: Any, open_browser: Any, noise: Any) -> None:
    tocsin = start_tocsin(CONFIG)
    page = open_browser(tocsin)
    fire(tocsin, "One", "Two", "Three")
    page.goto(tocsin.url + '/alerts?m=service="shop"')  # whatever Tocsin says of itself is not meant
    expect(page.get_by_role("link", name=re.compile(r"^#\d+$"))).to_have_count(3, timeout=30_000)
    page.get_by_label("Select One").check()
    page.get_by_role("button", name="All 3").click()
    page.get_by_role("button", name="Acknowledge #1, #2, #3").click()
    page.goto(tocsin.url + "/incidents")
    expect(page.get_by_text(re.compile("has it$"))).to_have_count(3)

    page.locator("[data-row] a").first.click()
    page.get_by_label("Assigned to").select_option("ben")
    expect(page.get_by_role("region", name="Timeline").get_by_text("ben", exact=False).first).to_be_visible()
    page.reload()
    expect(page.get_by_label("Assigned to")).to_have_value("ben")
    assert noise.lines == []


def test_filters_groups_and_place_are_the_same_for_a_colleague_with_the_link(
    start_tocsin: Any, open_browser: Any, noise: Any
) -> None:
    tocsin = start_tocsin(CONFIG)
    page = open_browser(tocsin)
    fire(tocsin, "PayErrors", "PaySlow", "SearchSlow")
    page.goto(tocsin.url + "/alerts?severity=critical&groupby=alertname&q=pay")
    rows = page.locator("[data-row]")
    expect(rows).to_have_count(2, timeout=30_000)
    expect(rows.locator(".name")).to_have_text(["PayErrors", "PaySlow"])
    page.get_by_role("link", name="PaySlow").first.click()
    expect(page.get_by_role("heading", name="PaySlow").first).to_be_visible()
    page.go_back()
    expect(rows).to_have_count(2)
    address = page.url

    colleague = open_browser(tocsin, sign_in=False, state=page.context.storage_state())
    colleague.goto(address)
    expect(colleague.locator("[data-row] .name")).to_have_text(["PayErrors", "PaySlow"])
    expect(colleague.get_by_label("Filter alerts")).to_have_value("pay")
    expect(colleague.get_by_role("button", name="critical")).to_have_attribute("aria-pressed", "true")
    assert noise.lines == []
