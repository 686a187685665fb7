"""One rule, ten thousand label sets, all true at once: how long until every alert is decided, kept and handed on?

    python bench/rules/storm.py [alerts]

The query over a store in memory, the state machine, labels and annotations from templates, ALERTS and ALERTS_FOR_STATE, the
transaction with states, intake and timeline (SQLite with fsync). Then an evaluation in which nothing moves, and the end of all.
What the dispatcher does with them is measured by bench/alerts/storm.py.
"""

from __future__ import annotations

import asyncio
import cProfile
import os
import pstats
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np

from tocsin.clock import SystemClock
from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.model.series import Batch
from tocsin.promql.engine import Engine
from tocsin.rules.evaluate import Evaluator
from tocsin.rules.memory import MemoryStore
from tocsin.rules.rulefile import parse_rule_file
from tocsin.state.schema import metadata
from tocsin.state.sql import Database, sqlite_url

RULES = """
groups:
- name: hosts
  interval: 1h
  rules:
  - alert: InstanceDown
    expr: up{job="node"} == 0
    labels: {severity: critical}
    annotations:
      summary: '{{ $labels.instance }} does not answer'
      description: 'up is {{ $value }} since the last scrape'
      runbook_url: '{{ $externalURL }}/runbooks#target'
      tocsin: 'clear_for: 0s'
"""


class Clock(SystemClock):
    """Steps from slot to slot without waiting."""

    ahead_ms = 0

    def now_ms(self) -> int:
        return super().now_ms() + self.ahead_ms


async def storm(folder: Path, count: int, timed: Callable[[str, Callable[[], Awaitable[None]]], Awaitable[None]]) -> None:
    db = Database(sqlite_url(folder / "state.db"))
    db.write_now(lambda tx: metadata.create_all(tx))
    clock, store = Clock(), MemoryStore()
    labels = [Labels({METRIC_NAME: "up", "job": "node", "instance": f"host{n}:9100", "team": "a"}) for n in range(count)]
    evaluator = Evaluator(
        db=db,
        queryable=Engine(store),
        writer=store,
        clock=clock,
        changed=lambda topic, subject="": None,
        wake=lambda: None,
        external_url="https://tocsin.example",
    )
    groups, _ = parse_rule_file(RULES, "bench.yml")
    evaluator.apply(groups)
    await evaluator._restore()
    (scheduled,) = evaluator._groups.values()

    def put(value: float) -> None:
        clock.ahead_ms += 15_000
        now = np.full(count, clock.now_ms(), dtype=np.int64)
        store.append(Batch(labels, now, np.full(count, value)))

    async def once() -> None:
        await evaluator._pass(scheduled, clock.now_ms())

    for name, value in (("all begin", 0.0), ("nothing moves", 0.0), ("all end", 1.0)):
        put(value)
        await timed(name, once)
    evaluator.close()
    db.close()


async def _timed(name: str, work: Callable[[], Awaitable[None]]) -> None:
    wall, cpu = time.perf_counter(), time.process_time()
    await work()
    print(f"{name:>14}: {time.perf_counter() - wall:6.2f} s on the clock, {time.process_time() - cpu:6.2f} s of CPU", flush=True)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(storm(Path(folder), count, _timed))


if __name__ == "__main__":
    if os.environ.get("PROFILE"):
        with cProfile.Profile() as profile:
            main()
        pstats.Stats(profile).sort_stats("tottime").print_stats(35)
    else:
        main()
