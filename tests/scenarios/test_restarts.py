"""The core dies and comes back in every state of an incident: nothing is lost, nothing is told twice, nothing ends falsely."""

from __future__ import annotations

import pytest
from tests.scenarios.world import World, after

pytestmark = pytest.mark.slow

MINUTE = 60_000

MOMENTS = {
    "before anything": "9m",
    "while the failure is confirmed": "10m30s",
    "when it was just told": "11m20s",
    "while it waits for an answer": "13m",
    "after the second step": "17m",
    "while the recovery is confirmed": "30m40s",
    "after the end": "34m",
}


@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS.keys())
def test_a_restart_changes_nothing(world: World, moment: str) -> None:
    world.story(after("10m", world.site_down), after(moment, world.restart), after("30m", world.site_up), until="40m")
    counts = {(t.who, t.channel, t.kind): 0 for t in world.told()}
    for told in world.told():
        counts[told.who, told.channel, told.kind] += 1
    # Two rounds of the policy (repeat: 1): each person is paged once per round by each way, and told once of the end.
    assert counts == {
        ("ana", "email", "page"): 2,
        ("ana", "slack", "page"): 2,
        ("ben", "email", "page"): 2,
        ("ana", "email", "resolved"): 1,
        ("ana", "slack", "resolved"): 1,
        ("ben", "email", "resolved"): 1,
    }, world.told()
    assert [row["state"] for row in world.incidents()] == ["resolved"]


def test_a_restart_storm_loses_nothing(world: World) -> None:
    acts = [after(f"{10 + i}m{s}s", world.restart) for i in range(4) for s in (5, 25, 45)]
    world.story(after("10m", world.site_down), *acts, after("20m", world.site_up), until="30m")
    assert {t.channel for t in world.pages("ana")} == {"email", "slack"}
    assert len(world.ends("ana")) == 2
    assert len(world.incidents()) == 1


def test_what_recovers_while_tocsin_is_away_is_told_when_it_is_back(world: World) -> None:
    async def away_for_ten_minutes() -> None:
        import asyncio

        await world.kill()
        world.site_up()
        await asyncio.sleep(600)
        await world.start()

    world.story(after("10m", world.site_down), after("13m", away_for_ten_minutes), until="30m")
    assert len(world.ends("ana")) == 2
    assert world.incident()["state"] == "resolved"


def test_a_wall_clock_that_jumps_an_hour_ends_nothing_and_pages_nobody_new(world: World) -> None:
    world.story(
        after("10m", world.site_down),
        after("13m", lambda: world.command("acknowledge")),
        after("15m", lambda: world.clock.jump_ms(3_600_000)),
        after("25m", lambda: world.clock.jump_ms(-3_600_000)),
        until="40m",
    )
    assert not world.ends("ana")
    assert not world.pages("ben")
    assert len(world.pages("ana")) == 2
