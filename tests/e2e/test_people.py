"""Who may do what, and who has the pager: accounts, tokens and an override, in the browser against the real program."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import expect
from tests.e2e.test_every_page import violations

DUTY = """
users:
  - {name: admin, email: admin@shop.example}
  - {name: ana, email: ana@shop.example}
policies:
  - {name: default, steps: [{notify: "schedule:duty", wait: 5m}]}
schedules:
  - {name: duty, tz: Europe/Paris, layers: [{name: only, from: "2020-01-06T09:00", anchor: "2020-01-06T09:00", users: [ana]}]}
global: {smtp_smarthost: "127.0.0.1:9", smtp_from: tocsin@shop.example, smtp_require_tls: false}
"""


def test_a_user_is_added_and_disabled_and_the_audit_says_so(tocsin: Any, open_browser: Any, noise: Any) -> None:
    page = open_browser(tocsin)
    page.goto(tocsin.url + "/settings/users")
    page.get_by_role("button", name="Add user").click()
    page.get_by_label("Name to sign in with").fill("ben")
    page.get_by_label("Full name").fill("Ben Okafor")
    page.get_by_label("Password").fill("correct horse battery")
    assert violations(page) == []
    page.get_by_role("button", name="Add user").last.click()
    row = page.get_by_role("listitem").filter(has_text="Ben Okafor")
    expect(row).to_contain_text("responder")
    row.get_by_role("button", name="Edit ben").click()
    page.get_by_label(re.compile("Disabled")).check()
    page.get_by_role("button", name="Save").click()
    expect(row).to_contain_text("disabled: cannot sign in")
    page.get_by_role("link", name="Audit").click()
    expect(page.get_by_text("created account ben")).to_be_visible()
    assert noise.lines == []


def test_a_token_is_shown_once_works_and_is_revoked(tocsin: Any, open_browser: Any) -> None:
    page = open_browser(tocsin)
    page.goto(tocsin.url + "/settings/tokens")
    page.get_by_label("What it is for").fill("deploy script")
    page.get_by_role("button", name="Create token").click()
    secret = page.get_by_label("The token deploy script").input_value()
    anyone = page.context.browser.new_context()  # without the cookies of the page
    with_it = {"authorization": f"Bearer {secret}"}
    assert anyone.request.get(tocsin.url + "/api/tocsin/v1/incidents", headers=with_it).status == 200
    page.reload()
    expect(page.get_by_text("deploy script")).to_be_visible()
    expect(page.get_by_label("The token deploy script")).to_have_count(0)
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Revoke deploy script").click()
    expect(page.get_by_text("No token")).to_be_visible()
    assert anyone.request.get(tocsin.url + "/api/tocsin/v1/incidents", headers=with_it).status == 401
    anyone.close()


def test_a_week_is_covered_over_the_change_of_the_clocks_and_overridden_by_keyboard_alone(
    start_tocsin: Any, open_browser: Any, noise: Any
) -> None:
    tocsin = start_tocsin(DUTY)
    page = open_browser(tocsin, timezone_id="Europe/Paris")
    page.goto(tocsin.url + "/oncall?week=2027-W12")  # its Sunday has 23 hours
    expect(page.get_by_role("button", name=re.compile("^ana, Sun 28"))).to_have_count(1)
    expect(page.get_by_text("Nobody")).to_have_count(0)
    page.goto(tocsin.url + "/oncall")
    page.get_by_role("button", name="Override duty").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Who takes it")).to_be_focused()
    save = page.get_by_role("button", name="Save override")
    for _ in range(30):
        if save.evaluate("it => it === document.activeElement"):
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Overrides")).to_be_visible()
    expect(page.get_by_role("listitem").filter(has_text="admin has duty")).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("^admin, "))).not_to_have_count(0)
    assert violations(page) == []
    assert noise.lines == []


def test_everything_is_found_under_a_route_prefix(start_tocsin: Any, open_browser: Any, noise: Any) -> None:
    tocsin = start_tocsin("web: {route_prefix: /ops/tocsin}\n")
    page = open_browser(tocsin)
    expect(page.get_by_role("heading", name="Tocsin itself")).to_be_visible()
    page.goto(tocsin.url + "/ops/tocsin/settings/tokens")
    expect(page.get_by_role("button", name="Create token")).to_be_visible()
    page.get_by_role("link", name="Incidents").first.click()
    expect(page).to_have_url(re.compile("/ops/tocsin/incidents"))
    assert noise.lines == []
