"""The dead man's switch: an address elsewhere is called while this works; when the calls stop, somebody else tells you.

A call is made only while a page would pass (app/alive.py): samples stored, rules evaluated, alerts routed, escalations on time,
the outbox looked at. It proves more than that a timer runs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from tocsin.clock import Clock
from tocsin.log import get_log
from tocsin.metrics import Counter
from tocsin.model.ports import Http, HttpError

log = get_log("deadman")

calls_total = Counter("tocsin_dead_man_calls_total", "Calls to the dead man's switch.", ["outcome"])

_FIRST_MS = 10_000
"""The first call comes soon after the start, so that a person sees at once whether the address is right."""


class DeadMan:
    """Calls `url` every `every_ms` while `broken()` finds nothing."""

    def __init__(self, *, clock: Clock, http: Http, broken: Callable[[], Awaitable[str]]) -> None:
        self._clock = clock
        self._http = http
        self._broken = broken
        self.url = ""
        self.every_ms = 60_000
        self.called_ms = 0
        """When it was last called and answered well; 0 = never."""
        self.trouble = ""
        """Why the last call was not made, or did not arrive."""

    def apply(self, url: str, every_ms: int) -> None:
        if url != self.url:
            self.called_ms, self.trouble = 0, ""
        self.url, self.every_ms = url, every_ms

    async def run(self) -> None:
        wait_ms = min(_FIRST_MS, self.every_ms)
        while True:
            await self._clock.sleep_until_ms(self._clock.now_ms() + wait_ms)
            # Until the first call has arrived, look often: right after a start no rule has been evaluated yet.
            wait_ms = self.every_ms
            if self.url and not await self.call() and not self.called_ms:
                wait_ms = min(_FIRST_MS, self.every_ms)

    async def call(self) -> bool:
        """One call, if a page would pass. True = it was answered well."""
        if why := await self._broken():
            calls_total.inc("withheld")
            self.trouble = f"withheld: {why}"
            log.error("the dead man's switch is not called", why=why)
            return False
        try:
            answer = await self._http.request("GET", self.url, timeout_s=10)
        except HttpError as error:
            calls_total.inc("failed")
            self.trouble = f"cannot be reached: {error}"
            log.warning("the dead man's switch cannot be reached", error=str(error))
            return False
        calls_total.inc("ok" if answer.status < 300 else "refused")
        if answer.status >= 300:
            self.trouble = f"answered {answer.status}"
            log.warning("the dead man's switch refuses the call", status=answer.status)
            return False
        self.called_ms, self.trouble = self._clock.now_ms(), ""
        return True

    def state(self) -> dict[str, Any]:
        """For status and dashboard; the address is a secret."""
        return {
            "configured": bool(self.url),
            "every_ms": self.every_ms,
            "called_ms": self.called_ms,
            "trouble": self.trouble,
        }
