"""Asking the store: completion, graph and table from the address; and what is different about a spike."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import expect
from tests.e2e.shop import Shop
from tests.e2e.test_every_page import violations

SCRAPES = 15
"""Of the shop, a second apart, before and after it breaks: enough to tell one from the other."""
SCRAPE = 'scrape_configs: [{{job_name: shop, scrape_interval: 1s, static_configs: [{{targets: ["{address}"]}}]}}]\n'


@pytest.fixture
def shop() -> Iterator[Shop]:
    it = Shop()
    yield it
    it.stop()


def test_a_metric_is_completed_run_and_read_as_graph_and_table(calm_tocsin: Any, open_browser: Any, noise: Any) -> None:
    page = open_browser(calm_tocsin)
    page.goto(calm_tocsin.url + "/explore")
    expect(page.locator(".cm-content")).to_be_visible()  # the editor has taken the plain box's place
    box = page.get_by_role("textbox", name="PromQL expression")
    box.press_sequentially("sum by (inst")
    expect(page.get_by_role("option", name="instance", exact=True)).to_be_visible()
    page.keyboard.press("Tab")
    expect(box).to_contain_text("instance")  # what is taken may still be on its way
    page.keyboard.type(") (node_lo")
    expect(page.get_by_role("option", name="node_load1", exact=True)).to_be_visible()
    page.keyboard.press("Tab")
    expect(box).to_contain_text("node_load1")
    page.keyboard.type(")")
    expect(box).to_have_text("sum by (instance) (node_load1)")
    page.keyboard.press("Enter")

    # The graph stands on whole steps: the first sample of a program that has just started shows with the next one.
    canvas = page.locator(".plot canvas")
    for _ in range(10):
        if canvas.is_visible():
            break
        page.wait_for_timeout(3_000)
        page.get_by_role("button", name="Run").click()
    expect(canvas).to_be_visible()
    expect(page).to_have_url(re.compile(r"q=sum\+by"))
    page.get_by_role("button", name="Table", exact=True).click()
    expect(page.get_by_role("columnheader", name="instance")).to_be_visible()

    # What is wrong is said in the words of the parser, and nothing typed is lost.
    box.fill("sum(")
    page.keyboard.press("Enter")
    expect(page.get_by_text("The query failed")).to_be_visible()
    expect(box).to_have_text("sum(")
    expect(page.locator(".cm-lintRange-error")).to_be_visible()
    # The browser itself reports the answer 400 of the wrong expression; nothing else.
    assert [line for line in noise.lines if "400" not in line] == []


def test_tab_waits_for_names_that_are_on_their_way_and_leaves_when_pressed_again(calm_tocsin: Any, open_browser: Any) -> None:
    page = open_browser(calm_tocsin)
    held: list[Any] = []
    page.route("**/api/v1/label/__name__/values*", lambda route: held.append(route))
    page.goto(calm_tocsin.url + "/explore")
    expect(page.locator(".cm-content")).to_be_visible()
    box = page.get_by_role("textbox", name="PromQL expression")
    box.press_sequentially("node_load1")
    page.keyboard.press("Backspace")  # node_load: names are asked for, and nobody has answered yet
    page.keyboard.press("Tab")
    expect(box).to_be_focused()
    for route in held:
        route.continue_()
    expect(box).to_have_text("node_load1")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name=re.compile("^Run"))).to_be_focused()


def test_an_expression_is_built_taken_apart_and_its_lines_hidden(calm_tocsin: Any, open_browser: Any, noise: Any) -> None:
    page = open_browser(calm_tocsin)
    page.goto(calm_tocsin.url + "/explore?q=rate(node_cpu_seconds_total[1m])&from=now-5m")
    page.get_by_role("button", name="Builder").click()
    page.get_by_label("Together").select_option("sum")
    page.get_by_label("for each").fill("mode")
    page.get_by_label("for each").press("Tab")
    expect(page.locator(".cm-content")).to_have_text("sum by (mode) (rate(node_cpu_seconds_total[1m]))")
    rows = page.locator(".rows tbody tr")
    _until(page, lambda: rows.count() > 3)
    rows.first.get_by_role("button").click(modifiers=["Alt"])
    expect(page.locator(".rows tr.off")).to_have_count(1)
    page.get_by_role("button", name="1 hidden, show").click()
    expect(page.locator(".rows tr.off")).to_have_count(0)
    expect(page.get_by_text(re.compile(r"\d+ series, .* samples read, step"))).to_be_visible()
    expect(page.get_by_role("listitem").filter(has_text="counter").first).to_be_visible()  # what the metric means

    page.get_by_label("draw").select_option("stacked")
    expect(page).to_have_url(re.compile("fill=stacked"))
    page.get_by_label("compare with").select_option("1d")
    page.get_by_role("button", name="Explain query").click()
    part = page.get_by_role("row").filter(has_text="range").filter(has_text="node_cpu_seconds_total[1m]")
    expect(part.last).to_be_visible()
    page.get_by_role("button", name="Heat-map").click()
    expect(page.locator("canvas")).to_be_visible()
    assert violations(page) == []
    page.go_back()  # from what the builder made to what was asked first
    expect(page.locator(".cm-content")).not_to_contain_text("by (mode)")
    _several_in_one_chart(page, calm_tocsin.url)
    assert noise.lines == []


def _several_in_one_chart(page: Any, url: str) -> None:
    """Of one unit in one chart, of another in another; switched off by letter; one chart each when that is wanted."""
    page.goto(url + "/explore?q=node_load1&q=node_load5&q=node_memory_MemAvailable_bytes&from=now-5m")
    both = page.get_by_role("region", name="Graph of A, B", exact=True)
    expect(both.get_by_role("button", name="A node_load1", exact=True)).to_be_visible()
    expect(both.get_by_role("button", name="B node_load5", exact=True)).to_be_visible()
    expect(page.get_by_role("region", name="Graph of C", exact=True)).to_contain_text("C · bytes")
    page.get_by_label("compare with").select_option("prev")
    assert violations(page) == []
    page.get_by_role("button", name="Show B", exact=True).click()
    expect(page).to_have_url(re.compile("off=B"))
    expect(page.get_by_role("region", name="Graph of A", exact=True)).to_be_visible()
    expect(both).to_have_count(0)
    page.get_by_role("button", name="Remove Expression A").click()  # what was B is A now, and off
    expect(page).to_have_url(re.compile("off=A"))
    page.get_by_role("button", name="Show A", exact=True).click()
    page.get_by_role("button", name="One chart each").click()
    expect(page).to_have_url(re.compile("each=1"))
    expect(page.get_by_role("region", name="Graph of A", exact=True)).to_have_count(0)
    expect(page.locator(".rows tbody tr").filter(has_text="node_load5").first).to_be_visible()


def _until(page: Any, true: Callable[[], bool]) -> None:
    """The first samples of a program that has just started show with the next step of a graph."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not true():
        page.wait_for_timeout(500)
    assert true()


