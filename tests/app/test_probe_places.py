"""Plans by place."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tocsin.app.probe import Progress
from tocsin.app.probedesk import ProbeDesk
from tocsin.collect.catalog import parse_check
from tocsin.errors import CommandError
from tocsin.model.check import CheckReason, CheckResult, Phase


async def test_a_place_gets_its_own_checks_and_places_are_bounded() -> None:
    desk = ProbeDesk(first_version=1)
    desk.apply([parse_check({"name": "far", "tcp": "127.0.0.1:1", "locations": ["paris"]}, source="t")])
    assert [spec.id for spec in (await desk.plan("paris", 0))["specs"]] == ["far"]  # type: ignore[attr-defined]
    assert (await desk.plan("local", 0))["specs"] == []
    for i in range(998):
        await desk.plan(f"p{i}", 0)
    with pytest.raises(CommandError, match="places asked for a plan") as caught:
        await desk.plan("one-more", 0)
    assert caught.value.status == 429
    assert (await desk.plan("paris", 0))["specs"]


def _desk() -> ProbeDesk:
    desk = ProbeDesk(first_version=1)
    desk.apply([parse_check({"name": "far", "tcp": "127.0.0.1:1", "locations": ["paris"]}, source="t")])
    return desk


async def test_a_run_is_followed_phase_by_phase_to_its_result() -> None:
    desk = _desk()
    run_id = desk.begin("far", "ana")
    told = await desk.follow(run_id, -1)
    assert (told["doing"], told["location"], told["result"]) == ("waiting for the probe at paris", "paris", None)
    assert (await desk.plan("paris", 0))["runs"] == [(run_id, "far", "ana")]

    waits = asyncio.create_task(desk.follow(run_id, told["seen"]))
    await asyncio.sleep(0)
    desk.progress("oslo", run_id, "lying", [])
    desk.progress("paris", run_id, "connecting", [{"name": "resolve", "ms": 2.0}])
    told = await waits
    assert (told["doing"], told["phases"]) == ("connecting", [{"name": "resolve", "ms": 2.0}])

    seen = CheckResult("far", 1, 5.0, True, CheckReason.OK, "fine", facts={"run_id": run_id}, location="paris")
    waits = asyncio.create_task(desk.follow(run_id, told["seen"]))
    await asyncio.sleep(0)
    desk.finished(seen)
    assert (await waits)["result"] is seen
    desk.progress("paris", run_id, "too late", [])
    assert (await desk.follow(run_id, -1))["result"] is seen


async def test_who_waits_for_a_run_gets_it_however_much_is_told_meanwhile() -> None:
    desk = _desk()
    waits = asyncio.create_task(desk.run("far", "ana"))
    await asyncio.sleep(0)
    [(run_id, _, _)] = (await desk.plan("paris", 0))["runs"]
    for doing in ("resolving", "connecting"):
        desk.progress("paris", run_id, doing, [])
        await asyncio.sleep(0)
    seen = CheckResult("far", 1, 5.0, False, CheckReason.REFUSED, "refused", facts={"run_id": run_id}, location="paris")
    desk.finished(seen)
    assert await waits is seen


async def test_a_run_that_is_over_or_was_never_begun_says_so() -> None:
    desk = _desk()
    with pytest.raises(CommandError, match="there is no check 'near'"):
        desk.begin("near", "ana")
    with pytest.raises(CommandError) as caught:
        await desk.follow("run-1-9", -1)
    assert caught.value.status == 504


async def test_a_probe_tells_the_latest_of_a_run_and_does_not_mind_a_deaf_core() -> None:
    class Core:
        def __init__(self) -> None:
            self.heard: list[Any] = []

        async def command(self, name: str, args: Any = None) -> Any:
            self.heard.append((name, args["doing"], len(args["phases"])))
            if args["doing"] == "resolving":
                raise CommandError(503, "core_away", "away")

    core = Core()
    progress = Progress(core, "paris", "run-1")
    teller = asyncio.create_task(progress.run())
    progress.follow("starting", ())
    progress.follow("resolving", ())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    progress.follow("connecting", (Phase("resolve", 2.0),))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    teller.cancel()
    assert core.heard == [("probe.progress", "resolving", 0), ("probe.progress", "connecting", 1)]
