"""Quiet hours that people set themselves: what they hold, what a change does to messages that wait, and that the file wins."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.house import House, alert, directory, page, person, policy
from tests.fakes.virtual import START_MS, run_virtual

from tocsin.errors import CommandError
from tocsin.incidents import quiethours
from tocsin.incidents.oncall import wall_time
from tocsin.incidents.policy import held_reason, quiet_until
from tocsin.model.event import Actor
from tocsin.model.incident import NotificationRule, Person, QuietHours, Urgency

ANA = Actor("user", "ana", "ui")
MINUTE, HOUR = 60_000, 3_600_000
PARIS = "Europe/Paris"
NIGHT = QuietHours(22 * 60, 7 * 60, PARIS, days=(0, 1, 2, 3, 4), own=True)
WEEKEND = QuietHours(0, 1440, PARIS, days=(5, 6), own=True)


def at(text: str) -> int:
    return int(dt.datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize(
    ("quiet", "now", "until"),
    [
        (NIGHT, "2026-11-20T22:00+01:00", "2026-11-21T07:00+01:00"),  # of Friday: into Saturday
        (NIGHT, "2026-11-21T06:59+01:00", "2026-11-21T07:00+01:00"),
        (NIGHT, "2026-11-21T22:00+01:00", ""),  # none begins on Saturday
        (NIGHT, "2026-11-22T06:00+01:00", ""),
        (NIGHT, "2026-11-23T06:00+01:00", ""),  # Monday morning would be Sunday's
        (NIGHT, "2026-11-20T12:00+01:00", ""),
        (WEEKEND, "2026-11-21T00:00+01:00", "2026-11-23T00:00+01:00"),  # two days that meet end with the second
        (WEEKEND, "2026-11-22T23:59+01:00", "2026-11-23T00:00+01:00"),
        (WEEKEND, "2026-11-20T23:59+01:00", ""),
        (replace(WEEKEND, days=(0, 1, 2, 3, 4, 5, 6)), "2026-11-21T10:00+01:00", "2026-11-29T00:00+01:00"),  # an end all the same
        (NIGHT, "2026-10-24T03:00+02:00", "2026-10-24T07:00+02:00"),
        (replace(NIGHT, days=(5,)), "2026-10-25T02:30+02:00", "2026-10-25T07:00+01:00"),  # the night the clocks go back
    ],
)
def test_they_hold_on_the_days_on_which_they_begin(quiet: QuietHours, now: str, until: str) -> None:
    assert quiet_until(quiet, "warning", at(now)) == (at(until) if until else 0)
    assert quiet_until(quiet, "critical", at(now)) == 0, "what gets through is never held"


def around(now_ms: int, **more: Any) -> QuietHours:
    """Hours that began a moment ago and hold for one more."""
    wall = wall_time(now_ms, "UTC")
    minute = wall.hour * 60 + wall.minute
    return QuietHours((minute - 60) % 1440, (minute + 60) % 1440, "UTC", own=True, **more)


def put(house: House, who: Person, hours: QuietHours | None, *seen: str) -> None:
    """As the core does it: stored, in force, and what waits follows."""
    now_ms = house.clock.now_ms()
    after = house.db.write_now(lambda tx: quiethours.put(tx, who, hours, actor=ANA, now_ms=now_ms, seen=seen))
    persons = quiethours.overlay({who.name: replace(who, quiet_hours=None)}, house.db.read_now(quiethours.stored))
    assert persons[who.name] == after
    house.escalator.apply(replace(house.people, persons=persons))
    house.deliverer.wake()


def test_hours_that_are_set_hold_the_next_page_and_their_removal_sends_it_at_once(tmp_path: Path) -> None:
    async def story() -> None:
        ana = person("ana")
        async with House(directory(ana, policy=policy(["ana"], delay_ms=86_400_000)), tmp_path / "s.db").running() as h:
            hours = around(START_MS)
            put(h, ana, hours)
            await h.page(page(alert("Slow", severity="warning"), group="slow"))
            await h.page(page(alert("Down"), group="down"))
            await h.wait(60)
            slow, down = h.log()
            assert (slow["state"], down["state"]) == ("held", "accepted"), "critical gets through"
            assert slow["state_reason"] == held_reason(hours, quiet_until(hours, "warning", START_MS)), "the reason is stored"
            assert slow["state_reason"].startswith("quiet hours until ") and h.mails_to("ana") == 1

            put(h, replace(ana, quiet_hours=hours), None)
            await h.wait(5)
            assert [row["state"] for row in h.log()] == ["accepted", "accepted"] and h.mails_to("ana") == 2
            [line] = [entry for entry in h.detail(1)["timeline"] if entry["verb"] == "quiet_hours_followed"]
            assert line["text"] == "ana by email: held no longer, ana changed the quiet hours"

    run_virtual(story())


def test_a_step_that_still_waits_is_neither_hurried_nor_missed_by_a_change(tmp_path: Path) -> None:
    async def story() -> None:
        rules = tuple(NotificationRule("email", 30 * MINUTE, urgency) for urgency in Urgency)
        ana = replace(person("ana"), rules=rules)
        async with House(directory(ana, policy=policy(["ana"], delay_ms=86_400_000)), tmp_path / "s.db").running() as h:
            await h.page(page(alert("Slow", severity="warning"), group="slow"))
            await h.wait(60)
            assert [row["state"] for row in h.log()] == ["pending"]
            hours = around(START_MS)
            put(h, ana, hours)
            assert [row["state"] for row in h.log()] == ["held"], "they hold what would have come within them"
            put(h, replace(ana, quiet_hours=hours), None)
            await h.wait(20 * 60)
            assert (h.log()[0]["state"], h.mails_to("ana")) == ("pending", 0), "after 30 minutes, as the rule says"
            await h.wait(10 * 60)
            assert (h.log()[0]["state"], h.mails_to("ana")) == ("accepted", 1)

    run_virtual(story())


def test_the_file_wins_and_who_looked_at_others_changes_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        ana = person("ana")
        async with House(directory(ana), tmp_path / "s.db").running() as h:
            nothing = quiethours.mark(None)
            put(h, ana, NIGHT, nothing)
            with pytest.raises(CommandError) as caught:
                put(h, ana, WEEKEND, nothing)
            assert caught.value.status == 412
            put(h, ana, WEEKEND, quiethours.mark(NIGHT))
            declared = replace(ana, quiet_hours=replace(NIGHT, own=False))
            with pytest.raises(CommandError, match="stand in the configuration"):
                h.db.write_now(lambda tx: quiethours.put(tx, declared, None, actor=ANA, now_ms=START_MS))
            kept = h.db.read_now(quiethours.stored)
            assert [row.hours for row in kept] == [WEEKEND]
            assert quiethours.overlay({"ana": declared}, kept)["ana"].quiet_hours == declared.quiet_hours
            assert quiethours.overlay({"ben": person("ben")}, kept)["ben"].quiet_hours is None

    run_virtual(story())
