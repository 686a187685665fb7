"""Every page, in both themes and on a phone: opens without complaint, nothing too wide, no violation found by axe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

AXE = Path(__file__).resolve().parents[2] / "ui" / "node_modules" / "axe-core" / "axe.min.js"
PAGES = {
    "/": "Watch a URL",
    "/alerts": "Alerts",
    "/incidents": "Incidents",
    "/services": "Services",
    "/checks": "Checks",
    "/explore": "Explore",
    "/explore?q=node_load1": "Explore",
    "/explore?q=node_load1&mode=table": "Explore",
    "/oncall": "On-call",
    "/notifications": "Notifications",
    "/silences": "Silences",
    "/maintenance/gone": "Silences",
    "/oncall/policies/gone": "gone",
    "/alerts/rules": "Rules",
    "/alerts/rules/nowhere/Gone": "Gone",
    "/targets": "Targets",
    "/rules": "Rules",
    "/proof": "Is the pager alive?",
    "/self": "Tocsin itself",
    "/settings": "Settings",
    "/settings/account": "Settings",
    "/settings/channels": "Settings",
    "/settings/users": "Settings",
    "/settings/tokens": "Settings",
    "/settings/audit": "Settings",
    "/services/shop": "shop",
    "/services/shop/routes": "shop",
    "/services/shop/slo": "shop",
    "/services/shop/changes": "shop",
    "/services/shop/gone": "shop",
    "/hosts": "Hosts",
    "/dashboards": "Dashboards",
    "/d/hosts": "Hosts",
    "/d/checks": "Checks",
    "/d/tocsin?panel=5": "Tocsin",
    "/reports": "Reports",
    "/reports/uptime?compare=prev": "Reports",
    "/reports/performance": "Reports",
    "/reports/slo": "Reports",
    "/reports/gone": "Reports",
    "/statuspages": "Status pages",
    "/coverage": "Coverage",
    "/?view=honeycomb": "Watch a URL",
}


def violations(page: Page) -> list[str]:
    """What axe finds, one line each. It is injected through the debugger, past the page's own security policy."""
    session = page.context.new_cdp_session(page)
    session.send("Runtime.evaluate", {"expression": AXE.read_text(), "returnByValue": False})
    found: dict[str, Any] = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{one['id']} ({one['impact']}): {node['html'][:160]} -- {node['failureSummary'].splitlines()[-1].strip()[:200]}"
        for one in found["violations"]
        for node in one["nodes"][:5]
    ]


@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (1440, "dark"), (360, "light"), (360, "dark"), (1024, "contrast")])
def test_pages_open_fit_and_pass_axe(calm_tocsin, open_browser, noise, width: int, theme: str) -> None:
    scheme = "dark" if theme == "dark" else "light"
    phone = {"has_touch": True, "is_mobile": True} if width < 800 else {}
    page = open_browser(
        calm_tocsin, width=width, height=740 if phone else 900, color_scheme=scheme, reduced_motion="reduce", **phone
    )
    problems = []
    for path, word in PAGES.items():
        mark = "&" if "?" in path else "?"
        page.goto(calm_tocsin.url + path + (f"{mark}theme=contrast" if theme == "contrast" else ""))
        expect(page.get_by_role("heading", name=word).first).to_be_visible()
        expect(page.get_by_text("could not be loaded")).to_have_count(0)
        page.wait_for_timeout(300)
        too_wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        problems += [f"{path}: {too_wide} px too wide"] if too_wide > 0 else []
        problems += [f"{path}: {line}" for line in violations(page)]
    assert not problems, "\n".join(problems)
    assert noise.lines == []


def test_the_whole_is_usable_at_twice_the_size(calm_tocsin, open_browser) -> None:
    # 200 % zoom of a 1280 px window is a 640 px one.
    page = open_browser(calm_tocsin, width=640, height=400)
    for path in ("/", "/alerts", "/checks", "/incidents", "/explore?q=up"):
        page.goto(calm_tocsin.url + path)
        expect(page.locator("main h1").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), path


def test_an_unknown_address_says_so(calm_tocsin, open_browser) -> None:
    page = open_browser(calm_tocsin)
    page.goto(calm_tocsin.url + "/services/a/b/c/d")
    expect(page.get_by_role("heading", name="Nothing at this address")).to_be_visible()
