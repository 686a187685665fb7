"""Probe and web tell the core their own metrics; the core stores them like any scrape."""

from __future__ import annotations

import asyncio
import os

import psutil

from tocsin.bus.client import CoreClient
from tocsin.collect.selfscrape import own_families
from tocsin.errors import CommandError
from tocsin.metrics import Gauge

restarts_gauge = Gauge("tocsin_child_restarts_total", "How often the parent had to start this process again.", ["process"])
rss_gauge = Gauge("tocsin_process_resident_bytes", "Resident memory of the process, shared pages included.", ["process"])

_EVERY_S = 15.0


def note_process(name: str, restarts: int) -> None:
    """Refresh the gauges about the process itself."""
    restarts_gauge.set(restarts, name)
    rss_gauge.set(psutil.Process().memory_info().rss, name)


async def push_metrics(core: CoreClient, name: str, restarts: int) -> None:
    """Report every 15 s, the first time at once."""
    while True:
        note_process(name, restarts)
        try:
            families = [
                {"name": f.name, "kind": f.kind, "help": f.help, "samples": [[s.name, s.labels, s.value] for s in f.samples]}
                for f in own_families()
            ]
            await core.command(
                "process.metrics",
                {
                    "process": name,
                    "pid": os.getpid(),
                    "started_ms": round(psutil.Process().create_time() * 1000),
                    "restarts": restarts,
                    "families": families,
                },
            )
        except CommandError:
            await asyncio.sleep(1)
            continue
        await asyncio.sleep(_EVERY_S)
