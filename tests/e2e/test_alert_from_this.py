"""From an expression to a rule: how often it would have fired in 30 days, by the code that evaluates rules."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import expect
from tests.e2e.test_every_page import violations


def test_alert_from_this_counts_the_firings_of_thirty_days(calm_tocsin: Any, open_browser: Any, noise: Any) -> None:
    page = open_browser(calm_tocsin)
    # True for the last hour of every day (UTC): a thing whose firings anybody can count.
    page.goto(calm_tocsin.url + "/explore?q=vector(time()+%25+86400)+%3E+82800")
    page.get_by_role("button", name=re.compile("alert from this", re.I)).click()
    dialog = page.get_by_role("dialog", name="Alert from this")
    expect(dialog.get_by_label("Limit")).to_have_value("82800")
    trial = dialog.get_by_role("region", name="What it would have done")
    expect(trial.get_by_text(re.compile("fired (29|30|31) times in the last 30 days"))).to_be_visible()
    dialog.get_by_label("for", exact=True).fill("2h")
    expect(trial.get_by_text("It would not have fired in the last 30 days.")).to_be_visible()
    assert violations(page) == []
    assert noise.lines == []
