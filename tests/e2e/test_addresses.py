"""Addresses of single things that stand in lists: a rule, a policy, a maintenance window; and of such as are gone."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import expect

CONFIG = """
global: {smtp_smarthost: "127.0.0.1:9", smtp_from: tocsin@shop.example, smtp_require_tls: false}
users: [{name: ana, email: ana@shop.example}, {name: ben, email: ben@shop.example}]
schedules:
  - {name: web, tz: UTC, layers: [{name: only, from: "2020-01-06T09:00", anchor: "2020-01-06T09:00", users: [ana]}]}
  - {name: db, tz: UTC, layers: [{name: only, from: "2020-01-06T09:00", anchor: "2020-01-06T09:00", users: [ben]}]}
policies:
  - {name: shop, steps: [{notify: "schedule:web", wait: 5m}]}
  - {name: stock, steps: [{notify: "schedule:db", wait: 5m}]}
receivers: [{name: ops, policy: shop}]
route: {receiver: ops}
maintenance:
  - {name: move to rack 4, matchers: ['service="shop"'], start: "2026-01-04 02:00", duration: 1h, rrule: FREQ=WEEKLY}
"""


def test_one_rule_one_policy_and_one_window_have_addresses(start_tocsin: Any, open_browser: Any, noise: Any) -> None:
    tocsin = start_tocsin(CONFIG)
    page = open_browser(tocsin)

    page.goto(tocsin.url + "/rules")
    rule = page.locator("details[data-row]").first
    name = rule.locator(".name").inner_text()
    rule.locator("summary").click()
    rule.get_by_role("link", name="Its page").click()
    expect(page.get_by_role("heading", name=name, level=1)).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name=name, level=1)).to_be_visible()
    page.goto(tocsin.url + "/alerts/rules/nowhere/Nothing")
    expect(page.get_by_text("No rule Nothing in a group nowhere")).to_be_visible()

    page.goto(tocsin.url + "/oncall")
    page.get_by_role("link", name="stock").click()
    expect(page.get_by_role("region", name="Ladder").get_by_role("link", name="schedule db")).to_be_visible()
    expect(page.get_by_role("region", name="Ladder")).to_contain_text("ben")
    page.goto(tocsin.url + "/oncall/policies/gone")
    expect(page.get_by_text("No policy gone")).to_be_visible()

    page.goto(tocsin.url + "/silences")
    page.get_by_role("link", name="move to rack 4").click()
    expect(page.locator("li[aria-current]")).to_contain_text("move to rack 4")
    assert page.url.startswith(tocsin.url + "/maintenance/")
    page.goto(tocsin.url + "/maintenance/gone")
    expect(page.get_by_text("There is no window gone any more.")).to_be_visible()
    assert noise.lines == []


DOWN = """
checks:
  - {name: shop, http: "http://127.0.0.1:9/", every: 5s, labels: {service: shop}}
  - {name: pay, http: "http://127.0.0.1:9/", every: 5s, labels: {service: pay}}
