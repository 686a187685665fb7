"""Somebody from outside, with JavaScript off: the public status page, and nothing behind it."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from playwright.sync_api import expect
from tests.fakes.issuer import SECRET, FakeIssuer
from tests.fakes.mail import FakeMail

CONFIG = """
checks:
  - {{name: shop-internal-name, http: "{service}", every: 5s, labels: {{service: shop}}}}
status_pages:
  - {{slug: shop, title: The Shop, components: [{{name: Website, checks: [shop-internal-name]}}]}}
"""


def statuspage(tocsin: Any, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "tocsin"), "statuspage", *arguments, "--data-dir", "data"]
    return subprocess.run(command, cwd=tocsin.folder, capture_output=True, text=True, timeout=60)


def without_place(text: str) -> str:
    """The page without the moment it was made, where its files are, and the form that a copy elsewhere cannot have."""
    text = re.sub(r'<h2 id="subscribe">.*?</form><p[^>]*>[^<]*</p>', "", text, flags=re.DOTALL)
    return re.sub(r"As of [^<]*|/static/|/status/shop/|\d+\.\d+ % up|form-action '(self|none)'", "", text)


def test_the_status_page_without_javascript_tells_what_is_mapped_and_nothing_else(
    start_tocsin: Any, open_browser: Any, service: Any, noise: Any
) -> None:
    tocsin = start_tocsin(CONFIG.format(service=service.url))
    page = open_browser(tocsin, sign_in=False, java_script_enabled=False)
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        page.goto(tocsin.url + "/status/shop")
        if page.get_by_text("Operational", exact=True).count():
            break
        page.wait_for_timeout(300)
    expect(page.get_by_role("heading", name="The Shop")).to_be_visible()
    expect(page.get_by_text("All systems are operational.")).to_be_visible()
    row = page.get_by_role("listitem").filter(has_text="Website")
    expect(row.get_by_role("img", name=re.compile(r"up in \d+ days?"))).to_be_visible()

    with urlopen(tocsin.url + "/status/shop", timeout=10) as answer:
        body = answer.read()
    assert len(gzip.compress(body)) <= 14 * 1024
    for secret in ("shop-internal-name", "127.0.0.1", service.url, "<script"):
        assert secret not in body.decode(), secret
    with urlopen(Request(tocsin.url + "/status/shop/status.json"), timeout=10) as answer:
        assert "shop-internal-name" not in answer.read().decode()

    service.status = 503
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        page.goto(tocsin.url + "/status/shop")
        if page.get_by_text("Affected: Website.").count():
            break
        page.wait_for_timeout(500)
    expect(page.get_by_text("Down", exact=True)).to_be_visible()
    publish = ["publish", "1", "A cable is <cut>.", "--state", "identified", "--title", "Orders fail"]
    while statuspage(tocsin, *publish).returncode and time.monotonic() < deadline:
        page.wait_for_timeout(500)
    page.reload()  # a page may be kept for 15 s
    expect(page.get_by_role("article").filter(has_text="Orders fail")).to_contain_text("A cable is <cut>.")
    served = page.content()
    assert noise.lines == []
    tocsin.stop()
    exported = statuspage(tocsin, "export", "shop", "copy", "-c", str(tocsin.config))
    assert exported.returncode == 0, exported.stderr
    assert set(os.listdir(tocsin.folder / "copy")) == {"index.html", "pages.css", "feed.atom", "status.json"}
    page.goto((tocsin.folder / "copy" / "index.html").as_uri())
    assert without_place(page.content()) == without_place(served)


MAILED = """
global: {{smtp_smarthost: "127.0.0.1:{mail}", smtp_from: status@shop.example, smtp_require_tls: false}}
checks:
  - {{name: shop-internal-name, http: "{service}", every: 5s, labels: {{service: shop}}}}
status_pages:
  - {{slug: shop, title: The Shop, components: [{{name: Website, checks: [shop-internal-name]}}]}}
