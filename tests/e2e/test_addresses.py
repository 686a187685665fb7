"""Addresses of single things that stand in lists: a rule, a policy, a maintenance window; and of such as are gone."""

from __future__ import annotations

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
    expect(page.locator("details[data-row][open]").first).to_be_visible()
    page.reload()
    expect(page.locator("details[data-row][open]").first).to_be_visible()
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
