"""A wallboard: a screen that nobody signed in to, turning its pages for months, held by a key, with nothing to press."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page, expect

CONFIG = """
checks:
  - {name: shop, http: "http://127.0.0.1:9/", every: 5s, labels: {service: shop}}
"""


def weight(page: Page) -> dict[str, int]:
    """DOM nodes and listeners that are left when everything that nobody needs is gone."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    counted = session.send("Memory.getDOMCounters")
    session.detach()
    return {name: counted[name] for name in ("nodes", "jsEventListeners", "documents")}


def test_a_screen_signs_in_by_its_link_and_turns_its_pages(start_tocsin: Any, open_browser: Any, noise: Any) -> None:
    tocsin = start_tocsin(CONFIG)
    page = open_browser(tocsin)
    page.get_by_label("Account and theme").click()
    page.get_by_role("button", name="Wallboard…").click()
    dialog = page.get_by_role("dialog", name="Wallboard")
    for name in ("Checks", "Hosts"):
        dialog.get_by_label(name, exact=True).check()
    dialog.get_by_label("Where it hangs").fill("kitchen")
    dialog.get_by_role("button", name="Make a link").click()
    link = dialog.get_by_label("The screen's link").input_value()

    screen = open_browser(tocsin, sign_in=False, width=1920, height=1080)
    screen.goto(link.replace("30s", "2s"))
    expect(screen).to_have_url(tocsin.url + "/?kiosk=1&rotate=2s&pages=/,/checks,/hosts")
    assert "tcs_" not in screen.url
    seen = set()
    began, turns = weight(screen), 0
    steps = screen.evaluate("history.length")

    def next_page() -> None:
        before = screen.url
        screen.wait_for_function("url => location.href !== url", arg=before)
        expect(screen.locator("main h1").first).to_be_visible()
        seen.add(screen.evaluate("location.pathname"))

    while turns < 3:
        next_page()
        turns += 1
    assert seen == {"/", "/checks", "/hosts"}
    began = weight(screen)
    while turns < 9:
        next_page()
        turns += 1
    now = weight(screen)
    assert screen.evaluate("history.length") == steps, "Back is where it was"
    assert now["documents"] <= began["documents"] + 1 and now["jsEventListeners"] <= began["jsEventListeners"] * 1.2 + 20, (
        began,
        now,
    )
    assert now["nodes"] <= began["nodes"] * 1.3 + 300, (began, now)

    while screen.evaluate("location.pathname") != "/checks":
        next_page()
    screen.keyboard.press("Shift")
    expect(screen.get_by_text("held for")).to_be_visible()
    expect(screen.get_by_role("region", name="State").get_by_text("critical")).to_be_visible()
    expect(screen.locator("main :is(button, input, select):visible")).to_have_count(0)
    screen.keyboard.press("ArrowRight")
    expect(screen).to_have_url(tocsin.url + "/hosts?rotate=2s&pages=/,/checks,/hosts&kiosk=1")
    assert screen.request.post(tocsin.url + "/api/tocsin/v1/markers", data={"text": "x"}).status == 403

    token = next(
        one for one in page.request.get(tocsin.url + "/api/tocsin/v1/tokens").json()["tokens"] if "kitchen" in one["name"]
    )
    csrf = page.request.get(tocsin.url + "/api/tocsin/v1/session").json()["csrf"]
    gone = page.request.delete(tocsin.url + f"/api/tocsin/v1/tokens/{token['id']}", headers={"x-csrf-token": csrf})
    assert gone.status == 204
    screen.reload()
    expect(screen.get_by_role("button", name="Sign in")).to_be_visible()
    assert [line for line in noise.lines if "40" not in line] == []
