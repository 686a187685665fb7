"""Fake Slack Socket Mode: apps.connections.open and its websocket, which drops, hangs, refreshes and sends twice on demand.

Serves on the test's own event loop. `press(...)` sends an envelope over the newest link; `acks` holds what was acknowledged, with
the seconds it took.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any, Self

from aiohttp import ClientSession, WSMsgType, web


class FakeSlackSocket:
    """One app with one app-level token."""

    token = "xapp-1-A1-fake"

    def __init__(self, *, web_api: str = "") -> None:
        """`web_api`: where the other methods are answered, such as FakeSlack's url."""
        self._rest = web_api
        self.links: list[web.WebSocketResponse] = []
        """Open links, oldest first."""
        self.opened = 0
        self.refuse = ""
        """Error of apps.connections.open, such as invalid_auth; empty = it works."""
        self.greets = True
        self.acks: dict[str, float] = {}
        self.replies: list[dict[str, Any]] = []
        """What was posted to response_url."""
        self.problems: list[str] = []
        self._sent: dict[str, float] = {}
        self._ids = itertools.count(1)

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/api/apps.connections.open", self._open)
        app.router.add_post("/api/{method}", self._pass_on)
        app.router.add_post("/reply", self._reply)
        app.router.add_get("/link", self._link)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self.web_api = f"http://127.0.0.1:{self.port}/api"
        return self

    async def __aexit__(self, *_: object) -> None:
        for link in list(self.links):
            await link.close()
        await self._runner.cleanup()

    # -- what tests do --

    async def press(self, action: str = "acknowledge", number: int = 42, *, user: str = "U1", times: int = 1) -> str:
        """A person presses a button; `times` > 1 = Slack sends the envelope again."""
        envelope = f"e{next(self._ids)}"
        payload = {
            "type": "block_actions",
            "user": {"id": user},
            "trigger_id": f"t.{envelope}",
            "response_url": f"http://127.0.0.1:{self.port}/reply",
            "actions": [{"action_id": action, "value": str(number)}],
        }
        for _ in range(times):
            await self.send(
                {"type": "interactive", "envelope_id": envelope, "accepts_response_payload": False, "payload": payload}
            )
        return envelope

    async def send(self, value: Any, *, link: int = -1) -> None:
        if isinstance(value, dict) and value.get("envelope_id"):
            self._sent[value["envelope_id"]] = asyncio.get_running_loop().time()
        await self.links[link].send_str(value if isinstance(value, str) else json.dumps(value))

    async def drop(self) -> None:
        """The newest link breaks without a word."""
        link = self.links.pop()
        transport = link._req.transport  # type: ignore[union-attr]
        if transport is not None:
            transport.abort()

    async def until(self, holds: Any, *, within_s: float = 5.0) -> None:
        """Poll a condition; fails with what this fake has seen."""
        async with asyncio.timeout(within_s):
            while not holds():
                await asyncio.sleep(0.01)

    # -- the service --

    async def _open(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.json_response({"ok": False, "error": "invalid_auth"})
        if self.refuse:
            return web.json_response({"ok": False, "error": self.refuse})
        return web.json_response({"ok": True, "url": f"ws://127.0.0.1:{self.port}/link?ticket={self.opened}"})

    async def _pass_on(self, request: web.Request) -> web.Response:
        kept = {name: request.headers[name] for name in ("Authorization", "Content-Type") if name in request.headers}
        async with (
            ClientSession() as session,
            session.post(f"{self._rest}{request.path}", data=await request.read(), headers=kept) as answer,
        ):
            return web.Response(body=await answer.read(), status=answer.status, content_type="application/json")

    async def _reply(self, request: web.Request) -> web.Response:
        self.replies.append(await request.json())
        return web.json_response({"ok": True})

    async def _link(self, request: web.Request) -> web.WebSocketResponse:
        # A link that hangs answers no ping either: `greets` false makes one.
        link = web.WebSocketResponse(autoping=self.greets)
        await link.prepare(request)
        self.opened += 1
        self.links.append(link)
        if self.greets:
            await link.send_str(json.dumps({"type": "hello", "num_connections": len(self.links)}))
        async for message in link:
            if message.type is WSMsgType.TEXT:
                self._acknowledged(json.loads(message.data))
        if link in self.links:
            self.links.remove(link)
        return link

    def _acknowledged(self, value: dict[str, Any]) -> None:
        envelope = value.get("envelope_id", "")
        if envelope not in self._sent:
            self.problems.append(f"acknowledged what was never sent: {value}")
            return
        self.acks.setdefault(envelope, asyncio.get_running_loop().time() - self._sent[envelope])
