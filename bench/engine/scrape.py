"""Scrape and store, against Prometheus on the same targets at the same time: CPU seconds per million samples.

    PYTHONPATH=src:. python bench/engine/scrape.py --targets 20 --samples 2000 --seconds 40 [--no-peer]

One server process exposes `targets x samples` series, half of which change between scrapes. Both sides scrape every 2 s with
identity encoding. Ours is the real scraper writing to the real store (head and WAL) in a process that does nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import subprocess
import tempfile
import time
from pathlib import Path

import uvloop
from bench.engine.exporter import exporter
from bench.promql.compare import process_cpu_s

INTERVAL_S = 2


def scrape(port: int, targets: int, folder: str) -> None:
    """Our side, until killed."""
    from tocsin.clock import SystemClock
    from tocsin.collect.scrape import Scraper
    from tocsin.collect.target import ScrapeJob, TargetGroup
    from tocsin.random import SystemRandom
    from tocsin.tsdb.db import Store
    from tocsin.tsdb.settings import StoreSettings

    async def run() -> None:
        clock = SystemClock()
        store = Store(path=Path(folder), settings=StoreSettings(), clock=clock)
        store.open()
        scraper = Scraper(writer=store, clock=clock, random=SystemRandom(), changed=lambda topic, subject="": None)
        addresses = (f"127.0.0.1:{port}",)
        jobs = [
            ScrapeJob(f"job{i}", (TargetGroup(addresses),), interval_ms=INTERVAL_S * 1000, timeout_ms=2000, compression=False)
            for i in range(targets)
        ]
        scraper.apply(jobs)
        await asyncio.gather(scraper.run(), store.run())

    uvloop.run(run())


def prometheus(port: int, targets: int, folder: Path) -> subprocess.Popen[bytes] | None:
    binary = Path(os.environ.get("TOCSIN_PEERS", "/opt/peers")) / "bin" / "prometheus"
    if not binary.exists():
        print("peer: Prometheus is not installed")
        return None
    jobs = "".join(
        f"- {{job_name: job{i}, enable_compression: false, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}\n"
        for i in range(targets)
    )
    (folder / "p.yml").write_text(
        f"global: {{scrape_interval: {INTERVAL_S}s, scrape_timeout: {INTERVAL_S}s}}\nscrape_configs:\n{jobs}"
    )
    return subprocess.Popen(
        [binary, f"--config.file={folder}/p.yml", f"--storage.tsdb.path={folder}/data", "--web.listen-address=127.0.0.1:0"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--targets", type=int, default=20)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=40)
    parser.add_argument("--no-peer", action="store_true")
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    with (
        exporter(options.samples) as port,
        tempfile.TemporaryDirectory() as ours_folder,
        tempfile.TemporaryDirectory() as peer_folder,
    ):
        ours = context.Process(target=scrape, args=(port, options.targets, ours_folder), daemon=True)
        ours.start()
        peer = None if options.no_peer else prometheus(port, options.targets, Path(peer_folder))
        time.sleep(8)  # series are made, caches are warm
        pids = {"tocsin": ours.pid, **({"prometheus": peer.pid} if peer else {})}
        before = {name: process_cpu_s(pid or 0) for name, pid in pids.items()}
        time.sleep(options.seconds)
        used = {name: process_cpu_s(pid or 0) - before[name] for name, pid in pids.items()}
        samples = options.targets * options.samples * options.seconds / INTERVAL_S
        for name, seconds in used.items():
            print(f"{name:11} {seconds:6.2f} CPU s for {samples / 1e6:.2f} M samples: {seconds / samples * 1e6:.2f} CPU s per M")
        if peer:
            print(f"ratio {used['tocsin'] / used['prometheus']:.2f} (goal <= 0.77)")
            peer.terminate()
            peer.wait()
        ours.terminate()
        ours.join(5)


if __name__ == "__main__":
    main()
