"""Given to others: long views as short links, panels as pictures and frames for people who are not signed in."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from playwright.sync_api import expect
from tests.e2e.test_every_page import violations

CLIPBOARD = {"permissions": ["clipboard-read", "clipboard-write"]}


def clipboard(page: Any) -> str:
    return str(page.evaluate("navigator.clipboard.readText()"))


def test_a_link_keeps_its_moment_and_a_long_one_is_short(calm_tocsin: Any, open_browser: Any, noise: Any) -> None:
    page = open_browser(calm_tocsin, **CLIPBOARD)
    page.goto(calm_tocsin.url + "/explore?q=up&mode=table&from=now-3h&mine=kept")
    page.get_by_role("button", name="Copy link to this view").click()
    expect(page.get_by_text("It keeps this moment")).to_be_visible()
    asked = parse_qs(urlsplit(clipboard(page)).query)
    assert asked["mine"] == ["kept"] and asked["q"] == ["up"] and re.fullmatch(r"20\d\d-.*Z", asked["from"][0]) and asked["to"]
    page.get_by_role("button", name="Keep “Last 3h”").click()
    expect(page.get_by_text("whenever it is opened")).to_be_visible()
    assert "from=now-3h" in clipboard(page)

    long = 'up{job=~"' + "|".join(f"a_long_name_of_a_job_{n}" for n in range(100)) + '"}'
    page.goto(calm_tocsin.url + "/explore?mode=table&q=" + quote(long))
    expect(page.get_by_role("heading", name="Explore")).to_be_visible()
    page.keyboard.press("y")
    expect(page.get_by_text("It keeps this moment")).to_be_visible()
    short = clipboard(page)
    assert re.fullmatch(re.escape(calm_tocsin.url) + r"/s/[a-z2-7]{13}", short)
    colleague = open_browser(calm_tocsin)
    colleague.goto(short)
    expect(colleague.get_by_role("heading", name="Explore")).to_be_visible()
    whole = parse_qs(urlsplit(colleague.url).query)
    assert whole["q"] == [long] and whole["from"][0].endswith("Z"), "led to the whole address, with its times"
    assert noise.lines == []


def test_a_panel_is_seen_without_signing_in_and_framed_by_whom_the_configuration_names(
    start_tocsin: Any, open_browser: Any, service: Any
) -> None:
    site = service.url.removesuffix("/health")
    tocsin = start_tocsin(f"web: {{frame_ancestors: ['{site}']}}\n")
    page = open_browser(tocsin)
    page.goto(tocsin.url + "/d/hosts#panel-2")
    expect(page.locator("#panel-2[data-meant]")).to_be_visible()
    page.get_by_role("button", name="Share CPU in use").first.click()
    dialog = page.get_by_role("dialog", name="Share CPU in use")
    dialog.get_by_label("Keep “Last 6 hours” moving").check()
    dialog.get_by_role("button", name="Make a picture and a page").click()
    expect(dialog.get_by_text(f"May be framed by {site}")).to_be_visible()
    picture = dialog.get_by_label("Picture", exact=True).input_value()
    shown = dialog.get_by_label("Page", exact=True).input_value()
    expect(dialog.get_by_role("img")).to_be_visible()
    assert dialog.get_by_role("img").evaluate("async (img) => (await img.decode(), img.naturalWidth)") == 720

    stranger = open_browser(tocsin, sign_in=False)
    assert stranger.request.get(picture).headers["content-type"] == "image/png"
    assert stranger.request.get(picture.replace("instance", "job")).status == 403
    stranger.goto(shown)
    expect(stranger.get_by_role("heading", name="CPU in use")).to_be_visible()
    assert violations(stranger) == [] and violations(page) == []
    stranger.goto(tocsin.url + "/d/hosts")
    expect(stranger.get_by_role("button", name="Sign in")).to_be_visible()

    service.body = (
        f'<!doctype html><iframe src="{shown.replace("&", "&amp;")}"></iframe><iframe src="{tocsin.url}/login"></iframe>'.encode()
    )
    stranger.goto(service.url)
    frames = stranger.frame_locator("iframe >> nth=0")
    expect(frames.get_by_role("heading", name="CPU in use")).to_be_visible()
    expect(stranger.frame_locator("iframe >> nth=1").get_by_role("button", name="Sign in")).to_have_count(0)
