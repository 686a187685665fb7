"""How long a backtest takes: `PYTHONPATH=src:. python bench/backtest/run.py --days 30 --series 1000`.

Writes a store of that size (a level per series with daily waves, noise and spikes; a counter beside it), then replays one rule of
each kind over all of it, cold, each in a process of its own, and sweeps all thresholds of the first.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from bench.engine.store import VirtualClock

from tocsin.backtest.columns import ColumnQueryable
from tocsin.backtest.replay import Replayer
from tocsin.backtest.sweep import candidates, comparison_of, firings_per_threshold
from tocsin.heap import keep_pages
from tocsin.model.labels import Labels
from tocsin.model.rule import AlertRule, RuleGroup
from tocsin.promql.engine import Engine
from tocsin.tsdb.db import Store
from tocsin.tsdb.follower import Follower
from tocsin.tsdb.settings import StoreSettings

STEP_MS = 15_000
END_MS = 1_700_000_000_000 // 7_200_000 * 7_200_000
RULES = {
    "selector": "latency > 1.5",
    "rate": "rate(requests_total[5m]) > 25",
    "ratio of sums": "sum by (service) (rate(requests_total[5m])) / count by (service) (latency) > 18",
}


def fill(path: Path, days: float, series: int) -> None:
    """`series` gauges and as many counters, scraped every 15 s."""
    random = np.random.default_rng(1)
    begin_ms = END_MS - int(days * 86_400_000)
    clock = VirtualClock(begin_ms)
    store = Store(path=path, settings=StoreSettings(), clock=clock)
    store.open()
    names = [{"service": f"s{i % 40}", "instance": f"i{i}", "job": "bench"} for i in range(series)]
    refs = store.refs([Labels({"__name__": metric, **name}) for metric in ("latency", "requests_total") for name in names])
    base, rate, total = random.uniform(0.1, 0.6, series), random.uniform(1, 20, series), np.zeros(series)
    spikes = np.zeros(series)
    for t_ms in range(begin_ms, END_MS, STEP_MS):
        clock.now = t_ms
        wave = 1 + 0.4 * np.sin(2 * np.pi * t_ms / 86_400_000)
        spikes = np.where(random.random(series) < 1e-5, 5.0, spikes * (random.random(series) > 0.02))
        total += random.poisson(rate * wave * 15 * (1 + spikes / 5))
        latency = np.round(base * wave * (1 + spikes) + random.normal(0, 0.02, series), 3)
        store.append_refs(refs, t_ms, np.concatenate([latency, total]), grid_ms=STEP_MS)
        if t_ms % 60_000 == 0:
            store.flush()
            store.maintain()
    store.close()


def measure(path: Path, days: float, kind: str) -> dict[str, float]:
    """One rule over everything, in this process."""
    keep_pages()  # as `tocsin backtest`
    clock = VirtualClock(END_MS)
    began, cpu = time.perf_counter(), time.process_time()
    follower = Follower(path=path, clock=clock)
    follower.open()
    opened = time.perf_counter()
    start_ms = END_MS - int(days * 86_400_000) + 3_600_000
    group = RuleGroup("bench", "bench.yml", STEP_MS, (AlertRule("r", "bench", "Bench", RULES[kind], for_ms=60_000),))
    result = Replayer([group], start_ms=start_ms, end_ms=END_MS - STEP_MS, reader=follower, build=Engine).run()
    figures = {
        "open, s": opened - began,
        "replay, s": time.perf_counter() - opened,
        "CPU, s": time.process_time() - cpu,
        "firings": len(result.firings),
        "evaluations": result.evaluations,
        "looks": result.looks,
    }
    if kind == "selector":
        began = time.perf_counter()
        compared = comparison_of(RULES[kind])
        columns = ColumnQueryable(Engine(follower), points=4096)
        counts = 0
        for first_ms in range(start_ms, END_MS, 4096 * STEP_MS):
            found = columns.fetch(compared.left, first_ms, min(END_MS - STEP_MS, first_ms + 4095 * STEP_MS), STEP_MS)
            counts += sum(firings_per_threshold(found, compared.sign, 4, candidates(found, compared.threshold)))
            columns.forget()
        figures["sweep, s"] = time.perf_counter() - began
    figures["peak RSS, MiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return figures


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--days", type=float, default=30)
    options.add_argument("--series", type=int, default=1000)
    options.add_argument("--store", type=Path, help="use this folder and keep it")
    options.add_argument("--one", choices=RULES, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.one:
        print(json.dumps(measure(given.store, given.days, given.one)))
        return
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder:
        path = given.store or Path(folder)
        if not any(path.glob("*")):
            began = time.perf_counter()
            fill(path, given.days, given.series)
            print(f"filled {given.days:g} days x {2 * given.series} series in {time.perf_counter() - began:.0f} s")
        for kind, expr in RULES.items():
            command = [sys.executable, __file__, "--store", str(path), "--days", str(given.days), "--one", kind]
            figures = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            print(f"{kind}: {expr}")
            for name, value in figures.items():
                print(f"  {name:<16} {value:12.2f}")


if __name__ == "__main__":
    main()
