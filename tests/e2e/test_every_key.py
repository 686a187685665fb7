"""Every key of the table that `?` shows does what the table says; while somebody types, keys are letters."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, expect
from tests.e2e.test_keyboard_only import CONFIG, fire

PLACES = {
    "g o": "/", "g a": "/alerts", "g i": "/incidents", "g s": "/services", "g c": "/checks", "g e": "/explore", "g h": "/hosts",
    "g d": "/dashboards", "g r": "/reports", "g n": "/oncall", "g u": "/rules", "g m": "/notifications",
}  # fmt: skip


class Story:
    """One method for each line of the table, in an order in which nothing disturbs the next."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url, self.dialog = page, url, page.get_by_role("dialog")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def at(self, path: str) -> None:
        self.page.goto(self.url + path)
        expect(self.page.locator("h1").first).to_be_visible()

    def asked(self, name: str, value: str | None) -> None:
        """The address comes to say so."""
        self.page.wait_for_function(
            "([name, value]) => new URLSearchParams(location.search).get(name) === value", arg=[name, value]
        )

    def places(self) -> None:
        for keys, path in PLACES.items():
            self.press(*keys.split())
            self.page.wait_for_url(re.compile(re.escape(self.url + path) + r"(\?.*)?$"))

    def search(self) -> None:
        self.at("/incidents")
        for key in ("/", "Control+k"):
            self.press(key)
            expect(self.dialog.get_by_role("combobox").or_(self.dialog.get_by_role("searchbox"))).to_be_focused()
            self.escape()

    def escape(self) -> None:
        self.press("Escape")
        expect(self.dialog).to_have_count(0)

    def rows(self) -> None:
        self.at('/alerts?m=service="shop"')  # whatever Tocsin says of itself is not meant
        current, boxes = self.page.locator("[data-current]"), self.page.locator("[data-row] input[type=checkbox]")
        expect(boxes).to_have_count(2)
        self.press("j", "j")
        expect(current.locator(".name")).to_have_text("Slow")
        self.press("k")
        expect(current.locator(".name")).to_have_text("Down")
        self.press("x")
        expect(boxes.first).to_be_checked()
        self.press("x")
        expect(boxes.first).not_to_be_checked()
        self.press("Enter")
        expect(self.page.get_by_role("heading", name="Down", level=1)).to_be_visible()

    def many(self) -> None:
        """Keys go to all that is selected before they go to a row."""
        self.at('/alerts?m=service="shop"')  # whatever Tocsin says of itself is not meant
        expect(self.page.locator("[data-row] input[type=checkbox]")).to_have_count(2)
        self.press("j", "x", "j", "x", "s")
        expect(self.dialog.get_by_label(re.compile("match all of"))).to_have_value(re.compile(r'alertname=~"Down\|Slow"'))
        self.escape()
        self.press("a")
        expect(self.page.get_by_text(re.compile("^Acknowledged #1, #2"))).to_be_visible()
        expect(self.page.get_by_text("has it.")).to_have_count(2)
        self.press("u")
        expect(self.page.get_by_text("has it.")).to_have_count(0)

    def incident(self) -> None:
        self.at("/i/1")
        self.press("a")
        expect(self.page.get_by_role("button", name="Give back")).to_be_visible()
        self.press("u")
        expect(self.page.get_by_role("button", name="Acknowledge")).to_be_visible()
        self.press("s")
        expect(self.dialog.get_by_text(re.compile("Matches 1 alert now"))).to_be_visible()
        self.escape()
        self.press("e")
        expect(self.dialog.get_by_role("button", name="Escalate")).to_be_visible()
        self.escape()
        self.press("n")
        box = self.dialog.get_by_label("What you saw or did")
        expect(box).to_be_focused()
        self.press("g", "a", "x")
        expect(box).to_have_value("gax")
        assert self.page.url.endswith("/incidents/1"), "while somebody types, keys are letters"

    def time(self) -> None:
        self.at("/explore")
        self.press("t")
        expect(self.dialog.get_by_text("Everything as it was at")).to_be_visible()
        self.escape()
        self.press("-")
        self.asked("from", "now-2h")
        self.press("+", "+")
        self.asked("from", "now-30m")
        self.press("[")
        self.page.wait_for_function("new URLSearchParams(location.search).get('to')?.endsWith('Z')")
        self.press("]", "]")
        self.asked("to", None)
        self.press("0")
        self.asked("from", None)
        for zone in ("UTC", None):
            self.press("z")
            self.asked("tz", zone)

    def view(self) -> None:
        self.at("/services/shop")
        for value in ("prev", "1d", "1w", None):
            self.press("c")
            self.asked("compare", value)
        live = self.page.get_by_role("button", name=re.compile("live updates"))
        self.press("l")
        expect(live).to_have_attribute("aria-pressed", "true")
        self.press("l")
        expect(live).to_have_attribute("aria-pressed", "false")
        self.press("y")
        expect(self.page.get_by_text("Link copied")).to_be_visible()
        assert "from=" in self.page.evaluate("navigator.clipboard.readText()")
        self.at("/")
        self.press("f")
        self.asked("kiosk", "1")
        self.press("f")
        self.asked("kiosk", None)


def test_every_key_of_the_table_does_what_it_says(start_tocsin: Any, open_browser: Any, noise: Any) -> None:
    tocsin = start_tocsin(CONFIG)
    page = open_browser(tocsin, permissions=["clipboard-read", "clipboard-write"])
    fire(tocsin, "Down", "Slow")
    story = Story(page, tocsin.url)
    told: dict[Callable[[], None], set[str]] = {
        story.places: set(PLACES),
        story.search: {"/ or Ctrl K", "Esc"},
        story.rows: {"j  k", "Enter", "x"},
        story.many: {"a", "s", "u"},
        story.incident: {"a", "s", "e", "n", "u"},
        story.time: {"t", "[  ]", "+  -", "0", "z"},
        story.view: {"c", "l", "y", "f"},
    }
    page.keyboard.press("?")
    shown = page.get_by_role("dialog").locator("kbd")
    expect(shown.first).to_be_visible()
    texts = {text for text in shown.all_text_contents() if text}
    page.keyboard.press("Escape")
    assert texts == {"?"}.union(*told.values()), "the table and what is tried here are the same"
    page.goto(tocsin.url + "/incidents")
    expect(page.locator("#main [id^=incident-]").nth(1)).to_be_visible()
    for tell in told:
        tell()
    assert noise.lines == []
