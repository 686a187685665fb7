"""`/api/tocsin/v1/stream`: says THAT something changed, never what. Server-sent events with a cursor.

    core ──changes──▶ Hub (one follower per web process) ──▶ every open stream

Events: `change` {id, now_ms, topics, subjects}, `reset` (the cursor is from another life or too old: read everything again),
`beat` {now_ms, engine} every 10 s, and at once when the stream opens. Where a proxy holds the stream back, `/changes` tells the
same in plain answers; `now_ms` is how a browser sees that an event comes late.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from tocsin.bus.wire import Change
from tocsin.log import get_log
from tocsin.metrics import Gauge
from tocsin.web.answers import dumps
from tocsin.web.parts import WebParts
from tocsin.web.problem import Refused

log = get_log("web.live")

_KEPT = 4096
_BEAT_S = 10.0
_GATHER_S = 0.25  # at most four updates a second reach a browser
_RETRY_MS = 2000
_MOST_STREAMS = 2000
_AGAIN_S = 0.5

Beat = Callable[[], Awaitable[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Missed:
    """What a stream would have said since a cursor."""

    now_ms: int
    cursor: int
    """To ask from next time."""
    engine: Any
    reset: bool
    """The given cursor is too old or not ours: read everything again."""
    topics: Sequence[str]
    subjects: Sequence[str]


streams_open = Gauge("tocsin_web_streams", "Open live streams.")


class Hub:
    """Follows the core's changes and fans them out.

    A cursor is one number that only grows: the instant at which we (re)connected to the core plus the change's own id. A
    cursor from before the last reconnection is therefore recognised as old.
    """

    def __init__(self, parts: WebParts) -> None:
        self._parts = parts
        self._kept: deque[Change] = deque(maxlen=_KEPT)
        self._wake = asyncio.Event()
        self._life_ms = parts.clock.now_ms()
        self._last_id = 0
        self.heard_ms = 0
        """When the core last gave a sign of life; 0 = never."""
        self.open_streams = 0
        self._listeners: list[Callable[[Change], None]] = []

    def on_change(self, listener: Callable[[Change], None]) -> None:
        """Call `listener` for every change, on the loop."""
        self._listeners.append(listener)

    async def run(self) -> None:
        """Follow the core for ever; it may go away and come back."""
        while True:
            connected = False
            async for change in self._parts.core.changes(0):
                if not connected:
                    # Not before the core has said something: while it is away nobody is told to read everything again.
                    connected = True
                    self._begin()
                self.heard_ms = self._parts.clock.now_ms()
                if change is not None:
                    self._take(change)
            if connected:
                log.info("the core's stream of changes ended; connecting again")
            await asyncio.sleep(_AGAIN_S)

    def _begin(self) -> None:
        """Start a new life: after a break nobody knows what was missed, so every browser reads everything again."""
        self._life_ms = max(self._parts.clock.now_ms(), self.cursor + 1)
        self._last_id = 0
        self._kept.clear()
        self._notify()

    def _take(self, change: Change) -> None:
        if self._last_id and change.id != self._last_id + 1:
            self._begin()
        self._last_id = change.id
        self._kept.append(change)
        for listener in self._listeners:
            listener(change)
        self._notify()

    def _notify(self) -> None:
        wake, self._wake = self._wake, asyncio.Event()
        wake.set()

    def now_ms(self) -> int:
        return self._parts.clock.now_ms()

    def monotonic_s(self) -> float:
        return self._parts.clock.monotonic_s()

    @property
    def cursor(self) -> int:
        return self._life_ms + self._last_id

    def after(self, cursor: int) -> list[Change] | None:
        """Changes since `cursor`; None = too old, of another life, or not ours."""
        missed = self.cursor - cursor
        if missed < 0 or cursor < self._life_ms or missed > len(self._kept):
            return None
        return list(self._kept)[len(self._kept) - missed :] if missed else []

    async def wait(self, seconds: float) -> bool:
        """Whether something changed before `seconds` were over."""
        wake = self._wake
        try:
            async with asyncio.timeout(seconds):
                await wake.wait()
            return True
        except TimeoutError:
            return False


def stream_handler(hub: Hub, beat: Beat) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint; `beat` gives the data of a beat event."""

    async def stream(request: Request) -> Response:
        """Changes as server-sent events."""
        if hub.open_streams >= _MOST_STREAMS:
            raise Refused(503, "busy", "too many live streams are open; the dashboard asks again by itself")
        sent = request.headers.get("last-event-id") or request.query_params.get("cursor", "")
        return StreamingResponse(
            _events(hub, beat, _cursor(sent)),
            media_type="text/event-stream",
            headers={"cache-control": "no-store, no-transform", "x-accel-buffering": "no"},
        )

    return stream


def changes_handler(hub: Hub, beat: Beat) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint for browsers that the stream does not reach."""

    async def changes(request: Request) -> Response:
        """What the stream would have said since `cursor`, in one answer: for browsers whose proxy holds streams back."""
        cursor = _cursor(request.query_params.get("cursor", ""))
        found = [] if cursor is None else hub.after(cursor)
        told = _summary(found or ())
        now = await beat()
        answer = Missed(now["now_ms"], hub.cursor, now["engine"], found is None, told["topics"], told["subjects"])
        # Without an ETag: that the clock went on is what a browser wants to hear.
        return Response(dumps(answer), media_type="application/json")

    return changes


def _cursor(sent: str) -> int | None:
    return int(sent) if sent.isascii() and sent.isdigit() and len(sent) < 17 else None


async def _events(hub: Hub, beat: Beat, cursor: int | None) -> AsyncIterator[bytes]:
    hub.open_streams += 1
    streams_open.set(hub.open_streams)
    try:
        # Two kilobytes of comment push the beginning through proxies that buffer.
        yield b":" + b" " * 2048 + b"\n" + f"retry: {_RETRY_MS}\n\n".encode()
        yield _event("beat", hub.cursor, await beat())
        beat_at_s = hub.monotonic_s() + _BEAT_S
        seen = hub.cursor if cursor is None else cursor
        while True:
            # What comes while we send is for the next round: the cursor must not run ahead of what was said.
            changes, reached = hub.after(seen), hub.cursor
            if changes is None:
                yield _event("reset", reached, {"cursor": reached})
            elif changes:
                yield _event("change", reached, {**_summary(changes), "now_ms": hub.now_ms()})
            seen = reached
            # However busy the changes are, the beat tells how the engine is.
            if hub.monotonic_s() >= beat_at_s:
                yield _event("beat", seen, await beat())
                beat_at_s = hub.monotonic_s() + _BEAT_S
            if hub.cursor != seen or await hub.wait(beat_at_s - hub.monotonic_s()):
                await asyncio.sleep(_GATHER_S)
    finally:
        hub.open_streams -= 1
        streams_open.set(hub.open_streams)


def _summary(changes: Sequence[Change]) -> dict[str, Any]:
    topics = sorted({change.topic for change in changes})
    subjects = sorted({change.subject for change in changes if change.subject})
    return {"id": max((change.id for change in changes), default=0), "topics": topics, "subjects": subjects[:200]}


def _event(name: str, cursor: int, data: Mapping[str, Any]) -> bytes:
    return f"event: {name}\nid: {cursor}\ndata: ".encode() + dumps(data) + b"\n\n"