def _scrapes(page: Any, url: str, since_ms: int) -> int:
    """How often the shop was scraped, and answered."""
    found = page.request.get(url + "/api/v1/query", params={"query": 'up{job="shop"}[5m]'}).json()["data"]["result"]
    return sum(t_s * 1000 >= since_ms and value == "1" for one in found for t_s, value in one["values"])


def test_a_spike_is_explained_by_the_route_that_breaks(start_tocsin: Any, open_browser: Any, shop: Shop) -> None:
    tocsin = start_tocsin(SCRAPE.format(address=shop.address))
    page = open_browser(tocsin)
    page.goto(tocsin.url + "/services/shop")
    expect(page.get_by_role("heading", name="Errors")).to_be_visible()
    # A spike needs a before and an after: as many scrapes of each.
    _until(page, lambda: _scrapes(page, tocsin.url, 0) >= SCRAPES)
    shop.fail()
    broke_ms = round(time.time() * 1000)
    _until(page, lambda: _scrapes(page, tocsin.url, broke_ms) >= SCRAPES)
    length_ms = round(time.time() * 1000) - broke_ms
    page.goto(f"{tocsin.url}/services/shop?from={broke_ms}&to={broke_ms + length_ms}")
    page.get_by_role("button", name="Explain this time range").click()
    first = page.get_by_role("region", name="Explain").get_by_role("listitem").first
    expect(first).to_contain_text('http_route="/pay"')
    first.get_by_role("link").click()
    expect(page.locator(".cm-content")).to_contain_text('http_route="/pay"')
    assert f"from={broke_ms}" in page.url or "from=2" in page.url

    # The same by dragging over a chart: any chart, and the answer leads on to the same place.
    page.goto(f"{tocsin.url}/services/shop?from={broke_ms - length_ms}&to={broke_ms + length_ms}")
    plot = page.get_by_role("region", name="Errors").locator(".u-over")
    expect(plot).to_be_visible()
    page.wait_for_load_state("networkidle")  # lines that come in may draw the chart anew
    box = plot.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.95, box["y"] + 60, steps=8)
    page.mouse.up()
    page.get_by_role("toolbar", name="Selected time").get_by_role("button", name="Explain").click()
    dialog = page.get_by_role("dialog", name="Explain")
    expect(dialog.get_by_role("listitem").first).to_contain_text('http_route="/pay"')
    dialog.get_by_role("listitem").first.get_by_role("link").click()
    expect(page.locator(".cm-content")).to_contain_text('http_route="/pay"')
