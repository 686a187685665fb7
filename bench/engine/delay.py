"""How late the core's loop is while blocks are written, and while another process answers a query over 10,000 series x 22 h.

    PYTHONPATH=src:. python -m bench.engine.delay [--series 50000] [--seconds 10]

A ticker is due every 5 ms on the loop that scrapes and rules share; shown is how much later it comes. The cut is made as
the store makes it, by a child, and, to compare, by a thread of the same process. About a minute and a half.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import uvloop
from bench.engine.store import Values, VirtualClock, target_labels

from tocsin.clock import SystemClock
from tocsin.model.labels import Labels
from tocsin.promql.engine import Engine, EngineOptions
from tocsin.tsdb import compact, upkeep
from tocsin.tsdb.db import Store
from tocsin.tsdb.follower import Follower
from tocsin.tsdb.settings import StoreSettings
from tocsin.tsdb.workshop import Work

SPAN_MS = 7_200_000
TICK_S = 0.005
HOURS = 22


def fill(store: Store, clock: VirtualClock, base: int, series: int) -> None:
    """22 h of 10,000 series once a minute, in blocks; then two hours of `series` every 15 s, in the head."""
    wide = [store.refs([Labels({"__name__": "wide", "t": str(t), "n": str(n)}) for n in range(1000)]) for t in range(10)]
    start = base - HOURS * 3_600_000
    for number in range(HOURS * 60):
        clock.now = start + number * 60_000
        for place, refs in enumerate(wide):
            store.append_refs(refs, clock.now + place, np.arange(1000.0) * place + number, grid_ms=60_000)
        if number % 30 == 0:
            store.maintain()
    targets = max(1, series // 2000)
    sources = [(store.refs(target_labels(target, 2000)), Values(2000, target)) for target in range(targets)]
    for number in range(480):
        clock.now = base + number * 15_000
        for place, (refs, values) in enumerate(sources):
            store.append_refs(refs, clock.now + place % 30 * 500, values.step().copy(), grid_ms=15_000)
        store.flush()
    store.maintain()


async def ticks(until: Callable[[], bool]) -> list[float]:
    """Milliseconds that each tick came late."""
    late = []
    while not until():
        due = time.monotonic() + TICK_S
        await asyncio.sleep(TICK_S)
        late.append((time.monotonic() - due) * 1000)
    return late


def query(folder: str, end_ms: int) -> None:
    """The whole of `wide`, again and again, as the web's worker does; until killed."""
    follower = Follower(path=Path(folder), clock=SystemClock())
    follower.open()
    engine = Engine(follower, EngineOptions())
    while True:
        engine.range("rate(wide[5m])", end_ms - HOURS * 3_600_000, end_ms, 60_000)


async def measure(store: Store, base: int, seconds: float) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}

    def for_a_while() -> Callable[[], bool]:
        end = time.monotonic() + seconds
        return lambda: time.monotonic() > end

    found["idle"] = await ticks(for_a_while())
    worker = multiprocessing.get_context("spawn").Process(target=query, args=(str(store.path), base), daemon=True)
    worker.start()
    await asyncio.sleep(3)
    found[f"a query over 10,000 series x {HOURS} h in another process"] = await ticks(for_a_while())
    worker.kill()
    worker.join()

    end_ms = base + SPAN_MS
    # The block alone, by a thread: what a cut did before it had a child. It is thrown away.
    job = compact.cut(store, end_ms)
    work: Any = next(job)
    while not isinstance(work, Work):
        work = job.send(await asyncio.to_thread(work))
    thread = asyncio.ensure_future(asyncio.to_thread(work))
    found["a cut, by a thread of this process"] = await ticks(thread.done)
    await thread
    job.close()
    store.blocks.refresh()
    store.blocks.remove([block for block in store.blocks.blocks if block.name.start_ms >= base])
    task = asyncio.ensure_future(upkeep.drive(compact.cut(store, end_ms)))
    found["a cut, by a child"] = await ticks(task.done)
    await task
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--series", type=int, default=50_000)
    parser.add_argument("--seconds", type=float, default=10)
    given = parser.parse_args()
    for what, late in delays(given.series, given.seconds).items():
        p50, p99 = np.percentile(late, [50, 99])
        print(f"{what:58} {len(late):6} ticks  p50 {p50:6.2f} ms  p99 {p99:6.2f} ms  longest {max(late):6.1f} ms")


def delays(series: int, seconds: float) -> dict[str, list[float]]:
    """Lateness of every tick, by what went on meanwhile."""
    folder = Path(tempfile.mkdtemp(prefix="tocsin-bench-"))
    base = 1_700_000_000_000 // SPAN_MS * SPAN_MS
    clock = VirtualClock(base)
    store = Store(path=folder, settings=StoreSettings(), clock=clock)
    try:
        store.open()
        fill(store, clock, base, series)
        clock.now = base + 2 * SPAN_MS
        return uvloop.run(measure(store, base, seconds))
    finally:
        store.close()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
