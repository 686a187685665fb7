"""What happens by the calendar, by the real core: drill, hand-off, report, each at its minute and once, also over a restart."""

from __future__ import annotations

import pytest
from tests.scenarios.world import CONFIG, Told, World, after

pytestmark = pytest.mark.slow

MINUTE = 60_000
HOUR = 60 * MINUTE
# The world begins on Thursday 1 January 2026 at midnight UTC.
CALENDAR = (
    CONFIG
    + """
schedules: [{name: web, tz: UTC, layers: [{users: [ana, ben], anchor: "2025-12-31T01:30", period: {unit: days}}]}]
drill: {at: "01:00"}
report: [{name: weekly, on: thu, at: "02:00", to: [ben]}]
"""
)


def minutes(world: World, what: str) -> list[tuple[int, str]]:
    """(minute of the story, to whom) of every message with these words."""
    found: list[Told] = [told for told in world.told() if what in told.text]
    return sorted((told.at_ms // MINUTE, told.who) for told in found)


def test_the_calendar_is_kept_to_the_minute_and_each_thing_comes_once(world: World) -> None:
    world.config = CALENDAR
    world.story(after("95m", world.restart), until="130m")
    # A message a way: Ana's chat, and the mail server that both have in common, by turns of the day.
    assert [at for at, _ in minutes(world, "Drill, nothing to do")] == [60, 60]
    assert minutes(world, "You are on call") == [(90, "ben")]
    assert minutes(world, "Your shift is over") == [(90, "ana"), (90, "ana")], "mailbox and chat"
    assert minutes(world, "/reports/") == [(120, "ben")]
