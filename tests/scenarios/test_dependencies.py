"""What a service stands on fails: one incident, counted, and the rest is told only when it stays down by itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.scenarios.world import CONFIG, World, after

pytestmark = pytest.mark.slow

MINUTE = 60_000
CHAINED = (
    CONFIG.replace("alert: {severity: warning}", "alert: {severity: critical}")
    + "services:\n  - {name: shop}\n  - {name: search, depends_on: [shop]}\n"
)


def down(world: World, address: str) -> Callable[[], None]:
    return lambda: world.site_down(address)


def test_what_depends_on_a_failing_service_is_counted_there_and_paged_to_nobody(world: World) -> None:
    world.config = CHAINED
    world.story(after("10m", down(world, "10.0.0.1")), after("12m", down(world, "10.0.0.2")), until="20m")
    paged = world.pages("ana")
    assert paged
    assert not [told for told in paged if "search is down" in told.text and told.channel == "slack"]
    shop = next(row for row in world.incidents("open") if row["service"] == "shop")
    assert shop["affected"] == 1
    assert any("(+1 affected)" in told.text for told in world.told())
    lines = [line["text"] for line in world.incident(shop["number"])["timeline"]]
    assert "+1 affected: alerts of what depends on it, which nobody else is told of" in lines


def test_what_stays_down_after_what_it_depends_on_is_back_is_paged(world: World) -> None:
    world.config = CHAINED
    world.story(
        after("10m", down(world, "10.0.0.1")), after("12m", down(world, "10.0.0.2")), after("20m", world.site_up), until="30m"
    )
    told = [page for page in world.pages("ana") if "search is down" in page.text]
    assert told
    assert told[0].at_ms >= 20 * MINUTE
