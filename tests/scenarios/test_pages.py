"""A service fails: who is told, when, and how it ends."""

from __future__ import annotations

import pytest
from tests.scenarios.world import World, after

pytestmark = pytest.mark.slow

SECOND = 1000
MINUTE = 60 * SECOND


def test_a_failure_is_confirmed_within_20_seconds_and_pages_the_first_step(world: World) -> None:
    world.story(after("10m", world.site_down), until="13m")
    failures = [t for t, address in world.network.opened if address == "10.0.0.1" and t >= 10 * MINUTE]
    first = world.pages("ana")
    assert {told.channel for told in first} == {"email", "slack"}
    assert all(told.at_ms - failures[0] <= 20 * SECOND for told in first)
    assert failures[1] - failures[0] in range(5 * SECOND - 500, 5 * SECOND + 500)
    assert failures[2] - failures[0] in range(10 * SECOND - 500, 10 * SECOND + 500)
    assert not world.pages("ben")
    assert "shop" in first[0].text
    assert [row["state"] for row in world.incidents()] == ["triggered"]


def test_it_escalates_while_nobody_acknowledges(world: World) -> None:
    world.story(after("10m", world.site_down), until="17m")
    (ben,) = world.pages("ben")
    assert ben.at_ms - world.pages("ana")[0].at_ms in range(5 * MINUTE - SECOND, 5 * MINUTE + 5 * SECOND)


def test_an_acknowledgement_stops_the_escalation(world: World) -> None:
    world.story(
        after("10m", world.site_down),
        after("13m", lambda: world.command("acknowledge")),
        until="40m",
    )
    assert not world.pages("ben")
    assert world.incident()["acknowledged_by"] == "ana"


def test_the_end_is_told_once_to_everyone_who_was_told(world: World) -> None:
    world.story(after("10m", world.site_down), after("20m", world.site_up), until="30m")
    assert [
        (told.who, told.channel) for told in sorted(world.ends("ana") + world.ends("ben"), key=lambda t: (t.who, t.channel))
    ] == [
        ("ana", "email"),
        ("ana", "slack"),
        ("ben", "email"),
    ]
    assert world.incident()["state"] == "resolved"


def test_a_single_failed_probe_pages_nobody(world: World) -> None:
    world.story(after("10m", world.site_down), after("10m58s", world.site_up), until="15m")
    opened = [t for t, address in world.network.opened if address == "10.0.0.1" and 10 * MINUTE <= t < 11 * MINUTE]
    if len(opened) >= 3:  # the check's own moment left room for both re-checks: then it was really down for a minute
        return
    assert world.told() == []


def test_a_blip_between_the_rechecks_pages_nobody(world: World) -> None:
    async def blip() -> None:
        import asyncio

        while not any(t >= 10 * MINUTE and address == "10.0.0.1" for t, address in world.network.opened):
            await asyncio.sleep(0.5)
        world.site_up()

    world.story(after("10m", world.site_down), after("10m1s", blip), until="20m")
    assert world.told() == []


def test_a_silence_keeps_it_quiet_and_its_end_pages_at_once(world: World) -> None:
    world.story(
        after("5m", lambda: world.silence("service", "shop", "20m")),
        after("10m", world.site_down),
        until="27m",
    )
    first = world.pages("ana")[0]
    assert first.at_ms in range(25 * MINUTE - SECOND, 25 * MINUTE + 20 * SECOND)


def test_a_silenced_failure_that_ends_under_its_silence_is_never_told(world: World) -> None:
    world.story(
        after("5m", lambda: world.silence("service", "shop", "30m")),
        after("10m", world.site_down),
        after("20m", world.site_up),
        until="50m",
    )
    assert world.told() == []


def test_snoozed_it_comes_back_to_who_snoozed_it(world: World) -> None:
    async def snooze() -> None:
        await world.command("snooze", until_ms=world.clock.now_ms() + 10 * MINUTE)

    world.story(after("10m", world.site_down), after("13m", snooze), until="26m")
    again = [told for told in world.pages("ana") if told.at_ms > 20 * MINUTE]
    assert again
    assert again[0].at_ms in range(23 * MINUTE - SECOND, 23 * MINUTE + 10 * SECOND)


def test_a_warning_waits_for_its_group_a_critical_does_not(world: World) -> None:
    world.story(after("10m", world.site_down), after("10m", lambda: world.site_down("10.0.0.2")), until="14m")
    texts = {("search" if "search" in told.text else "shop"): told.at_ms for told in reversed(world.pages("ana"))}
    confirmed = {
        address: [t for t, a in world.network.opened if a == address and t >= 10 * MINUTE][2]
        for address in ("10.0.0.1", "10.0.0.2")
    }
    assert texts["shop"] - confirmed["10.0.0.1"] <= 3 * SECOND
    assert texts["search"] - confirmed["10.0.0.2"] in range(29 * SECOND, 34 * SECOND)
