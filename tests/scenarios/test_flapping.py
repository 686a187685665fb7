"""A site that comes and goes (fault F23): a few pages, one "flapping", silence, and in the end the truth."""

from __future__ import annotations

import pytest
from tests.scenarios.world import Told, World, after

pytestmark = pytest.mark.slow

MINUTE = 60_000


def flaps(world: World, start: int, end: int, period: int) -> list[tuple[int, object]]:
    """Down and up, half a period each, from minute `start` to minute `end`."""
    acts = []
    for minute in range(start, end, period):
        acts += [after(f"{minute}m", world.site_down), after(f"{minute + period // 2}m", world.site_up)]
    return acts


def chat(world: World) -> list[Told]:
    return [told for told in world.told() if told.channel == "slack" and told.who == "ana"]


def called_flapping(world: World) -> Told:
    """The message that says it flaps."""
    return next(told for told in chat(world) if "flapping:" in told.text)


def test_four_comings_and_goings_become_one_flapping_incident_that_ends_well(world: World) -> None:
    world.story(*flaps(world, 10, 70, 6), after("33m", lambda: world.command("acknowledge")), until="110m")
    told = called_flapping(world)
    before = [other for other in chat(world) if other.at_ms < told.at_ms]
    assert 1 <= sum(other.kind == "page" for other in before) <= 4
    later = [other for other in chat(world) if other.at_ms > told.at_ms]
    assert [other.kind for other in later] == ["acknowledged", "resolved"], later
    # The last recovery is at 67 minutes; once it has held for three periods of 6 minutes it is believed.
    assert 67 * MINUTE + 15 * MINUTE <= later[-1].at_ms <= 67 * MINUTE + 22 * MINUTE
    (incident,) = world.incidents()
    assert incident["state"] == "resolved"
    verbs = [line["verb"] for line in world.incident()["timeline"]]
    assert verbs.count("flapping") == 1
    assert verbs.count("flapped") >= 8


def test_while_it_flaps_nobody_is_paged_again_but_by_the_rest_of_the_escalation(world: World) -> None:
    world.story(*flaps(world, 10, 70, 6), until="71m")
    told = called_flapping(world)
    later = {who: {page.at_ms for page in world.pages(who) if page.at_ms > told.at_ms} for who in ("ana", "ben")}
    # Nobody has answered: the second step (ben), then the last resort (everybody), each once; no round begins anew.
    assert len(later["ana"]) == 1
    assert len(later["ben"]) == 2
    assert not [other for other in chat(world) if other.kind == "resolved" and other.at_ms > told.at_ms]
    (row,) = world.incidents("open")
    assert "fired and ended" in row["flapping"]


def test_a_flapping_incident_that_stays_down_is_paged_again_as_it_then_is(world: World) -> None:
    world.story(*flaps(world, 10, 34, 6), after("40m", world.site_down), until="75m")
    again = [page for page in world.pages("ana") if page.at_ms >= 40 * MINUTE + 15 * MINUTE]
    assert again
    assert "flapping" not in again[0].text
    (row,) = world.incidents("open")
    assert row["state"] == "triggered"
    assert row["flapping"] == ""


def test_flapping_survives_restarts(world: World) -> None:
    restarts = [after(f"{minute}m30s", world.restart) for minute in (21, 33, 37, 50)]
    acknowledged = after("32m", lambda: world.command("acknowledge"))
    world.story(*flaps(world, 10, 46, 6), acknowledged, *restarts, until="90m")
    told = called_flapping(world)
    assert [other.kind for other in chat(world) if other.at_ms > told.at_ms] == ["acknowledged", "resolved"]
    assert [row["state"] for row in world.incidents()] == ["resolved"]
