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
    """Return when `woken` is set or at `t_ms`, whichever comes first. Leaves no task behind.

    Also after as long as it was to `t_ms` when asked: a wall clock set back by an hour must not make anybody sleep for it.
    """
    left_ms = t_ms - clock.now_ms()
    if woken.is_set() or left_ms <= 0:
        await asyncio.sleep(0)
        return
    now_s = asyncio.get_running_loop().time()
    limit = asyncio.timeout_at(now_s + left_ms / 1000)
    sleep = asyncio.ensure_future(clock.sleep_until_ms(t_ms))

    def over(_sleep: asyncio.Future[None]) -> None:
        if not limit.expired():  # both ends may come in one turn of the loop
            limit.reschedule(now_s)

    sleep.add_done_callback(over)
    try:
        async with limit:
            await woken.wait()
    except TimeoutError:
        pass
    finally:
        sleep.remove_done_callback(over)
        sleep.cancel()


class StepWatch:
    """Notices that the wall clock was moved, by the monotonic one. What waits for a wall time then has to be moved along."""

    SMALLEST_MS = 5_000
    """Smaller steps and slow drift make nothing late that matters."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._before: tuple[int, float] | None = None
        self.total_ms = 0
        """By how much the clock was moved since the first look (ms; forward is positive)."""
        self.stepped = False
        """Whether it was ever moved: it may have been moved back again."""
        self.since_ms = 0
        """How long ago the look before the newest step was."""

    def look(self) -> int:
        """By how much the clock was moved in all, now included."""
        now_ms, monotonic_s = self._clock.now_ms(), self._clock.monotonic_s()
        before_ms, before_s = self._before or (now_ms, monotonic_s)
        self._before = (now_ms, monotonic_s)
        passed_ms = round((monotonic_s - before_s) * 1000)
        step_ms = now_ms - before_ms - passed_ms
        if abs(step_ms) >= self.SMALLEST_MS:
            self.total_ms += step_ms
            self.stepped = True
            self.since_ms = 0
        self.since_ms += passed_ms
        return self.total_ms
