"""Every page, in both themes and on a phone: opens without complaint, nothing too wide, no violation found by axe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from tests.e2e.everybody import lost_focus, small_targets, too_wide, without_room

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
    "/explore?q=rate(node_cpu_seconds_total[1m])&mode=heat": "Explore",
    "/explore?q=rate(node_cpu_seconds_total[1m])&mode=parts": "Explore",
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
    "/checks?kiosk=1&rotate=5m&pages=/,/checks": "Checks",
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
        problems += [f"{path}: {wide} px too wide"] if (wide := too_wide(page)) > 0 else []
        problems += [f"{path}: {line}" for line in violations(page)]
        problems += [f"{path}: {line}" for line in (small_targets(page) if phone else lost_focus(page))]
    assert not problems, "\n".join(problems)
    assert noise.lines == []


DIALOGS = {
    "Scrape a service's metrics": "Scrape something",
    "Measure requests": "Measure a service from inside",
    "Choose where alerts go": "Choose where alerts go",
    "Make yourself on call": "Make yourself on call",
    "Break it": "Break it",
    "Import Uptime Kuma": "Monitors of Uptime Kuma",
    "Import alertmanager.yml": "alertmanager.yml",
}


@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (360, "dark")])
def test_the_dialogs_of_the_first_steps_fit_and_pass_axe(calm_tocsin, open_browser, noise, width: int, theme: str) -> None:
    phone = {"has_touch": True, "is_mobile": True} if width < 800 else {}
    page = open_browser(calm_tocsin, width=width, height=740, color_scheme=theme, reduced_motion="reduce", **phone)
    problems = []
    for button, title in DIALOGS.items():
        page.get_by_role("button", name=button).first.click()
        dialog = page.get_by_role("dialog", name=title)
        expect(dialog).to_be_visible()
        if title == "Scrape something":  # what it would do is looked at, too; nothing is added
            dialog.get_by_label("host:port/metrics").fill("127.0.0.1:9")
            dialog.get_by_role("button", name="What would this do?").click()
            expect(dialog.get_by_text("does not answer now")).to_be_visible()
        problems += [f"{title}: {wide} px too wide"] if (wide := too_wide(page)) > 0 else []
        problems += [f"{title}: {line}" for line in [*violations(page), *(small_targets(page) if phone else [])]]
        dialog.get_by_role("button", name="Close").click()
        expect(dialog).to_have_count(0)
    assert not problems, "\n".join(problems)
    assert noise.lines == []


def test_the_whole_is_usable_at_twice_the_size_and_with_wider_text(calm_tocsin, open_browser) -> None:
    # 200 % zoom of a 1280 px window is a 640 px one.
    page = open_browser(calm_tocsin, width=640, height=400)
    problems = []
    for path, word in PAGES.items():
        page.goto(calm_tocsin.url + path)
        expect(page.get_by_role("heading", name=word).first).to_be_visible()
        problems += [f"{path}: {wide} px too wide"] if (wide := too_wide(page)) > 0 else []
        problems += [f"{path}: {line}" for line in without_room(page)]
    assert not problems, "\n".join(problems)


def test_an_unknown_address_says_so(calm_tocsin, open_browser) -> None:
    page = open_browser(calm_tocsin)
    page.goto(calm_tocsin.url + "/services/a/b/c/d")
    expect(page.get_by_role("heading", name="Nothing at this address")).to_be_visible()
