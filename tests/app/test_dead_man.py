"""The dead man's switch is called while a page would pass, and not one call longer."""

from __future__ import annotations

import asyncio

from tests.fakes.ports import FakeHttp
from tests.fakes.virtual import VirtualClock, run_virtual

from tocsin.app.deadman import DeadMan
from tocsin.model.ports import HttpResponse

URL = "https://hc.example/ping/0123"


def test_it_is_called_while_the_path_works_and_says_why_it_is_not() -> None:
    async def story() -> None:
        clock, http, trouble = VirtualClock(), FakeHttp(), ["rules: none was evaluated yet"]

        async def broken() -> str:
            return trouble[0]

        dead_man = DeadMan(clock=clock, http=http, broken=broken)
        dead_man.apply(URL, 60_000)
        task = asyncio.create_task(dead_man.run())
        await asyncio.sleep(15)
        assert not http.requests and dead_man.state()["trouble"] == "withheld: rules: none was evaluated yet"
        trouble[0] = ""
        await asyncio.sleep(10)
        assert len(http.requests) == 1 and dead_man.state()["called_ms"] > 0 and not dead_man.state()["trouble"]
        await asyncio.sleep(120)
        assert len(http.requests) == 3
        trouble[0] = "messages: a page waits untried since 3m"
        await asyncio.sleep(120)
        assert len(http.requests) == 3, "the watcher elsewhere notices the silence"
        trouble[0] = ""
        await asyncio.sleep(60)
        assert len(http.requests) == 4
        task.cancel()

    run_virtual(story())


def test_an_address_that_refuses_is_shown_and_a_new_one_begins_anew() -> None:
    async def story() -> None:
        async def fine() -> str:
            return ""

        http = FakeHttp()
        http.default = HttpResponse(404, {}, b"")
        dead_man = DeadMan(clock=VirtualClock(), http=http, broken=fine)
        dead_man.apply(URL, 60_000)
        assert not await dead_man.call() and dead_man.state()["trouble"] == "answered 404"
        assert URL not in repr(dead_man.state()), "whoever knows the address can keep it quiet"
        dead_man.apply(URL + "/other", 60_000)
        assert dead_man.state()["trouble"] == ""

    run_virtual(story())
