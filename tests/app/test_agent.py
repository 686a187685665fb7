"""The agent's way to a core over HTTP: what it makes of each answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import pytest
from aiohttp import web

from tocsin.app.agent import AgentSettings, RemoteCore
from tocsin.app.probe import reporting
from tocsin.clock import SystemClock
from tocsin.errors import CommandError
from tocsin.model.check import CheckReason, CheckResult

RESULT = CheckResult("far", 1_700_000_000_000, 1.5, True, CheckReason.OK, "fine", location="elsewhere")

Answering = Callable[[web.Request], Awaitable[web.Response]]


@pytest.fixture
async def serve() -> AsyncIterator[Callable[[Answering], Awaitable[RemoteCore]]]:
    runners: list[web.AppRunner] = []
    cores: list[RemoteCore] = []

    async def start(answer: Answering) -> RemoteCore:
        app = web.Application()
        app.router.add_post("/tocsin/api/tocsin/v1/probe/{name}", answer)
        runners.append(web.AppRunner(app))
        await runners[-1].setup()
        await web.TCPSite(runners[-1], "127.0.0.1", 0).start()
        port = runners[-1].addresses[0][1]
        cores.append(RemoteCore(AgentSettings(f"http://127.0.0.1:{port}/tocsin/", "secret", "elsewhere")))
        return cores[-1]

    yield start
    for core in cores:
        await core.close()
    for runner in runners:
        await runner.cleanup()


async def test_a_command_is_a_post_with_the_token(serve: Any) -> None:
    async def answer(request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer secret"
        return web.json_response({"name": request.match_info["name"], **await request.json()})

    core = await serve(answer)
    assert await core.command("probe.plan", {"location": "elsewhere", "version": 3}) == {
        "name": "plan",
        "location": "elsewhere",
        "version": 3,
    }


@pytest.mark.parametrize(("status", "text"), [(401, "sign in"), (503, "core away"), (302, ""), (200, "<html>")])
async def test_any_other_answer_is_an_error(serve: Any, status: int, text: str) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, text=text)

    core = await serve(answer)
    with pytest.raises(CommandError) as caught:
        await core.command("probe.plan", {})
    assert caught.value.status == (502 if status == 200 else status)


async def test_nobody_there_is_an_error() -> None:
    core = RemoteCore(AgentSettings("http://127.0.0.1:1", "secret", "elsewhere"))
    with pytest.raises(CommandError) as caught:
        await core.command("probe.plan", {})
    assert caught.value.code == "core_away"
    await core.close()


class Core:
    """Refuses with one status."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.asked: list[Mapping[str, Any]] = []

    async def command(self, name: str, args: Mapping[str, Any] | None = None) -> Any:
        self.asked.append(args or {})
        raise CommandError(self.status, "no", "no")


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
async def test_results_wait_while_the_core_does_not_take_them(status: int) -> None:
    with pytest.raises(OSError, match="no"):
        await reporting(Core(status), "elsewhere", SystemClock(), "s1")([RESULT])


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_results_that_are_never_taken_are_given_up(status: int) -> None:
    core = Core(status)
    await reporting(core, "elsewhere", SystemClock(), "s1")([RESULT])
    assert core.asked[0]["results"][0]["check_id"] == "far"


async def test_a_batch_keeps_its_number_while_it_is_repeated_and_the_next_has_another() -> None:
    core = Core(503)
    report = reporting(core, "elsewhere", SystemClock(), "s1")
    first, second = [RESULT], [RESULT]
    for batch in (first, first, second):
        with pytest.raises(OSError, match="no"):
            await report(batch)
    assert [(asked["session"], asked["number"]) for asked in core.asked] == [("s1", 1), ("s1", 1), ("s1", 2)]
    assert all(asked["sent_ms"] > 0 for asked in core.asked)
