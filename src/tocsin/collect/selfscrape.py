"""Watches Tocsin itself: the metrics of every process go to the store directly (`job="tocsin"`, label `process`)."""

from __future__ import annotations

import os
from collections.abc import Sequence

import psutil

from tocsin.clock import Clock
from tocsin.collect.series_writer import SeriesWriter
from tocsin.metrics import REGISTRY, Family, Sample
from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.model.ports import SampleWriter

_KEEP_SILENT = 3
"""A process that has not reported for this many rounds ends its series."""


def own_families() -> list[Family]:
    """This process's metrics now, and what it uses of the machine under the names of every Prometheus client."""
    process = psutil.Process(os.getpid())
    times = process.cpu_times()
    use = (
        ("process_cpu_seconds_total", "counter", "CPU time of the process.", times.user + times.system),
        ("process_resident_memory_bytes", "gauge", "Resident memory of the process.", process.memory_info().rss),
        ("process_start_time_seconds", "gauge", "When the process started, Unix time.", process.create_time()),
        ("process_open_fds", "gauge", "Open file descriptors of the process.", process.num_fds()),
    )
    own = [Family(name, kind, text, (Sample(name, (), float(value)),)) for name, kind, text, value in use]
    return [*REGISTRY.collect(), *own]


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
