"""Objectives that page: from a check that is down, through the rules of its budget, to the message; what is told is told once."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.scenarios.world import CONFIG, World, after

pytestmark = pytest.mark.slow

MINUTE = 60_000
OBJECTIVES = """
slos:
  - {name: shop is up, service: shop, check: shop, target: 0.999, alert: true}
  - {name: search is up, service: search, check: search, target: 0.99, alert: {labels: {team: find}}}
"""
QUIET_CHECKS = CONFIG.replace("labels: {service: shop}", "labels: {service: shop}, alert: false")


def test_a_budget_that_burns_pages_once_and_its_end_is_told(tmp_path: Path) -> None:
    """The check tells nobody by itself; its outage of ten minutes pages over one hour, not over six hours and three days too."""
    world = World(tmp_path, config=QUIET_CHECKS + OBJECTIVES)
    world.story(after("10m", world.site_down), after("20m", world.site_up), until="50m")
    first = world.pages("ana")
    assert {told.channel for told in first} == {"email", "slack"}
    assert all("shop burns its error budget" in told.text for told in first)
    assert all(11 * MINUTE <= told.at_ms <= 13 * MINUTE + 30_000 for told in first)
    assert "and it is down now" in next(told.text for told in first if told.channel == "email")
    (row,) = world.incidents()
    assert row["state"] == "resolved"
    assert {told.who for told in world.ends("ana")} == {"ana"}


def test_what_the_check_has_told_its_budget_does_not_tell_again(tmp_path: Path) -> None:
    world = World(tmp_path, config=CONFIG + OBJECTIVES)
    world.story(after("10m", world.site_down), after("20m", world.site_up), until="50m")
    assert not [told for told in world.told() if "error budget" in told.text]
    assert len(world.incidents()) == 1
