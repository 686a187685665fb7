"""From the prober to the core: results wait in order while the core is away."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from tocsin.clock import Clock, until_woken
from tocsin.log import get_log
from tocsin.metrics import Counter
from tocsin.model.check import CheckResult

log = get_log("collect.reporting")

dropped_total = Counter("tocsin_collect_results_dropped_total", "Results given up because the core was away for too long.")

Report = Callable[[Sequence[CheckResult]], Awaitable[None]]
"""Hands results to the core; raises OSError while it cannot."""

_MOST_WAITING = 100_000
_MOST_AT_ONCE = 500
_COMPANY_MS = 200
"""What an expected result waits for others: one report of many costs the measuring loop far less than many of one."""


class Reporter:
    """Sends what there is, together; a failed report is repeated until it gets through."""

    def __init__(self, clock: Clock, report: Report) -> None:
        self._clock = clock
        self._report = report
        self._waiting: deque[CheckResult] = deque()
        self._some = asyncio.Event()
        self._hurry = asyncio.Event()

    def put(self, result: CheckResult) -> None:
        """Never waits; beyond a hundred thousand the oldest news goes, it is worth least."""
        if len(self._waiting) >= _MOST_WAITING:
            self._waiting.popleft()
            dropped_total.inc()
        self._waiting.append(result)
        self._some.set()
        if not result.ok or result.degraded or result.manual_by:
            self._hurry.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._some.wait()
            await until_woken(self._clock, self._hurry, self._clock.now_ms() + _COMPANY_MS)
            self._hurry.clear()
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), _MOST_AT_ONCE))]
            if not self._waiting:
                self._some.clear()
            wait_ms = 250
            while not await self._sent(batch):
                await self._clock.sleep_until_ms(self._clock.now_ms() + wait_ms)
                wait_ms = min(wait_ms * 2, 5_000)

    async def _sent(self, batch: list[CheckResult]) -> bool:
        try:
            await self._report(batch)
        except (OSError, TimeoutError, RuntimeError) as error:
            log.warning("results could not be reported; they wait", results=len(batch), error=str(error))
            return False
        return True
