"""A night at a service: found in the table, narrowed to a route, an instance, a change; and how the month went."""

from __future__ import annotations

import csv
import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, TimeoutError, expect
from tests.e2e.shop import Shop
from tests.e2e.test_every_page import violations

SERIES = 'http_server_request_duration_seconds_count{service="shop"'
GOOD = f'1 - sum(rate({SERIES},http_response_status_code=~"5.."}}[$window])) / sum(rate({SERIES}}}[$window]))'


def configuration(shop: Shop) -> str:
    return json.dumps(
        {
            "checks": [
                {"name": "shop", "http": f"http://{shop.address}/", "every": "5s", "labels": {"service": "shop"}},
                {
                    "name": "payments",
                    "http": f"http://{shop.address}/health",
                    "every": "1s",
                    "labels": {"service": "payments"},
                    "alert": {"severity": "critical"},
                },
            ],
            "scrape_configs": [
                {
                    "job_name": "shop",
                    "scrape_interval": "1s",
                    "scrape_timeout": "1s",
                    "static_configs": [{"targets": [shop.address]}],
                }
            ],
            "services": [
                {"name": "shop", "owner": "web", "runbook": "https://wiki.example/shop", "depends_on": ["payments"]},
                {"name": "storefront", "depends_on": ["shop"]},
            ],
            "slos": [
                {"name": "shop answers", "service": "shop", "target": 0.99, "expr": GOOD, "alert": {"page": False}},
                {"name": "payments are up", "service": "payments", "target": 0.999, "check": "payments"},
            ],
        }
    )


@pytest.fixture
def shop() -> Iterator[Shop]:
    it = Shop()
    yield it
    it.stop()


def asked(page: Page) -> list[str]:
    """Requests for data from now on; the stream and who is signed in do not count."""
    urls: list[str] = []
    page.on("request", lambda request: urls.append(request.url) if "/api/" in request.url else None)
    return urls


def told(tocsin: Any, page: Page, text: str) -> None:
    session = page.request.get(tocsin.url + "/api/tocsin/v1/session").json()
    sent = page.request.post(
        tocsin.url + "/api/tocsin/v1/markers",
        data={"kind": "deploy", "service": "shop", "text": text},
        headers={"x-csrf-token": session["csrf"], "origin": tocsin.url},
    )
    assert sent.status == 201


def test_from_the_table_to_the_route_that_fails(start_tocsin: Any, open_browser: Any, noise: Any, shop: Shop) -> None:
    shop.fail()
    tocsin = start_tocsin(configuration(shop))
    page = open_browser(tocsin)
    told(tocsin, page, "8f2c")
    urls = asked(page)
    page.goto(tocsin.url + "/services")
    row = page.locator("#service-shop")
    expect(row).to_contain_text("deploy 8f2c")
    expect(row).to_contain_text(re.compile(r"\d %.*\d s"), timeout=40_000)  # rates need a few scrapes
    data = [url for url in urls if re.search(r"/(services|slos|query|query_range)\b", url)]
    assert data and not [url for url in data if "query" in url], "the table asks the server for rows, not the store"
    expect(page.locator("#service-payments")).to_contain_text("Critical")
    expect(row).to_contain_text("×", timeout=40_000)  # an objective burns

    # Any heading sorts, and the address says so; the columns are chosen.
    page.get_by_role("button", name="Service", exact=True).click()
    expect(page).to_have_url(tocsin.url + "/services?sort=name")
    expect(page.locator("tbody tr").first).to_contain_text("payments")
    page.get_by_role("button", name="p95").click()
    expect(page.locator("tbody tr").first).to_contain_text("shop")
    expect(page.get_by_role("columnheader", name="p95")).to_have_attribute("aria-sort", "descending")
    page.get_by_text("Columns", exact=True).click()
    page.get_by_label("p99").uncheck()
    expect(page.get_by_role("columnheader", name="p99")).to_have_count(0)
    assert "cols=" in page.url and "p99" not in page.url
    assert violations(page) == []
    page.keyboard.press("Escape")

    page.get_by_role("link", name="shop", exact=True).click()
    expect(page.get_by_role("heading", name="shop", exact=True)).to_be_visible()
    expect(page.get_by_text("SLO 99 %")).to_be_visible()
    expect(page.get_by_role("region", name="It depends on what is in trouble")).to_contain_text("payments")
    page.get_by_role("link", name="Routes").click()
    expect(page).to_have_url(re.compile(r"/services/shop/routes"))
    expect(page.get_by_role("region", name="Routes, scrolls").locator("tbody tr").first).to_contain_text("/pay")
    expect(page.get_by_text(re.compile("/pay makes \\d+ % of the errors"))).to_be_visible()
    page.get_by_role("link", name="Instances").click()
    expect(page.get_by_role("region", name="Instances, scrolls")).to_contain_text(shop.address)
    # The map's last column stands at a whole half minute, and it is asked for again every 15 s.
    expect(page.get_by_role("img", name=re.compile("Errors by instance: most"))).to_be_visible(timeout=60_000)
    assert violations(page) == []
    page.get_by_role("link", name="Dependencies").click()
    expect(page.get_by_role("list", name="Callers")).to_contain_text("storefront")
    page.get_by_role("link", name="SLO", exact=True).click()
    answers = page.get_by_role("region", name="shop answers", exact=True)
    expect(answers).to_contain_text("may fail")
    rule = answers.get_by_role("link", name="Rule for 1× over 3d: warning")
    expect(rule).to_have_attribute("href", re.compile("/alerts/rules/slos.*shop.*/ErrorBudgetBurn"))
    assert violations(page) == []
    page.get_by_role("link", name="Changes").click()
    page.get_by_role("link", name="8f2c").click()
    expect(page).to_have_url(re.compile(r"/services/shop\?from=.*&to="))
    assert noise.lines == []


