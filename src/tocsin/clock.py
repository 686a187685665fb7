"""The only place where Tocsin reads a clock.

Loops are handed a `Clock`; decisions are handed `now_ms`. Tests and simulation give another clock.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """What a loop may ask of time."""

    def now_ms(self) -> int:
        """Wall time, milliseconds since 1970 UTC. May jump; never measure durations with it."""

    def monotonic_s(self) -> float:
        """Seconds on a clock that never jumps; only differences mean anything."""

    async def sleep_until_ms(self, t_ms: int) -> None:
        """Return when `now_ms() >= t_ms` (at once if it already is), or when cancelled."""


class SystemClock:
    """The machine's own clocks."""

    # A wall clock that steps while we sleep must not keep us asleep: look again at least this often.
    _LONGEST_NAP_S = 5.0

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        return time.monotonic()

    async def sleep_until_ms(self, t_ms: int) -> None:
        while (left_ms := t_ms - self.now_ms()) > 0:
            await asyncio.sleep(min(left_ms / 1000, self._LONGEST_NAP_S))


async def until_woken(clock: Clock, woken: asyncio.Event, t_ms: int) -> None:
    """Return when `woken` is set or at `t_ms`, whichever comes first. Leaves no task behind."""
    if woken.is_set() or clock.now_ms() >= t_ms:
        await asyncio.sleep(0)
        return
    waits = [asyncio.ensure_future(woken.wait()), asyncio.ensure_future(clock.sleep_until_ms(t_ms))]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
