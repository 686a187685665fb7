"""Keep the loops of a process running: one that ends by a mistake of ours is counted, reported and started again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tocsin.log import get_log
from tocsin.metrics import Counter, Gauge

log = get_log("supervise")

task_restarts_total = Counter("tocsin_task_restarts_total", "Loops that ended by an error and were started again.", ["task"])
loop_lag_seconds = Gauge("tocsin_event_loop_lag_seconds", "How late the event loop runs what is due.", ["process"])


async def supervise(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """Run `run()` until it returns or is cancelled; after an exception, again (waiting 1 s, then up to 10 s)."""
    wait_s = 1.0
    while True:
        try:
            await run()
        except asyncio.CancelledError:
            raise
        except Exception:
            task_restarts_total.inc(name)
            log.exception("a loop ended by an error, starting it again", task=name, wait_s=wait_s)
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, 10.0)
        else:
            return


def in_background(name: str, run: Callable[[str], Awaitable[None]]) -> Callable[[str], None]:
    """A function that starts `run(subject)` without waiting for it; a mistake in it is counted and reported like a loop's."""
    tasks: set[asyncio.Task[None]] = set()

    async def guarded(subject: str) -> None:
        try:
            await run(subject)
        except Exception:
            task_restarts_total.inc(name)
            log.exception("a task ended by an error", task=name, subject=subject)

    def start(subject: str) -> None:
        task = asyncio.get_running_loop().create_task(guarded(subject), name=name)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    return start
