"""Watches this host: every 15 s, on the grid, as if a node_exporter had been scraped (`job="host"`)."""

from __future__ import annotations

import asyncio

from tocsin.clock import Clock
from tocsin.collect.host_samples import HostSample, all_samples
from tocsin.collect.series_writer import SeriesWriter
from tocsin.metrics import Histogram
from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.model.ports import SampleWriter

collect_duration = Histogram("tocsin_collect_host_duration_seconds", "How long reading this host's figures took.")

_LATEST_MS = 100
_SECOND_MS = 3_000


class HostCollector:
    """Samples of this machine."""

    def __init__(self, *, writer: SampleWriter, clock: Clock, instance: str, every_ms: int = 15_000) -> None:
        self._clock = clock
        self._writer = writer
        self._series = SeriesWriter(writer)
        self._target = {"job": "host", "instance": instance}
        self._every_ms = every_ms
        self._labels: dict[tuple[str, tuple[tuple[str, str], ...]], Labels] = {}
        self._told: set[str] = set()

    async def run(self) -> None:
        """Once at once, once a moment later (a rate needs two), then on the grid, until cancelled."""
        slot_ms = self._clock.now_ms()
        second_ms = slot_ms + _SECOND_MS
        while True:
            await self._clock.sleep_until_ms(slot_ms)
            now_ms = self._clock.now_ms()
            on_grid = slot_ms % self._every_ms == 0 and now_ms - slot_ms <= min(self._every_ms // 100, _LATEST_MS)
            await self.collect(slot_ms if on_grid else now_ms, grid_ms=self._every_ms if on_grid else 0)
            now_ms = self._clock.now_ms()
            slot_ms = now_ms // self._every_ms * self._every_ms + self._every_ms
            if now_ms < second_ms < slot_ms:
                slot_ms = second_ms

    async def collect(self, t_ms: int, *, grid_ms: int = 0) -> None:
        """Read and store once. Reading runs in a thread: a file system that hangs must not hold the core."""
        start_s = self._clock.monotonic_s()
        samples = await asyncio.to_thread(all_samples)
        values = {self._series_of(sample): sample[2] for sample in samples}
        duration_s = self._clock.monotonic_s() - start_s
        collect_duration.observe(duration_s)
        values[Labels({METRIC_NAME: "up", **self._target})] = 1.0 if samples else 0.0
        values[Labels({METRIC_NAME: "scrape_duration_seconds", **self._target})] = duration_s
        values[Labels({METRIC_NAME: "scrape_samples_scraped", **self._target})] = float(len(samples))
        self._series.write("host", values, t_ms, grid_ms=grid_ms)

    def _series_of(self, sample: HostSample) -> Labels:
        name, labels, _ = sample
        key = (name, tuple(labels.items()))
        if (found := self._labels.get(key)) is not None:
            return found
        if len(self._labels) > 100_000:
            self._labels.clear()
        if name not in self._told:
            self._told.add(name)
            self._writer.set_metadata(name, "counter" if name.endswith("_total") else "gauge", "")
        return self._labels.setdefault(key, Labels({**labels, **self._target, METRIC_NAME: name}))
