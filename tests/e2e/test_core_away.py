"""What does not answer is named on every page, with the request to ask about and a way to try again; then the page comes back."""

from __future__ import annotations

import json
import re
from typing import Any

from playwright.sync_api import Route, expect
from tests.e2e.test_every_page import PAGES

BROKEN = {"type": "urn:tocsin:internal", "title": "internal", "status": 500, "detail": "the core is away", "request_id": "f00d"}
QUESTIONS = re.compile(r"/api/(tocsin/v1/(?!session|stream|changes)|v1/)")
AGAIN = "document.querySelectorAll('[role=alert] button').forEach(it => it.click())"


def refuse(route: Route) -> None:
    route.fulfill(status=500, content_type="application/problem+json", body=json.dumps(BROKEN))


def test_every_page_says_what_failed_and_comes_back(calm_tocsin: Any, open_browser: Any) -> None:
    page = open_browser(calm_tocsin)
    failed = page.get_by_role("alert").filter(has_text="could not be loaded").filter(has_text="the core is away")
    for path in PAGES:
        if path in ("/explore", "/reports/gone"):
            continue  # these ask nothing
        page.route(QUESTIONS, refuse)
        page.goto(calm_tocsin.url + path)
        expect(failed.first, path).to_contain_text("f00d")
        page.unroute(QUESTIONS)
        page.evaluate(AGAIN)
        expect(failed, path).to_have_count(0)