"""


def the_mail(server: FakeMail, page: Any, wanted: str) -> dict[str, Any]:
    """The first mail whose subject holds the words, once it is there."""
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        if found := [mail for mail in server.mails if wanted in mail["subject"]]:
            return found[0]
        page.wait_for_timeout(200)
    raise AssertionError(f"no mail about {wanted!r}; there are {[mail['subject'] for mail in server.mails]}")


def test_a_visitor_follows_by_mail_what_a_responder_publishes_and_leaves(
    start_tocsin: Any, open_browser: Any, service: Any, noise: Any
) -> None:
    with FakeMail() as server:
        tocsin = start_tocsin(MAILED.format(service=service.url, mail=server.port))
        visitor = open_browser(tocsin, sign_in=False, java_script_enabled=False)
        visitor.goto(tocsin.url + "/status/shop")
        visitor.get_by_label("Your mail address").fill("visitor@elsewhere.example")
        visitor.get_by_role("button", name="Send me updates").click()
        expect(visitor.get_by_role("heading", name="Look into your mailbox")).to_be_visible()
        asked = the_mail(server, visitor, "Confirm mails")
        visitor.goto(re.findall(r"http://\S+/confirm/\S+", asked["text"])[0])
        visitor.get_by_role("button", name="Yes, mail me").click()
        expect(visitor.get_by_role("heading", name="You will hear from us")).to_be_visible()

        # A responder publishes in the dashboard, with what is said of a component, and corrects it.
        page = open_browser(tocsin)
        page.goto(tocsin.url + "/statuspages")
        expect(page.get_by_text("One visitor follows it by mail.")).to_be_visible()
        page.get_by_role("button", name="New update").click()
        form = page.get_by_role("dialog", name="New update on The Shop")
        form.get_by_label("What the public calls it").fill("Orders fail")
        form.get_by_label("Website").select_option("degraded")
        form.get_by_role("button", name="Publish").click()
        expect(page.get_by_text("Published; 1 mail under way")).to_be_visible()
        told = the_mail(server, page, "Investigating: Orders fail")
        assert "We are seeing problems with Website" in told["text"] and "shop-internal-name" not in str(told)
        assert told["headers"]["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        page.get_by_role("button", name="Correct").click()
        form = page.get_by_role("dialog", name="Correct an update")
        form.get_by_label("Text").fill("Some orders fail.")
        form.get_by_role("button", name="Save").click()
        expect(page.get_by_role("listitem").filter(has_text="Some orders fail.").first).to_contain_text("edited")
        visitor.goto(tocsin.url + "/status/shop")
        visitor.reload()  # a page may be kept for 15 s
        expect(visitor.get_by_role("article")).to_contain_text("Some orders fail.")
        expect(visitor.get_by_text("Affected: Website.")).to_be_visible()

        # The next update ends the story; then the visitor leaves by the link of any mail, and hears no more.
        page.get_by_role("button", name="Next update").click()
        form = page.get_by_role("dialog", name="Next update")
        form.get_by_role("button", name="Resolved").click()
        form.get_by_role("button", name="Publish").click()
        leave = re.findall(r"http://\S+/leave/\S+", the_mail(server, page, "Resolved: Orders fail")["text"])[0]
        visitor.goto(leave)
        visitor.get_by_role("button", name="Stop these mails").click()
        expect(visitor.get_by_role("heading", name="No more mails")).to_be_visible()
        page.goto(tocsin.url + "/notifications")
        expect(page.locator("strong").filter(has_text="visitor 1 of shop").first).to_be_visible()
        assert "elsewhere.example" not in page.content()
        assert server.broken == [] and noise.lines == []


def test_planned_work_is_made_changed_by_two_and_ended(start_tocsin: Any, open_browser: Any, service: Any, noise: Any) -> None:
    tocsin = start_tocsin(CONFIG.format(service=service.url))
    page = open_browser(tocsin)
    page.goto(tocsin.url + "/silences")
    page.get_by_role("button", name="Plan maintenance").click()
    form = page.get_by_role("dialog", name="Plan maintenance")
    form.get_by_label("Name").fill("Backup")
    form.get_by_label("Alerts that match all of").fill('service="shop"')
    form.get_by_label("Begins").fill("2026-01-01T00:00")
    form.get_by_label("Lasts").fill("23h59m")
    form.get_by_label("Repeats").select_option("FREQ=DAILY")
    form.get_by_label("Why, for colleagues").fill("disks are full")
    form.get_by_label("What status pages say").fill("New disks.")
    expect(form.get_by_role("status")).to_contain_text("Checks: shop-internal-name")
    form.get_by_role("button", name="Plan it").click()
    row = page.get_by_role("listitem").filter(has_text="Backup")
    expect(row).to_contain_text("recurring")

    # Somebody else changes it while this form is open: nothing typed is lost, and nobody is written over unasked.
    row.get_by_role("button", name="Change").click()
    form = page.get_by_role("dialog", name="Change Backup")
    form.get_by_label("Why, for colleagues").fill("mine")
    said = page.request.get(tocsin.url + "/api/tocsin/v1/session").json()
    [window] = page.request.get(tocsin.url + "/api/tocsin/v1/maintenance").json()["windows"]
    theirs = {**window["window"], "comment": "theirs"}
    headers = {"x-csrf-token": said["csrf"], "if-match": f'"{window["etag"]}"'}
    address = f"{tocsin.url}/api/tocsin/v1/maintenance/{window['id']}"
    assert page.request.put(address, data=theirs, headers=headers).status == 200
    assert page.request.put(address, data=theirs, headers=headers).status == 412
    form.get_by_role("button", name="Save").click()
    expect(form.get_by_role("alert")).to_contain_text("Somebody changed this meanwhile")
    expect(form.get_by_label("Why, for colleagues")).to_have_value("mine")
    form.get_by_role("button", name="Load theirs").click()
    expect(form.get_by_label("Why, for colleagues")).to_have_value("theirs")
    form.get_by_label("Why, for colleagues").fill("ours")
    form.get_by_role("button", name="Save").click()
    expect(row).to_contain_text("ours")

    row.get_by_role("button", name="End now").click()
    expect(row.get_by_role("button", name="End now")).to_have_count(0)
    row.get_by_role("button", name="Remove").click()
    row.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("Nothing is planned.")).to_be_visible()
    assert [line for line in noise.lines if "412" not in line] == []


def test_a_page_that_is_not_there_says_so(calm_tocsin: Any, open_browser: Any, noise: Any) -> None:
    page = open_browser(calm_tocsin, sign_in=False, java_script_enabled=False)
    assert page.goto(calm_tocsin.url + "/status/elsewhere").status == 404  # type: ignore[union-attr]
    assert [line for line in noise.lines if "404" not in line] == []


def test_the_sign_in_page_works_without_javascript(calm_tocsin: Any, open_browser: Any) -> None:
    page = open_browser(calm_tocsin, sign_in=False, java_script_enabled=False)
    page.goto(calm_tocsin.url + "/alerts?severity=critical")
    expect(page).to_have_url(re.compile("/login"))
    page.get_by_label("Name").fill("nobody")
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("is not right")
    expect(page.get_by_label("Name")).to_have_value("nobody")


OIDC = """
web:
  oidc:
    {{issuer: "{issuer}", client_id: tocsin, client_secret: "{secret}", label: Sign in with Shop, roles: {{responder: [ops]}}}}
"""


def test_an_identity_provider_signs_in_without_javascript_and_back_to_the_link(start_tocsin: Any, open_browser: Any) -> None:
    with FakeIssuer(int(time.time())) as issuer:
        tocsin = start_tocsin(OIDC.format(issuer=issuer.url, secret=SECRET))
        page = open_browser(tocsin, sign_in=False, java_script_enabled=False)
        page.goto(tocsin.url + "/alerts?severity=critical")
        page.get_by_role("link", name="Sign in with Shop").click()
        expect(page).to_have_url(tocsin.url + "/alerts?severity=critical")
        said = page.request.get(tocsin.url + "/api/tocsin/v1/session").json()
        assert (said["user"]["name"], said["user"]["role"]) == ("ana@shop.example", "responder")
