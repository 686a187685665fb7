"""Slack's Socket Mode: button presses come over a connection that we open, so no public address is needed.

apps.connections.open ─▶ wss:// ─hello─▶ listening ──envelope──▶ obey, acknowledge (within 3 s, whatever happens)
        ▲                                   │
        └──── the next link is opened ◀─────┘ disconnect (refresh), closed, or silent (no pong)

Slack ends each link after some hours and tells so some seconds before. The new link is opened first and the old one read to its
end: Slack sends a press over any one of an app's links, and one on its way must not be lost. Envelopes are remembered, so
one that comes twice acts once.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson

from tocsin.clock import Clock, until_woken
from tocsin.log import get_log
from tocsin.metrics import Counter, Gauge
from tocsin.model.ports import Http, HttpError, Random, WebSocket, WebSockets
from tocsin.notify.respond import json_of
from tocsin.notify.settings import ChannelSettings

log = get_log("notify.slack")

links_open = Gauge(
    "tocsin_slack_socket_links", "Links of Slack's Socket Mode that are open; 0 while it is set up = buttons do nothing."
)
envelopes_total = Counter("tocsin_slack_socket_envelopes_total", "What came over Socket Mode.", ["outcome"])

_WEB_API = "https://slack.com/api"
_ACK_WITHIN_S = 2.0
"""Slack wants its acknowledgement within three seconds; after two we stop waiting for our own command."""
_HELLO_WITHIN_S = 15.0
_DRAIN_S = 30.0
_SHORT_LIFE_S = 10.0
_IDLE_MS = 30_000
_FIRST_WAIT_MS, _LONGEST_WAIT_MS = 1_000, 60_000
_REFUSED_WAIT_MS = 300_000
_REMEMBERED = 4096
_REFUSALS = (
    "invalid_auth",
    "not_authed",
    "account_inactive",
    "not_allowed_token_type",
    "token_revoked",
    "missing_scope",
    "link_disabled",
)
"""Answers that waiting a minute does not change: somebody has to change the app or the token."""

Obey = Callable[[Mapping[str, Any]], Awaitable[Any]]


class _Refused(Exception):
    """Slack said no, and will go on saying so."""


class SocketMode:
    """Keeps one link per app-level token. `run()` belongs to one task; nothing happens without an `app_token`."""

    def __init__(
        self, *, clock: Clock, http: Http, random: Random, obey: Obey | None = None, ack_within_s: float = _ACK_WITHIN_S
    ) -> None:
        """`http` that can also open websockets (`WebSockets`); one that cannot is told so in `state`."""
        self._clock = clock
        self._http = http
        self._random = random
        self._obey = obey
        self._ack_within_s = ack_within_s
        self._token = ""
        self._web_api = _WEB_API
        self._changed = asyncio.Event()
        self._links = 0
        self._failures = 0
        self._problem = ""
        self._seen: OrderedDict[str, None] = OrderedDict()

    def apply(self, settings: ChannelSettings) -> None:
        own = settings.defaults.get("slack", {})
        token, web_api = _plain(own.get("app_token")), str(own.get("web_api") or _WEB_API)
        if (token, web_api) != (self._token, self._web_api):
            self._token, self._web_api, self._failures, self._problem = token, web_api, 0, ""
            self._changed.set()

    def obeyed_by(self, obey: Obey) -> None:
        """Who takes the payloads: it needs the commands, which are built last."""
        self._obey = obey

    def state(self) -> str:
        """For status pages: empty = not set up, `connected`, else why not."""
        if not self._token:
            return ""
        return "connected" if self._links else self._problem or "connecting"

    async def run(self) -> None:
        """Stay connected for ever."""
        while True:
            self._changed.clear()
            if not self._token:
                links_open.remove()
                await until_woken(self._clock, self._changed, self._clock.now_ms() + _IDLE_MS)
                continue
            self._count(0)
            try:
                await self._stay_connected()
            finally:
                self._count(-self._links)

    async def _stay_connected(self) -> None:
        """One link after the other, until the token changes."""
        async with asyncio.TaskGroup() as group:
            readers: set[asyncio.Task[None]] = set()
            while not self._changed.is_set():
                over = asyncio.Event()
                reader = group.create_task(self._link(over))
                readers.add(reader)
                reader.add_done_callback(readers.discard)
                await _first(over, self._changed)
                if not self._changed.is_set() and self._failures:
                    await until_woken(self._clock, self._changed, self._clock.now_ms() + self._wait_ms())
            for reader in readers:
                reader.cancel()

    def _wait_ms(self) -> int:
        if self._problem.startswith("Slack refuses"):
            return _REFUSED_WAIT_MS
        ceiling = min(_FIRST_WAIT_MS << min(self._failures, 10), _LONGEST_WAIT_MS)
        return max(round(ceiling * self._random.random()), 200)

    async def _link(self, over: asyncio.Event) -> None:
        """One link from its opening to its end. `over` is set as soon as the next one should be opened."""
        try:
            async with self._sockets().websocket(await self._address()) as socket:
                await self._greet(socket)
                self._failures, self._problem = 0, ""
                self._count(1)
                opened_s = self._clock.monotonic_s()
                try:
                    reason = await self._read(socket, over)
                finally:
                    self._count(-1)
            if reason in _REFUSALS:
                raise _Refused(reason)
            if not over.is_set() or self._clock.monotonic_s() - opened_s < _SHORT_LIFE_S:
                self._failures, self._problem = 1, "the link broke, connecting again"
        except (HttpError, TimeoutError) as error:
            self._failed(f"cannot connect: {error or 'no answer in time'}")
        except _Refused as error:
            self._failed(f"Slack refuses Socket Mode: {error}; check app_token (xapp-, scope connections:write)")
        finally:
            over.set()

    def _sockets(self) -> WebSockets:
        if not isinstance(self._http, WebSockets):
            raise _Refused("this Tocsin cannot open websockets")
        return self._http

    def _failed(self, problem: str) -> None:
        self._failures += 1
        self._problem = problem
        log.warning("Slack Socket Mode is not connected", problem=problem, failures=self._failures)

    async def _address(self) -> str:
        """Where to connect to, good for one connection. Raises HttpError, _Refused."""
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/x-www-form-urlencoded"}
        response = await self._http.request("POST", f"{self._web_api}/apps.connections.open", headers=headers, timeout_s=10.0)
        answer = json_of(response)
        url = str(answer.get("url", ""))
        if response.status == 200 and answer.get("ok") is True and url.startswith(("wss://", "ws://")):
            return url
        error = str(answer.get("error", "")) or f"HTTP {response.status}"
        if error in _REFUSALS:
            raise _Refused(error)
        raise HttpError(error, sent=False)

    async def _greet(self, socket: WebSocket) -> None:
        """Wait for Slack's hello: before it, the link carries nothing."""
        async with asyncio.timeout(_HELLO_WITHIN_S):
            while (text := await socket.receive()) is not None:
                if _value(text).get("type") == "hello":
                    return
        raise HttpError("closed before its hello", sent=False)

    async def _read(self, socket: WebSocket, over: asyncio.Event) -> str:
        """Take envelopes until the link ends; returns why Slack ended it, if it said so."""
        reason = ""
        async with asyncio.TaskGroup() as group:
            try:
                async with asyncio.timeout(None) as limit:
                    while (text := await socket.receive()) is not None:
                        value = _value(text)
                        if value.get("type") == "disconnect":
                            reason = str(value.get("reason", ""))
                            over.set()
                            limit.reschedule(asyncio.get_running_loop().time() + _DRAIN_S)
                        elif envelope := str(value.get("envelope_id", "")):
                            group.create_task(self._take(socket, envelope, value))
            except TimeoutError:
                pass  # told to leave and not thrown out: enough was waited for what was on its way
        return reason

    async def _take(self, socket: WebSocket, envelope: str, value: Mapping[str, Any]) -> None:
        """Obey, then acknowledge; the acknowledgement does not wait longer than Slack does."""
        payload = value.get("payload")
        obeying: asyncio.Task[Any] | None = None
        if value.get("type") == "interactive" and isinstance(payload, dict) and self._is_new(envelope, payload):
            obeying = asyncio.create_task(self._obey_surely(payload))
            await asyncio.wait([obeying], timeout=self._ack_within_s)
        else:
            envelopes_total.inc("ignored")
        try:
            await socket.send(orjson.dumps({"envelope_id": envelope}).decode())
        except HttpError:
            log.info("a Slack link ended before its acknowledgement")
        if obeying is not None:
            await obeying

    async def _obey_surely(self, payload: Mapping[str, Any]) -> None:
        try:
            assert self._obey is not None, "obeyed_by is called before run"
            await self._obey(payload)
            envelopes_total.inc("obeyed")
        except Exception:  # a payload of a shape that we do not know must not end the link
            envelopes_total.inc("failed")
            log.exception("could not obey a button pressed in Slack")

    def _is_new(self, envelope: str, payload: Mapping[str, Any]) -> bool:
        keys = [envelope, str(payload.get("trigger_id") or envelope)]
        known = any(key in self._seen for key in keys)
        self._seen.update(dict.fromkeys(keys))
        while len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return not known

    def _count(self, more: int) -> None:
        self._links += more
        links_open.set(float(self._links))


async def _first(*events: asyncio.Event) -> None:
    """Until one of them is set."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()


def _value(text: str) -> dict[str, Any]:
    """A message's JSON object; empty when it is none."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _plain(secret: Any) -> str:
    return str(secret.get_secret_value() if hasattr(secret, "get_secret_value") else secret or "")