def test_each_red_chart_zooms_compares_and_is_explained(start_tocsin: Any, open_browser: Any, noise: Any, shop: Shop) -> None:
    tocsin = start_tocsin(configuration(shop))
    page = open_browser(tocsin)
    page.goto(tocsin.url + "/services/shop?from=now-2m")
    page.get_by_label("compare with").select_option("last week, same weekday")
    expect(page).to_have_url(re.compile("compare=1w"))
    page.get_by_label("compare with").select_option("nothing")
    for title, words in (("Rate", "requests"), ("Errors", "5.."), ("Duration", "bucket")):
        plot = page.get_by_role("region", name=title, exact=True).locator(".u-over")
        expect(plot).to_be_visible(timeout=40_000)
        page.keyboard.down("Shift")
        drag(page, plot)
        page.keyboard.up("Shift")
        dialog = page.get_by_role("dialog", name="Explain")
        expect(dialog).to_be_visible()
        expect(dialog.locator("code").last).to_contain_text(words if words != "requests" else "http_server_request")
        page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
    drag(page, page.get_by_role("region", name="Rate", exact=True).locator(".u-over"))
    page.get_by_role("toolbar", name="Selected time").get_by_role("button", name=re.compile("Zoom")).click()
    expect(page).to_have_url(re.compile(r"from=20.*&to=20"))
    assert noise.lines == []


def drag(page: Page, plot: Any) -> None:
    """Over the later part; a chart that is drawn anew meanwhile is dragged over once more."""
    selected = page.get_by_role("dialog", name="Explain").or_(page.get_by_role("toolbar", name="Selected time"))
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        plot.evaluate("it => it.scrollIntoView({ block: 'center' })")  # not under the page's head
        box = plot.bounding_box()
        if box is not None:
            page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 40)
            page.mouse.down()
            page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + 60, steps=6)
            page.mouse.up()
            try:  # what opens is drawn with the next frame: a second drag at once would close it again
                selected.wait_for(timeout=2_000)
                return
            except TimeoutError:
                continue
        page.wait_for_timeout(200)
    raise AssertionError("dragging over the chart selects nothing")


def test_a_report_of_each_kind_has_an_address_and_a_file(start_tocsin: Any, open_browser: Any, noise: Any, shop: Shop) -> None:
    shop.fail()
    tocsin = start_tocsin(configuration(shop))
    page = open_browser(tocsin)
    page.goto(tocsin.url + "/reports?period=7d")
    page.get_by_role("link", name="Uptime").click()
    expect(page).to_have_url(re.compile(r"/reports/uptime\?(period=7d&compare=prev|compare=prev&period=7d)$"))
    # Measured figures end with the last ten minutes: a fresh installation has none yet, and says so.
    expect(
        page.get_by_role("region", name="Checks", exact=True).or_(page.get_by_text("Nothing is known of any check"))
    ).to_be_visible()
    page.get_by_role("link", name="SLO").click()
    objectives = page.get_by_role("region", name="Objectives", exact=True)
    expect(objectives).to_contain_text("payments are up")
    expect(objectives.get_by_role("columnheader", name="Before")).to_be_visible()
    page.get_by_role("button", name="Comparing").click()
    expect(objectives.get_by_role("columnheader", name="Before")).to_have_count(0)
    with page.expect_download() as download:
        objectives.get_by_role("button", name="CSV").click()
    rows = list(csv.DictReader(download.value.path().read_text().splitlines()))
    assert {row["Objective"] for row in rows} == {"shop answers", "payments are up"}
    assert {float(row["Target"]) for row in rows} == {0.99, 0.999}
    assert violations(page) == []
    for name in ("Performance", "Alerts", "On-call"):
        page.get_by_role("link", name=name).last.click()
        expect(page.get_by_role("heading", name="Reports")).to_be_visible()
        expect(page.get_by_text("could not be loaded")).to_have_count(0)
    assert noise.lines == []
