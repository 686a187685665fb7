"""Watches Tocsin itself: the metrics of every process go to the store directly (`job="tocsin"`, label `process`)."""

from __future__ import annotations

import os
from collections.abc import Sequence

import psutil

from tocsin import __version__
from tocsin.clock import Clock
from tocsin.collect.series_writer import SeriesWriter
from tocsin.metrics import REGISTRY, Family, Gauge, Sample
from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.model.ports import SampleWriter

build_info = Gauge("tocsin_build_info", "Version of this Tocsin; the value is 1.", ["version"])
process_cpu = Gauge("process_cpu_seconds_total", "CPU time of this process.")
process_memory = Gauge("process_resident_memory_bytes", "Resident memory of this process.")
process_start = Gauge("process_start_time_seconds", "When this process started, Unix time.")
process_fds = Gauge("process_open_fds", "Open file descriptors of this process.")

_KEEP_SILENT = 3
"""A process that has not reported for this many rounds ends its series."""


def own_families() -> list[Family]:
    """This process's metrics now, its resource use included. What web and probe report to the core."""
    build_info.set(1.0, __version__)
    process = psutil.Process(os.getpid())
    times = process.cpu_times()
    process_cpu.set(times.user + times.system)
    process_memory.set(float(process.memory_info().rss))
    process_start.set(process.create_time())
    process_fds.set(float(process.num_fds()))
    return REGISTRY.collect()


class SelfCollector:
    """Collects the core's own metrics and what the other processes report."""

    def __init__(
        self, *, writer: SampleWriter, clock: Clock, instance: str, every_ms: int = 15_000, process: str = "core"
    ) -> None:
        self._clock = clock
        self._writer = writer
        self._series = SeriesWriter(writer)
        self._target = {"job": "tocsin", "instance": instance}
        self._every_ms = every_ms
        self._process = process
        self._families: dict[str, tuple[int, tuple[Family, ...]]] = {}
        self._told: set[str] = set()

    def take(self, process: str, families: Sequence[Family]) -> None:
        """What another process reported (stored with the next round)."""
        self._families[process] = (self._clock.now_ms(), tuple(families))

    async def run(self) -> None:
        """Once at once, then on the grid, until cancelled."""
        slot_ms = self._clock.now_ms()
        while True:
            await self._clock.sleep_until_ms(slot_ms)
            now_ms = self._clock.now_ms()
            on_grid = slot_ms % self._every_ms == 0 and now_ms - slot_ms <= min(self._every_ms // 100, 100)
            self.collect(slot_ms if on_grid else now_ms, grid_ms=self._every_ms if on_grid else 0)
            slot_ms = self._clock.now_ms() // self._every_ms * self._every_ms + self._every_ms

    def collect(self, t_ms: int, *, grid_ms: int = 0) -> None:
        """Store one round: the core's figures of now, the others' as last reported."""
        self.take(self._process, own_families())
        for process, (taken_ms, families) in list(self._families.items()):
            if t_ms - taken_ms > _KEEP_SILENT * self._every_ms:
                del self._families[process]
                self._series.end(process, t_ms)
                continue
            self._series.write(process, self._values(process, families), t_ms, grid_ms=grid_ms)

    def _values(self, process: str, families: Sequence[Family]) -> dict[Labels, float]:
        common = {**self._target, "process": process}
        values = {Labels({METRIC_NAME: "up", **common}): 1.0}
        for family in families:
            if family.name not in self._told:
                self._told.add(family.name)
                self._writer.set_metadata(family.name, family.kind, family.help)
            for sample in family.samples:
                values[Labels({**dict(sample.labels), **common, METRIC_NAME: sample.name})] = sample.value
        return values


def families_json(families: Sequence[Family]) -> list[list[object]]:
    """Families as JSON values for the bus: [name, kind, help, [[sample name, labels, value], ...]]."""
    return [[f.name, f.kind, f.help, [[s.name, list(s.labels), s.value] for s in f.samples]] for f in families]


def families_of(values: Sequence[Sequence[object]]) -> list[Family]:
    """The other way. Raises TypeError, ValueError for what is not families."""
    out = []
    for name, kind, text, samples in values:
        assert isinstance(samples, list)
        kept = tuple(Sample(str(n), tuple((str(k), str(v)) for k, v in labels), float(value)) for n, labels, value in samples)
        out.append(Family(str(name), str(kind), str(text), kept))
    return out
