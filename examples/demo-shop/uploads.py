"""Where the shop keeps uploaded pictures: a folder with a quota, shown as a file system of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

from faults import Faults
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import REGISTRY, Collector

QUOTA = 32 * 1024 * 1024
_PICTURE = 512 * 1024
_KEPT = QUOTA * 45 // 100
_EVERY_S = 0.5
_NAMES = ("device", "fstype", "mountpoint")
_LABELS = ("demo-quota", "ext4", "/srv/shop/uploads")


class Uploads(Collector):
    """Pictures come all the time; a job clears old ones away, unless it is broken (the fault `disk`)."""

    def __init__(self, folder: Path, faults: Faults) -> None:
        self._folder = folder
        self._faults = faults
        self._number = 0
        folder.mkdir()
        REGISTRY.register(self)

    async def run(self) -> None:
        while True:
            self._take_picture()
            if "disk" not in self._faults:
                self._clear_away()
            await asyncio.sleep(_EVERY_S)

    def used(self) -> int:
        return sum(path.stat().st_size for path in self._folder.iterdir())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for name, value, text in (
            ("node_filesystem_size_bytes", QUOTA, "Size of the file system."),
            ("node_filesystem_avail_bytes", QUOTA - self.used(), "Space that is left."),
        ):
            family = GaugeMetricFamily(name, text, labels=_NAMES)
            family.add_metric(_LABELS, value)
            yield family

    def _take_picture(self) -> None:
        if self.used() + _PICTURE <= QUOTA:
            self._number += 1
            (self._folder / f"{self._number:08}.jpg").write_bytes(bytes(_PICTURE))

    def _clear_away(self) -> None:
        for path in sorted(self._folder.iterdir()):
            if self.used() <= _KEPT:
                return
            path.unlink()
