"""Virtual time: an event loop whose clock jumps to the next timer as soon as nothing else is to be done."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
START_MS = 1_767_225_600_000
"""2026-01-01T00:00:00Z"""


class Stuck(AssertionError):
    """Every task waits for something that will never happen."""


class _Selector(selectors.SelectSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self.loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        # Beside the loop's own pipe, which nobody needs to write to, there is hardly ever anything to look at.
        ready = super().select(0) if len(self.get_map()) > 1 else []
        if not ready:
            if timeout is None:
                raise Stuck("nothing will ever happen again")
            self.loop.now_s += max(timeout, 0.0)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.now_s = 0.0
        super().__init__(_Selector(self))

    def time(self) -> float:
        return self.now_s

    def _write_to_self(self) -> None:
        """Nobody has to be woken: this loop never sleeps."""

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        """Work for threads is done at once: a real thread would know nothing of virtual time."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future


class VirtualClock:
    """A `Clock` on a VirtualLoop. `jump_ms` moves the wall clock without moving the monotonic one."""

    def __init__(self, start_ms: int = START_MS) -> None:
        self.start_ms = start_ms
        self.jumped_ms = 0

    def now_ms(self) -> int:
        return self.start_ms + self.jumped_ms + round(self.monotonic_s() * 1000)

    def monotonic_s(self) -> float:
        try:
            return asyncio.get_running_loop().time()
        except RuntimeError:
            return 0.0

    async def sleep_until_ms(self, t_ms: int) -> None:
        while (left_ms := t_ms - self.now_ms()) > 0:
            await asyncio.sleep(min(left_ms / 1000, 5.0))

    def jump_ms(self, by_ms: int) -> None:
        self.jumped_ms += by_ms


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` on virtual time; hours pass in milliseconds."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
