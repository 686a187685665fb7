"""A new user: signs in with the printed link, sees this host, watches a URL, sees it go down."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
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

    expect(page.get_by_text("HTTP 200 in")).to_be_visible()
    phases = page.get_by_role("list", name="Phases")
    for phase in ("DNS", "Connect", "First byte", "Body", "Total"):
        expect(phases.get_by_text(phase)).to_be_visible()
    assert noise.lines == []


def test_a_check_that_fails_turns_down_without_a_reload(tocsin, open_browser, service, noise) -> None:
    page = open_browser(tocsin)
    page.get_by_label("URL to watch").fill(service.url)
    page.get_by_role("button", name="Watch", exact=True).click()
    expect(page.get_by_text("HTTP 200 in")).to_be_visible()
    page.locator(".first").get_by_role("link").click()
    expect(page.locator(".verdict strong").first).to_have_text("Up")

    service.status = 503
    service.body = b"<script>document.title = 'owned'</script>"
    page.get_by_role("button", name="Run now").click()
    expect(page.get_by_text("Failed:").first).to_be_visible()
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
    expect(page.get_by_text("Failed:")).to_be_visible()


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


class _Shop(BaseHTTPRequestHandler):
    """A service that exposes metrics, and takes messages."""

    metrics = b"# TYPE shop_orders_total counter\nshop_orders_total 3\n# TYPE shop_seconds histogram\n" + b"".join(
        b"shop_seconds%s 1\n" % part for part in (b'_bucket{le="+Inf"}', b"_count", b"_sum")
    )

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(self.metrics)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_args: Any) -> None: ...


@pytest.fixture
def shop() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Shop)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_a_new_user_takes_every_step_in_the_browser(tocsin: Any, open_browser: Any, noise: Any, shop: str) -> None:
    page = open_browser(tocsin)
    step = page.get_by_role("list").filter(has_text="Watch a URL")
    expect(page.get_by_text("0 of 6 done")).to_be_visible()
    expect(page.get_by_text("nobody is paged")).to_be_visible()

    step.get_by_role("button", name="Scrape a service's metrics").click()
    dialog = page.get_by_role("dialog", name="Scrape something")
    dialog.get_by_label("host:port/metrics").fill(f"{shop}/metrics")
    dialog.get_by_label("Service it belongs to").fill("shop")
    dialog.get_by_role("button", name="What would this do?").click()
    expect(dialog.get_by_text("answers: 2 metrics, 4 samples")).to_be_visible()
    expect(dialog.get_by_role("list", name="Metrics of").get_by_text("shop_orders_total")).to_be_visible()
    dialog.get_by_role("button", name="Add it").click()
    expect(dialog.get_by_text("Added: 1 scrape job.")).to_be_visible()
    dialog.get_by_role("button", name="Done").click()

    step.get_by_role("button", name="Choose where alerts go").click()
    dialog = page.get_by_role("dialog", name="Choose where alerts go")
    dialog.get_by_role("combobox").select_option("webhook")
    dialog.get_by_label("Address").fill(f"http://{shop}/page")
    dialog.get_by_role("button", name="Save").click()
    dialog.get_by_role("button", name="Send test").click()
    expect(dialog.get_by_text(re.compile("webhook .*delivered"))).to_be_visible()
    dialog.get_by_role("button", name="Done").click()
    expect(page.get_by_text("nobody is paged")).to_have_count(0)

    step.get_by_role("button", name="Make yourself on call").click()
    dialog = page.get_by_role("dialog", name="Make yourself on call")
    dialog.get_by_role("button", name="Put me on call").click()
    expect(dialog.get_by_text("is on call, alone for now")).to_be_visible()
    dialog.get_by_role("button", name="Done").click()
    expect(page.get_by_role("region", name="State")).to_contain_text("On call (primary): admin")
    expect(page.get_by_text("3 of 6 done")).to_be_visible()

    page.goto(tocsin.url + "/settings")
    added = page.get_by_role("region", name="Added in the dashboard")
    expect(added.get_by_role("listitem")).to_have_count(3)
    added.get_by_role("button", name=f"Remove {shop}").click()
    added.get_by_role("button", name=f"Really remove {shop}").click()
    expect(added.get_by_role("listitem")).to_have_count(2)
    assert noise.lines == []


RULES = 'groups: [{name: shop, rules: [{alert: NoOrders, expr: "rate(shop_orders_total[5m]) == 0", for: 5m}]}]'
SCRAPED = """\
global: {{scrape_interval: 20s}}
rule_files: [/etc/prometheus/*.rules.yml]
remote_write: [{{url: "http://far.example/write"}}]
scrape_configs:
  - {{job_name: shop, static_configs: [{{targets: ["{shop}"]}}]}}
  - {{job_name: bad, scrape_interval: soon}}
"""
MONITORS = {
    "monitorList": [
        {"name": "Front page", "type": "http", "url": "https://shop.example/", "interval": 60},
        {"name": "A box", "type": "docker", "docker_container": "x"},
    ]
}


def test_files_of_other_programs_say_what_they_would_do_before_they_do_it(
    tocsin: Any, open_browser: Any, noise: Any, shop: str
) -> None:
    page = open_browser(tocsin)
    page.get_by_role("button", name="Import prometheus.yml and rules").click()
    dialog = page.get_by_role("dialog", name="prometheus.yml and rules")
    files = [("prometheus.yml", SCRAPED.format(shop=shop)), ("shop.rules.yml", RULES)]
    dialog.get_by_label("Files").set_input_files(
        [{"name": name, "mimeType": "text/yaml", "buffer": text.encode()} for name, text in files]
    )
    expect(dialog.get_by_text("Will be added: 1 scrape job, 1 group of rules")).to_be_visible()
    expect(dialog.get_by_text("prometheus.yml:6")).to_be_visible()
    expect(dialog.get_by_text("samples are not sent on")).to_be_visible()
    dialog.get_by_role("button", name="Add it").click()
    expect(dialog.get_by_text("Added: 1 scrape job, 1 group of rules.")).to_be_visible()
    dialog.get_by_role("link", name="See the targets").click()
    expect(page.get_by_text(shop).first).to_be_visible()
    page.goto(tocsin.url + "/rules?q=NoOrders")
    expect(page.get_by_text("NoOrders").first).to_be_visible()

    page.goto(tocsin.url + "/")
    page.get_by_role("button", name="Import Uptime Kuma").click()
    dialog = page.get_by_role("dialog", name="Monitors of Uptime Kuma")
    dialog.get_by_text("Or paste the text").click()
    dialog.get_by_label("The backup, or the rows").fill(json.dumps(MONITORS))
    dialog.get_by_role("button", name="What would this do?").click()
    expect(dialog.get_by_text("Docker's socket")).to_be_visible()
    dialog.get_by_role("button", name="Add it").click()
    dialog.get_by_role("link", name="See the checks").click()
    expect(page.get_by_role("link", name="Front page")).to_be_visible()
    assert noise.lines == []


def test_the_page_has_its_heading_while_nothing_can_be_loaded(tocsin: Any, open_browser: Any) -> None:
    page = open_browser(tocsin)
    page.route("**/api/tocsin/v1/overview*", lambda route: route.abort())
    page.goto(tocsin.url + "/")
    expect(page.get_by_role("heading", level=1, name="Overview")).to_be_attached()
