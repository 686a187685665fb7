"""The store alone: cost of a scrape's way in, memory per series, bytes per sample, restart, reads from the head.

    PYTHONPATH=src python bench/engine/store.py [--targets 50] [--series 2000] [--scrapes 480] [--json]

Synthetic targets: counters, histogram buckets, gauges with two decimals, constants, a few full-precision floats; half of the
values change from scrape to scrape. Time is virtual; CPU is this process's. Runs in about a minute.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np

from tocsin.model.labels import Labels, Matcher, MatchOp
from tocsin.tsdb.db import Store
from tocsin.tsdb.follower import Follower
from tocsin.tsdb.settings import StoreSettings

STEP_MS = 15_000
PHASES = 30


class VirtualClock:
    def __init__(self, now_ms: int) -> None:
        self.now = now_ms

    def now_ms(self) -> int:
        return self.now

    def monotonic_s(self) -> float:
        return time.monotonic()

    async def sleep_until_ms(self, t_ms: int) -> None:
        self.now = max(self.now, t_ms)


def resident_mib() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def target_labels(target: int, series: int) -> list[Labels]:
    fixed = {"instance": f"host-{target:04d}.example:9100", "job": "app"}
    out = []
    for number in range(series):
        metric = f"app_metric_{number // 20:03d}_total"
        out.append(Labels({"__name__": metric, "handler": f"/api/v1/path{number % 20}", "code": "200", **fixed}))
    return out


class Values:
    """The values of one target from scrape to scrape."""

    def __init__(self, series: int, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self.current = np.zeros(series)
        kinds = self._random.choice(4, series, p=[0.45, 0.25, 0.25, 0.05])
        self._counters = np.flatnonzero(kinds == 0)
        self._gauges = np.flatnonzero(kinds == 1)
        self._floats = np.flatnonzero(kinds == 3)
        self._rates = 10.0 ** self._random.uniform(0, 3, len(self._counters))

    def step(self) -> np.ndarray:
        busy = self._random.random(len(self._counters)) < 0.7
        self.current[self._counters] += np.where(busy, self._random.poisson(self._rates), 0)
        self.current[self._gauges] = np.round(self.current[self._gauges] + self._random.normal(0, 0.2, len(self._gauges)), 2)
        self.current[self._floats] += self._random.random(len(self._floats))
        return self.current


def cpu() -> float:
    return time.process_time()


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--targets", type=int, default=50)
    options.add_argument("--series", type=int, default=2000)
    options.add_argument("--scrapes", type=int, default=480)
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="tocsin-bench-"))
    try:
        figures = measure(folder, given.targets, given.series, given.scrapes)
    finally:
        shutil.rmtree(folder)
    if given.json:
        print(json.dumps(figures, indent=1))
        return
    for name, value in figures.items():
        print(f"{name:52s} {value:12.3f}")


def measure(folder: Path, targets: int, series: int, scrapes: int) -> dict[str, float]:
    figures: dict[str, float] = {}
    # A whole block_ms, so that one cut takes everything.
    base = 1_700_000_000_000 // 7_200_000 * 7_200_000
    clock = VirtualClock(base)
    sources = [Values(series, target) for target in range(targets)]
    labels = [target_labels(target, series) for target in range(targets)]
    total = targets * series
    empty = resident_mib()
    store = Store(path=folder, settings=StoreSettings(), clock=clock)
    store.open()
    began = cpu()
    refs = [store.refs(one) for one in labels]
    figures["new series, us CPU each"] = (cpu() - began) / total * 1e6
    del labels
    spent = upkeep = 0.0
    for number in range(scrapes):
        for target in range(targets):
            t_ms = base + number * STEP_MS + target % PHASES * (STEP_MS // PHASES)
            clock.now = t_ms
            values = sources[target].step().copy()
            began = cpu()
            store.append_refs(refs[target], t_ms, values, grid_ms=STEP_MS)
            spent += cpu() - began
        began = cpu()
        store.flush()
        spent += cpu() - began
        began = cpu()
        store.maintain()
        upkeep += cpu() - began
        if number == min(150, scrapes - 1):
            figures["RSS per series after 150 scrapes, bytes"] = (resident_mib() - empty) * 2**20 / total
    samples = total * scrapes
    figures["append_refs + WAL, us CPU per sample"] = spent / samples * 1e6
    figures["housekeeping, us CPU per sample"] = upkeep / samples * 1e6
    figures["WAL, bytes per sample written (all segments kept)"] = store.wal_bytes() / samples
    figures["head chunks, bytes per sample sealed"] = store.files.total_bytes() / samples
    figures |= reads(store, clock.now)
    store.close()
    figures |= restart(folder, clock)
    store = Store(path=folder, settings=StoreSettings(), clock=clock)
    store.open()
    clock.now += 3 * 3_600_000
    before, high = cpu(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    store.maintain()
    figures["cut to a block, us CPU per sample"] = (cpu() - before) / samples * 1e6
    figures["cut, growth of peak RSS, MiB"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - high) / 1024
    figures["block, bytes per sample (index included)"] = store.blocks.total_bytes() / samples
    figures |= block_reads(store, base)
    store.close()
    return figures


def timed(name: str, repeat: int, act) -> dict[str, float]:  # type: ignore[no-untyped-def]
    act()
    began = cpu()
    for _ in range(repeat):
        act()
    return {f"{name}, ms CPU": (cpu() - began) / repeat * 1e3}


def reads(store: Store, now_ms: int) -> dict[str, float]:
    one = [Matcher("__name__", MatchOp.EQUAL, "app_metric_007_total")]
    every = [Matcher("__name__", MatchOp.REGEX, "app_metric_00.*")]
    out = timed("instant, 1 metric (all targets), head", 50, lambda: store.select(one, now_ms - 300_000, now_ms))
    out |= timed("instant, 10 metrics, head", 10, lambda: store.select(every, now_ms - 300_000, now_ms))
    out |= timed("range 1 h, 1 metric, head", 10, lambda: store.select(one, now_ms - 3_600_000, now_ms))
    return out


def block_reads(store: Store, base: int) -> dict[str, float]:
    one = [Matcher("__name__", MatchOp.EQUAL, "app_metric_007_total")]
    out = timed("range 1 h, 1 metric, block (cached)", 10, lambda: store.select(one, base, base + 3_600_000))

    def cold() -> None:
        store.blocks.cache.__init__()  # type: ignore[misc]
        store.select(one, base + 3_600_000, base + 3_900_000)

    return out | timed("instant, 1 metric, block (cold)", 10, cold)


def restart(folder: Path, clock: VirtualClock) -> dict[str, float]:
    began, wall = cpu(), time.monotonic()
    store = Store(path=folder, settings=StoreSettings(), clock=clock)
    store.open()
    out = {"restart, s CPU": cpu() - began, "restart, s wall": time.monotonic() - wall}
    store.close()
    follower = Follower(path=folder, clock=clock)
    before = resident_mib()
    follower.open()
    out["follower RSS per series, bytes"] = (resident_mib() - before) * 2**20 / max(1, follower.head.index.series_count)
    follower.close()
    return out


if __name__ == "__main__":
    main()
