"""Commands, ingest and changes across the core's socket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tocsin.bus.client import IDLE_S, CoreClient
from tocsin.bus.server import Changes, core_app, core_server
from tocsin.bus.wire import IngestAnswer, IngestRequest
from tocsin.errors import CommandError
from tocsin.model.event import Actor


class Running:
    def __init__(self, client: CoreClient, changes: Changes) -> None:
        self.client = client
        self.changes = changes


@pytest.fixture
async def core(tmp_path: Path) -> AsyncIterator[Running]:
    async def echo(args, actor):
        return {"args": dict(args), "who": str(actor)}

    async def refuse(args, actor):
        raise CommandError(409, "conflict", "somebody was first")

    async def take(request: IngestRequest) -> IngestAnswer:
        return IngestAnswer(204, request.body[::-1], headers={"x-got": request.headers.get("content-encoding", "")})

    changes = Changes()
    socket = tmp_path / "core.sock"
    server = core_server(core_app({"echo": echo, "refuse": refuse}, {"write": take}, changes), socket, log_level="error")
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    client = CoreClient(socket, timeout_s=5)
    yield Running(client, changes)
    await client.close()
    server.should_exit = True
    server.force_exit = True
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_a_command_brings_arguments_actor_and_result(core: Running) -> None:
    assert await core.client.command("echo", {"n": 1}, Actor("user", "ana")) == {"args": {"n": 1}, "who": "user:ana"}


async def test_only_the_client_ends_idle_connections(tmp_path: Path) -> None:
    """Else the server ends one just as a request is sent on it, and the request fails for nothing."""
    server = core_server(core_app({}, {}, Changes()), tmp_path / "core.sock")
    assert server.config.timeout_keep_alive > IDLE_S + 5


async def test_a_refusal_keeps_status_code_and_text(core: Running) -> None:
    with pytest.raises(CommandError, match="somebody was first") as caught:
        await core.client.command("refuse")
    assert (caught.value.status, caught.value.code) == (409, "conflict")


async def test_an_unknown_command_is_a_404(core: Running) -> None:
    with pytest.raises(CommandError) as caught:
        await core.client.command("no.such")
    assert caught.value.status == 404


async def test_pushed_bytes_and_headers_pass_through(core: Running) -> None:
    answer = await core.client.ingest("write", IngestRequest(b"abc", {"content-encoding": "snappy"}, {"q": "1"}, "/p"))
    assert (answer.status, answer.headers) == (204, {"x-got": "snappy"})


async def test_a_missing_core_is_a_503_that_says_so(tmp_path: Path) -> None:
    client = CoreClient(tmp_path / "nobody.sock", timeout_s=2)
    with pytest.raises(CommandError) as caught:
        await client.command("echo")
    assert (caught.value.status, caught.value.code) == (503, "core_away")
    await client.close()


async def test_changes_arrive_in_order_and_late_readers_catch_up(core: Running) -> None:
    core.changes("alerts", "a")
    core.changes("checks", "b")
    seen = []
    async for change in core.client.changes(0):
        if change is None:
            continue
        seen.append((change.id, change.topic, change.subject))
        if len(seen) == 2:
            core.changes("incidents")
        if len(seen) == 3:
            break
    assert seen == [(1, "alerts", "a"), (2, "checks", "b"), (3, "incidents", "")]
