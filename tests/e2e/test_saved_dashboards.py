"""From Explore to a dashboard of one's own: saved, changed, held against what others did, copied, removed and brought back."""

from __future__ import annotations

import re
import time
from typing import Any

from playwright.sync_api import expect
from tests.e2e.test_every_page import violations

API = "/api/tocsin/v1/dashboards"
STATES = {
    "name": "states",
    "title": "States",
    "range": "now-5m",
    "sections": [
        {
            "title": "All",
            "panels": [
                {"title": "Up", "kind": "timeline", "queries": {"{{job}}": "up"}},
                {"title": "Uptime", "kind": "strip", "queries": {"{{job}}": "up"}},
                {"title": "Days", "kind": "calendar", "queries": {"": "up"}},
                {"title": "Load", "kind": "bars", "full": 64, "queries": {"{{instance}}": "node_load1"}},
                {"title": "CPU", "fill": "stacked", "queries": {"{{mode}}": "sum by (mode) (rate(node_cpu_seconds_total[1m]))"}},
                {"title": "Note", "kind": "text", "text": "Look at **load**, see [Explore](/explore), not <b>HTML</b>."},
            ],
        }
    ],
}


def _sent(page: Any, url: str, method: str, path: str, body: Any = None) -> Any:
    """As another browser of the same person would."""
    csrf = page.request.get(url + "/api/tocsin/v1/session").json()["csrf"]
    answer = page.request.fetch(url + path, method=method, data=body, headers={"x-csrf-token": csrf, "origin": url})
    assert answer.ok, answer.text()
    return answer


def test_what_explore_shows_becomes_a_panel_that_is_changed_and_removed(start_tocsin: Any, open_browser: Any, noise: Any) -> None:
    tocsin = start_tocsin()
    page = open_browser(tocsin)
    page.goto(tocsin.url + "/explore?q=node_load1&fill=area")
    page.get_by_role("button", name="Save to dashboard").click()
    dialog = page.get_by_role("dialog", name="Save to a dashboard")
    expect(dialog.get_by_label("Drawn as")).to_have_value("area")
    dialog.get_by_label("Its title").fill("By night")
    dialog.get_by_label("Title", exact=True).fill("Load")
    dialog.get_by_label("Legend").fill("{{instance}}")
    assert violations(page) == []
    dialog.get_by_role("button", name="Save", exact=True).click()
    expect(page).to_have_url(re.compile("/d/by-night"))
    expect(page.get_by_role("region", name="Load, Panels")).to_be_visible()

    page.get_by_role("button", name="Edit", exact=True).click()
    page.get_by_role("button", name="Edit Load").click()
    dialog = page.get_by_role("dialog", name="Edit Load")
    dialog.get_by_label("Title", exact=True).fill("Load of the host")
    # Meanwhile somebody else gives the dashboard another title.
    board = page.request.get(f"{tocsin.url}{API}/by-night/file.yaml").text()
    assert "title: By night" in board
    panel = {"title": "Load", "fill": "area", "queries": {"{{instance}}": "node_load1"}}
    theirs = {"name": "by-night", "title": "Night shift", "range": "now-6h", "sections": [{"title": "Panels", "panels": [panel]}]}
    _sent(page, tocsin.url, "PUT", API + "/by-night", theirs)
    dialog.get_by_role("button", name="Save", exact=True).click()
    expect(dialog.get_by_text("Somebody changed this meanwhile.")).to_be_visible()
    dialog.get_by_role("button", name="Load theirs").click()
    expect(dialog.get_by_label("Title", exact=True)).to_have_value("Load")
    dialog.get_by_label("Shown as").select_option("stat")
    dialog.get_by_label("Critical at").fill("1000")
    dialog.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", name="Night shift")).to_be_visible()
    expect(page.get_by_role("region", name="Load, Panels").locator("strong")).to_be_visible()

    page.get_by_role("button", name="Settings", exact=True).click()
    settings = page.get_by_role("dialog", name="Settings of Night shift")
    settings.get_by_role("button", name="Remove the dashboard").click()
    settings.get_by_role("button", name="Really remove it").click()
    expect(page).to_have_url(re.compile("/dashboards"))
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("heading", name="Night shift")).to_be_visible()
    assert [line for line in noise.lines if "412" not in line] == []


def _moved_and_compared(page: Any, url: str) -> None:
    """By keys, by a button, by hand; what is saved is what is seen."""
    titles = page.locator("[data-index] h2")
    page.goto(url + "/d/states")
    page.get_by_role("button", name="Edit", exact=True).click()
    expect(titles).to_have_text(["Up", "Uptime", "Days", "Load", "CPU", "Note"])
    handle = page.get_by_role("button", name="Move Up: drag it")
    handle.focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("status").get_by_text("Up is now 2 of 6 in All.")).to_be_attached()
    expect(handle).to_be_focused()
    page.get_by_role("button", name="Move Up later").click()
    expect(titles).to_have_text(["Uptime", "Days", "Up", "Load", "CPU", "Note"])
    assert violations(page) == []
    page.get_by_role("button", name="Move Load: drag it").hover()
    page.mouse.down()
    page.get_by_role("region", name="Days, All").get_by_role("heading").hover()
    expect(page.locator(".over h2")).to_have_text("Days")
    page.mouse.up()
    expect(titles).to_have_text(["Uptime", "Load", "Days", "Up", "CPU", "Note"])

    def saved() -> list[str]:
        board = page.request.get(f"{url}{API}/states").json()
        return [panel["title"] for panel in board["sections"][0]["panels"]]

    deadline = time.monotonic() + 20
    while saved()[1] != "Load" and time.monotonic() < deadline:
        page.wait_for_timeout(100)
    assert saved() == ["Uptime", "Load", "Days", "Up", "CPU", "Note"]
    page.get_by_label("compare with").select_option("prev")
    expect(page).to_have_url(re.compile("compare=prev"))


def test_states_strips_calendars_and_texts_are_drawn_and_a_shipped_one_is_copied(
    start_tocsin: Any, open_browser: Any, noise: Any
) -> None:
    tocsin = start_tocsin()
    page = open_browser(tocsin)
    _sent(page, tocsin.url, "POST", API, STATES)
    for width in (1440, 360):
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(tocsin.url + "/d/states")
        note = page.get_by_role("region", name="Note, All")
        expect(note.locator("strong")).to_have_text("load")
        expect(note).to_contain_text("<b>HTML</b>")
        expect(page.get_by_role("region", name="Load, All").locator("svg rect").first).to_be_attached()
        for title, told in (("Up", "States of Up"), ("Uptime", "States of Uptime"), ("Days", "Days of Days")):
            # The first samples of a program that has just started show with the next step of a graph.
            page.get_by_role("button", name=f"table of {title}", exact=True).click(timeout=60_000)
            expect(page.get_by_role("region", name=f"{told}, scrolls").locator("tbody tr").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        assert violations(page) == []
    page.set_viewport_size({"width": 1440, "height": 900})
    _moved_and_compared(page, tocsin.url)
    page.goto(tocsin.url + "/d/hosts")
    page.get_by_role("button", name="Save a copy").click()
    page.get_by_role("dialog", name="Copy Hosts").get_by_role("button", name="Save the copy").click()
    expect(page.get_by_role("heading", name="Hosts (copy)")).to_be_visible()
    expect(page.get_by_role("button", name="Edit", exact=True)).to_be_visible()
    assert noise.lines == []