"""


def test_back_and_a_reload_bring_scroll_drawers_and_what_was_ticked(start_tocsin: Any, open_browser: Any, noise: Any) -> None:
    tocsin = start_tocsin(DOWN)
    page = open_browser(tocsin, height=500)
    page.goto(tocsin.url + "/incidents")
    box = page.get_by_role("checkbox", name="Select #1")
    box.check()
    page.get_by_role("link", name="#1").first.click()
    expect(page).to_have_url(tocsin.url + "/i/1")
    page.go_back()
    expect(box).to_be_checked()
    for name in ("Alerts", "Incidents"):
        page.get_by_role("navigation").get_by_role("link", name=name).first.click()
    expect(page.get_by_role("checkbox", name="Select #1")).not_to_be_checked()

    page.goto(tocsin.url + "/rules")
    rule = page.locator("details[data-row]").nth(12)
    rule.locator("summary").click()
    rule.get_by_role("link", name="Its page").scroll_into_view_if_needed()
    y = page.evaluate("scrollY")
    assert y > 200
    rule.get_by_role("link", name="Its page").click()
    expect(page.locator("details[data-row]")).to_have_count(0)
    page.go_back()
    there = "y => Math.abs(scrollY - y) < 3 && document.querySelectorAll('details[data-row]')[12]?.open"
    page.wait_for_function(there, arg=y)
    page.reload()
    page.wait_for_function(there, arg=y)
    page.go_forward()
    expect(page.locator("details[data-row]")).to_have_count(0)

    # A scope: what is counted is counted in it, again and again, and the page says of what it is.
    page.goto(tocsin.url + "/")
    expect(page.locator("h1")).to_contain_text("0 of 2 checks up")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/api/tocsin/v1/overview" in request.url else None)
    page.goto(tocsin.url + "/?scope=service=shop")
    expect(page.locator("h1")).to_contain_text("0 of 1 checks up")
    expect(page.get_by_text('Figures, counts and changes of service="shop"')).to_be_visible()
    with page.expect_response(lambda answer: "/api/tocsin/v1/overview" in answer.url):
        pass
    page.get_by_role("navigation", name="Pages", exact=True).locator('a[href^="/checks"]').click()
    expect(page.locator("[data-row]")).to_have_count(1)
    assert asked and all("scope=" in url for url in asked), asked
    page.get_by_role("button", name="Remove service=shop").click()
    expect(page.locator("[data-row]")).to_have_count(2)
    assert noise.lines == []


def test_what_is_common_to_all_addresses_works_where_it_means_something(calm_tocsin: Any, open_browser: Any, noise: Any) -> None:
    page = open_browser(calm_tocsin, timezone_id="Europe/Paris")
    page.goto(calm_tocsin.url + "/rules?q=Disk&theme=contrast&mine=kept&tz=Asia/Tokyo")
    assert page.evaluate("document.documentElement.dataset.theme") == "contrast"
    filtered = page.get_by_role("searchbox", name="Filter rules")
    expect(filtered).to_have_value("Disk")
    filtered.fill("Host")
    expect(page).to_have_url(calm_tocsin.url + "/rules?theme=contrast&mine=kept&tz=Asia/Tokyo&q=Host")
    page.get_by_role("link", name="Hosts", exact=True).first.click()
    expect(page).to_have_url(calm_tocsin.url + "/hosts?tz=Asia/Tokyo&theme=contrast")
    assert page.locator("#time-range").inner_text().split() == ["Last", "1", "hour", "Asia/Tokyo"]

    # The zone that is chosen lasts, an address goes first, and one key is UTC; the axis says which it is.
    axis = page.get_by_title("Times in")
    page.locator("#time-range").click()
    page.get_by_label("Time zone").select_option("Asia/Tokyo")
    page.keyboard.press("Escape")
    expect(page).to_have_url(calm_tocsin.url + "/hosts?theme=contrast")
    page.goto(calm_tocsin.url + "/explore?q=vector(1)")
    expect(axis).to_have_text("Times in +09:00")
    page.keyboard.press("z")
    expect(axis).to_have_text("Times in UTC")
    page.keyboard.press("z")
    expect(axis).to_have_text("Times in +09:00")
    page.goto(calm_tocsin.url + "/explore?q=vector(1)&tz=browser")
    expect(axis).to_have_text(re.compile("CES?T"))
    page.goto(calm_tocsin.url + "/d/hosts?tz=nowhere&from=1700000000000&to=2023-11-15T00:00:00Z&kiosk=1")
    expect(page.get_by_text("No series in this range").first).to_be_visible()
    expect(page.get_by_role("banner")).to_have_count(0)

    # Frozen by the address: nothing is asked again until somebody says so.
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/api/tocsin/v1/overview" in request.url else None)
    page.goto(calm_tocsin.url + "/?refresh=off")
    expect(page.get_by_role("button", name="paused")).to_be_visible()
    before = len(asked)
    page.goto(calm_tocsin.url + "/hosts?refresh=5s")
    hosts: list[str] = []
    page.on("request", lambda request: hosts.append(request.url) if "/hosts" in request.url or "/query" in request.url else None)
    with page.expect_request(lambda request: "/api/" in request.url and "/changes" not in request.url):
        pass
    assert before <= 2 and "refresh=5s" in page.url
    page.keyboard.press("l")
    expect(page.get_by_role("button", name="paused")).to_be_visible()
    assert noise.lines == []
