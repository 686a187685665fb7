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
