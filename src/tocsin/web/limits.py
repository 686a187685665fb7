"""What one request may send and how often one address may fail."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from starlette.types import Message, Receive

from tocsin.clock import Clock
from tocsin.web.problem import Refused


def limited_receive(receive: Receive, *, limit: int, seconds: float) -> Receive:
    """`receive` that refuses a body above `limit` bytes (413) or slower than `seconds` in all (408)."""
    taken = 0
    complete = False
    deadline = asyncio.get_running_loop().time() + seconds

    async def guarded() -> Message:
        nonlocal taken, complete
        if complete:
            return await receive()
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError:
            raise Refused(408, "body_too_slow", f"the request body did not arrive within {seconds:.0f} s") from None
        if message["type"] == "http.request":
            taken += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if taken > limit:
                raise too_large(limit)
        else:
            complete = True
        return message

    return guarded


def too_large(limit: int) -> Refused:
    return Refused(413, "body_too_large", f"the request body is larger than {limit} bytes")


class FailureLimit:
    """At most `most` failures per key within `window_ms`; then refused until the window has passed.

    Bounded: the keys that failed longest ago are forgotten first.
    """

    def __init__(self, clock: Clock, *, most: int, window_ms: int, keys: int = 10_000) -> None:
        self._clock = clock
        self._most = most
        self._window_ms = window_ms
        self._keys = keys
        self._failures: OrderedDict[str, list[int]] = OrderedDict()

    def _recent(self, key: str) -> list[int]:
        since = self._clock.now_ms() - self._window_ms
        return [t_ms for t_ms in self._failures.get(key, []) if t_ms > since]

    def check(self, key: str) -> None:
        """Raises Refused 429 when `key` has failed too often."""
        if len(self._recent(key)) >= self._most:
            raise Refused(429, "too_many_attempts", f"too many failed attempts; wait {self._window_ms // 1000} s and try again")

    def failed(self, key: str) -> None:
        self._failures[key] = [*self._recent(key), self._clock.now_ms()][-self._most :]
        self._failures.move_to_end(key)
        if len(self._failures) > self._keys:
            self._failures.popitem(last=False)

    def succeeded(self, key: str) -> None:
        self._failures.pop(key, None)
