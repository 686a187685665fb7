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
    """The page without the moment it was made and without where its files are."""
    return re.sub(r"As of [^<]*|/static/|/status/shop/|\d+\.\d+ % up", "", text)


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
    expect(row.get_by_role("img", name=re.compile("up in 90 days"))).to_be_visible()

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
