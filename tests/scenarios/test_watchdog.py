"""The Watchdog always fires, pages nobody, and holds the dead man's switch while it cannot get through."""

from __future__ import annotations

import asyncio

import pytest
from tests.scenarios.world import CONFIG, World, after

from tocsin.app import alive

pytestmark = pytest.mark.slow

SHIPPED = CONFIG.replace("shipped_rules: false", "shipped_rules: true")


def test_the_watchdog_fires_and_nobody_is_told(world: World) -> None:
    world.config = SHIPPED
    seen: list[alive.Hop] = []

    async def look() -> None:
        seen.extend(await alive.path(world.core))

    world.story(after("10m", look), after("12m", world.restart), until="20m")
    assert world.told() == []
    assert world.incidents() == []
    assert next(hop for hop in seen if hop.name == "alerts").ok


def test_the_dead_mans_switch_misses_a_watchdog_that_does_not_get_through(world: World) -> None:
    world.config = SHIPPED
    seen: list[alive.Hop] = []

    async def look_at_once() -> None:
        # Right after the first start nothing has been evaluated: what always fires has not come yet.
        seen.extend(await alive.path(world.core))
        await asyncio.sleep(0)

    world.story(after("0s", look_at_once), until="1s")
    alerts = next(hop for hop in seen if hop.name == "alerts")
    assert not alerts.ok
    assert "Watchdog" in alerts.text
