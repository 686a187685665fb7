"""The dead man's switch: an address elsewhere is called while this works; when the calls stop, somebody else tells you.

A call is made only while rules are being evaluated, so that it proves more than that a timer runs.
"""

from __future__ import annotations

from collections.abc import Callable

from tocsin.clock import Clock
from tocsin.log import get_log
from tocsin.metrics import Counter
from tocsin.model.ports import Http, HttpError

log = get_log("deadman")

calls_total = Counter("tocsin_dead_man_calls_total", "Calls to the dead man's switch.", ["outcome"])


class DeadMan:
    """Calls `url` every `every_ms` while `alive(since_ms)` says that the path of a page was walked since then."""

    def __init__(self, *, clock: Clock, http: Http, alive: Callable[[int], str]) -> None:
        self._clock = clock
        self._http = http
        self._alive = alive
        self.url = ""
        self.every_ms = 60_000

    def apply(self, url: str, every_ms: int) -> None:
        self.url, self.every_ms = url, every_ms

    async def run(self) -> None:
        while True:
            since_ms = self._clock.now_ms()
            await self._clock.sleep_until_ms(since_ms + self.every_ms)
            if not self.url:
                continue
            if why := self._alive(since_ms):
                calls_total.inc("withheld")
                log.error("the dead man's switch is not called", why=why)
            else:
                await self._call()

    async def _call(self) -> None:
        try:
            answer = await self._http.request("GET", self.url, timeout_s=10)
        except HttpError as error:
            calls_total.inc("failed")
            log.warning("the dead man's switch cannot be reached", error=str(error))
            return
        calls_total.inc("ok" if answer.status < 300 else "refused")
        if answer.status >= 300:
            log.warning("the dead man's switch refuses the call", status=answer.status)
