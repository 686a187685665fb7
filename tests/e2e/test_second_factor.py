"""An account with one-time codes: set up from the page, asked for at the next sign-in, refused when wrong or used before.
And one with a passkey, which takes neither."""

from __future__ import annotations

import re
import time
from typing import Any

from playwright.sync_api import Page, expect
from tests.e2e.everybody import small_targets
from tests.e2e.test_every_page import violations

from tocsin.web.totp import code_at

PASSWORD = "correct horse battery"


def sign_in(page: Page, tocsin: Any, code: str = "") -> None:
    page.goto(tocsin.url + "/login")
    fill(page, code)


def fill(page: Page, code: str = "") -> None:
    page.get_by_label("Name").fill("ben")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("One-time code").fill(code)
    page.get_by_role("button", name="Sign in", exact=True).click()


def code_now(secret: str, ahead: int = 0) -> str:
    """As an authenticator app shows it; `ahead` = the one after it, for a code works once."""
    return code_at(secret, int(time.time() // 30) + ahead)


def test_a_second_factor_is_set_up_and_asked_for(tocsin: Any, open_browser: Any, noise: Any) -> None:
    admin = open_browser(tocsin)
    csrf = admin.request.get(tocsin.url + "/api/tocsin/v1/session").json()["csrf"]
    made = admin.request.post(
        tocsin.url + "/api/tocsin/v1/accounts",
        data={"name": "ben", "role": "responder", "password": PASSWORD},
        headers={"x-csrf-token": csrf, "origin": tocsin.url},
    )
    assert made.ok, made.text()

    # A link from a message leads to the sign-in page, and from there to its very place.
    page = open_browser(tocsin, sign_in=False)
    deep = tocsin.url + "/alerts?severity=critical#main"
    page.goto(deep)
    page.wait_for_url(re.compile(r"/login\?next="))
    noise.lines.clear()  # the browser tells of the 401
    fill(page)
    page.wait_for_url(deep)
    page.goto(tocsin.url + "/")
    page.goto(tocsin.url + "/settings/account")
    card = page.get_by_role("region", name="Second factor")
    card.get_by_role("button", name="Set up").click()
    card.get_by_text("Cannot scan it?").click()
    secret = card.locator(".key").inner_text().replace(" ", "")
    card.get_by_role("textbox", name="Code").fill("000 000" if code_now(secret) != "000000" else "000 001")
    card.get_by_role("button", name="Confirm").click()
    expect(page.get_by_text("Not switched on")).to_be_visible()
    card.get_by_role("textbox", name="Code").fill(code_now(secret))
    card.get_by_role("button", name="Confirm").click()
    expect(card.get_by_text("On: a code from your app is asked for")).to_be_visible()

    again = open_browser(tocsin, sign_in=False)
    sign_in(again, tocsin)
    expect(again.get_by_role("alert")).to_contain_text("is not right")
    code = code_now(secret, ahead=1)
    sign_in(again, tocsin, code)
    again.wait_for_url(tocsin.url + "/")
    third = open_browser(tocsin, sign_in=False)
    sign_in(third, tocsin, code)
    expect(third.get_by_role("alert")).to_contain_text("is not right")
    # The browser itself reports what was refused; nothing else.
    assert [line for line in noise.lines if "(4" not in line and " 4" not in line] == []


def with_authenticator(page: Page) -> None:
    """A device of Chromium's own that says yes, its owner verified, whenever it is asked."""
    device = page.context.new_cdp_session(page)
    device.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    device.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def test_a_passkey_is_made_and_signs_in_at_the_deep_link(tocsin: Any, open_browser: Any, noise: Any) -> None:
    here = tocsin.url.replace("127.0.0.1", "localhost")  # passkeys are made for names
    page = open_browser(tocsin, sign_in=False, width=360, height=740, has_touch=True, is_mobile=True)
    with_authenticator(page)
    page.goto(tocsin.sign_in.replace(tocsin.url, here))
    page.wait_for_url(here + "/")
    page.goto(here + "/settings/account")
    card = page.get_by_role("region", name="Passkeys")
    expect(card.get_by_text("None yet.")).to_be_visible()
    card.get_by_label("Name of a new one").fill("phone")
    card.get_by_role("button", name="Add a passkey").click()
    expect(card.get_by_text("not used yet")).to_be_visible()
    card.get_by_role("button", name="Rename phone").click()
    card.get_by_label("New name of phone").fill("blue key")
    card.get_by_role("button", name="Save").click()
    expect(card.get_by_role("button", name="Rename blue key")).to_be_visible()
    problems = [*violations(page), *small_targets(page)]

    page.goto("about:blank")  # an open page would go to the sign-in page by itself, in the middle of the next step
    page.context.clear_cookies()
    deep = here + "/alerts?severity=critical#main"
    page.goto(deep)
    page.wait_for_url(re.compile(r"/login\?next="))
    button = page.get_by_role("button", name="Sign in with a passkey")
    expect(button).to_be_visible()
    problems += [*violations(page), *small_targets(page)]
    button.click()
    page.wait_for_url(deep)
    page.goto(here + "/settings/account")
    expect(card.get_by_role("listitem")).to_contain_text(", used")
    page.on("dialog", lambda dialog: dialog.accept())
    card.get_by_role("button", name="Remove blue key").click()
    expect(card.get_by_text("None yet.")).to_be_visible()

    page.context.clear_cookies()
    page.goto(here + "/login")
    button.click()
    expect(page.get_by_role("alert")).to_contain_text("not known here")
    # The browser itself reports what was refused; nothing else.
    assert "\n".join([*problems, *(line for line in noise.lines if " 40" not in line and "(40" not in line)]) == ""
