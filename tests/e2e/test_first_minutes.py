"""A new user: signs in with the printed link, sees this host, watches a URL, sees it go down."""

from __future__ import annotations

import re
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from playwright.sync_api import expect


def test_the_first_page_shows_this_host_and_costs_little(tocsin, open_browser, noise) -> None:
    page = open_browser(tocsin)
    page.goto("about:blank")
    answers: list[Any] = []
    page.on("response", lambda response: answers.append(response))
    page.goto(tocsin.url + "/")

    for figure in ("CPU", "Memory", "Disk", "Inodes", "Network", "Load"):
        expect(page.get_by_role("link", name=re.compile(f"^{figure}")).first).to_be_visible(timeout=30_000)
    expect(page.get_by_role("heading", name="Tocsin itself")).to_be_visible()
    expect(page.get_by_text("First five minutes")).to_be_visible()

    first = [answer for answer in answers if not answer.url.endswith("favicon.svg")]
    needed = first[: next(i for i, answer in enumerate(first) if "/overview" in answer.url) + 1]
    assert len(needed) <= 6, [answer.url for answer in needed]
    sizes = {answer.url: int(answer.header_value("content-length") or len(answer.body())) for answer in needed}
    assert sum(sizes.values()) <= 90_000, sizes
    assert noise.lines == []


def test_a_url_is_watched_and_its_first_result_shows_the_phases(tocsin, open_browser, service, noise) -> None:
    page = open_browser(tocsin)
    page.get_by_label("URL to watch").fill(service.url)
    page.get_by_role("button", name="Watch", exact=True).click()

    expect(page.get_by_text("HTTP 200 in")).to_be_visible(timeout=10_000)
    phases = page.get_by_role("list", name="Phases")
    for phase in ("DNS", "Connect", "First byte", "Body", "Total"):
        expect(phases.get_by_text(phase)).to_be_visible()
    assert noise.lines == []


def test_a_check_that_fails_turns_down_without_a_reload(tocsin, open_browser, service, noise) -> None:
    page = open_browser(tocsin)
    page.get_by_label("URL to watch").fill(service.url)
    page.get_by_role("button", name="Watch", exact=True).click()
    expect(page.get_by_text("HTTP 200 in")).to_be_visible(timeout=10_000)
    page.locator(".first").get_by_role("link").click()
    expect(page.locator(".verdict strong").first).to_have_text("Up", timeout=15_000)

    service.status = 503
    service.body = b"<script>document.title = 'owned'</script>"
    page.get_by_role("button", name="Run now").click()
    expect(page.get_by_text("Failed:").first).to_be_visible(timeout=15_000)
    # What the service said is shown as text, never run.
    expect(page.get_by_text("<script>document.title").first).to_be_visible()
    assert "owned" not in page.title()

    # The re-checks after the failure confirm it; the page follows by itself.
    expect(page.locator(".verdict strong").first).to_have_text("Down", timeout=60_000)
    page.get_by_role("navigation", name="Pages", exact=True).get_by_role("link", name="Overview").click()
    expect(page.get_by_role("heading", name="Problems")).to_be_visible()
    assert noise.lines == []


def test_a_name_that_cannot_be_reached_is_said_and_kept_in_the_box(tocsin, open_browser) -> None:
    page = open_browser(tocsin)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        closed = taken.getsockname()[1]
    page.get_by_label("URL to watch").fill(f"http://127.0.0.1:{closed}/")
    page.get_by_role("button", name="Watch", exact=True).click()
    expect(page.get_by_text("Failed:")).to_be_visible(timeout=15_000)


PAGED = """
users: [{{name: admin, contact: [{{webhook: "{pager}"}}]}}]
policies: [{{name: default, steps: [{{notify: admin, wait: 10m}}]}}]
"""


class _Pager(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_args: Any) -> None: ...


def test_breaking_it_pages_for_real_and_mending_ends_it(start_tocsin: Any, open_browser: Any, noise: Any) -> None:
    pager = ThreadingHTTPServer(("127.0.0.1", 0), _Pager)
    threading.Thread(target=pager.serve_forever, daemon=True).start()
    try:
        tocsin = start_tocsin(PAGED.format(pager=f"http://127.0.0.1:{pager.server_address[1]}/"))
        page = open_browser(tocsin)
        page.get_by_role("button", name=re.compile("^Break it")).click()
        dialog = page.get_by_role("dialog", name="Break it")
        dialog.get_by_role("button", name="Break it").click()
        expect(dialog.get_by_text("is open.")).to_be_visible(timeout=30_000)
        expect(dialog.get_by_text("admin by webhook")).to_be_visible(timeout=30_000)
        dialog.get_by_role("button", name="Mend it").click()
        expect(dialog.get_by_text("is resolved.")).to_be_visible(timeout=60_000)
        dialog.get_by_role("button", name="Done").click()
        page.goto(tocsin.url + "/checks")
        expect(page.get_by_text("Break it (drill)")).to_have_count(0)
        assert noise.lines == []
    finally:
        pager.shutdown()
        pager.server_close()


def test_a_pasted_prometheus_yml_says_what_was_understood_and_what_not(tocsin: Any, open_browser: Any) -> None:
    page = open_browser(tocsin)
    page.get_by_role("button", name=re.compile("Scrape a service's metrics")).click()
    dialog = page.get_by_role("dialog", name="Scrape what Prometheus scrapes")
    text = dialog.get_by_role("textbox")
    text.fill("scrape_configs:\n  - job_name: shop\n    scrape_interval: soon\n")
    dialog.get_by_role("button", name="What does Tocsin understand?").click()
    expect(dialog.get_by_text("line 3")).to_be_visible()
    text.fill("shop.example:9100")
    dialog.get_by_role("button", name="What does Tocsin understand?").click()
    expect(dialog.get_by_text("1 target")).to_be_visible()
    expect(dialog.get_by_text("All of it can be used.")).to_be_visible()
