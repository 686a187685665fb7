"""2,000 HTTP checks a minute from one prober: start lag, latency, CPU per check; beside it blackbox_exporter.

    PYTHONPATH=src python bench/checks/rate.py --checks 2000 --seconds 70 [--peer]

Latencies are compared with those of an independent client (raw sockets) asking the same server in the same minute.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import uvloop

from tocsin.clock import SystemClock
from tocsin.collect.catalog import parse_check
from tocsin.collect.network import Network
from tocsin.collect.probe import Prober
from tocsin.model.check import CheckResult
from tocsin.random import SystemRandom

HERE = Path(__file__).parent


def quantile(values: Sequence[float], q: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * q), len(ordered) - 1)] if ordered else float("nan")


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def ask_once(port: int) -> float:
    """Milliseconds of connect, request, whole answer: what an HTTP check measures, by another hand."""
    start = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        while s.recv(4096):
            pass
    return (time.perf_counter() - start) * 1000


async def ours(port: int, checks: int, seconds: float) -> None:
    results: list[CheckResult] = []

    async def report(batch: Sequence[CheckResult]) -> None:
        results.extend(batch)

    clock = SystemClock()
    prober = Prober(clock=clock, random=SystemRandom(), io=Network(clock=clock), report=report)
    prober.apply([parse_check({"name": f"c{i}", "http": f"http://127.0.0.1:{port}/{i}", "every": "60s"}) for i in range(checks)])
    running = asyncio.create_task(prober.run())
    await asyncio.sleep(5)  # the first runs come together, on purpose
    results.clear()
    independent: list[float] = []
    before, start = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    while time.monotonic() - start < seconds:
        await asyncio.sleep(0.5)
        independent.append(await asyncio.to_thread(ask_once, port))
    after = resource.getrusage(resource.RUSAGE_SELF)
    running.cancel()
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    took = [result.duration_ms for result in results if result.ok]
    lag = [result.start_lag_ms for result in results]
    print(f"tocsin: {len(results)} runs in {seconds:.0f} s ({len(took)} good)")
    print(
        f"  start lag ms   p50 {quantile(lag, 0.5):.1f}  p99 {quantile(lag, 0.99):.1f}  max {max(lag):.1f}   (goal p99 <= 1000)"
    )
    print(f"  latency ms     p50 {quantile(took, 0.5):.2f}  p95 {quantile(took, 0.95):.2f}  p99 {quantile(took, 0.99):.2f}")
    print(f"  independent ms p50 {quantile(independent, 0.5):.2f}  p95 {quantile(independent, 0.95):.2f}")
    print(f"  CPU per check  {cpu_s / max(len(results), 1) * 1000:.3f} ms ({cpu_s / seconds * 100:.1f} % of a core)")


def peer(port: int, checks: int, seconds: float) -> None:
    """blackbox_exporter driven by Prometheus at the same rate: CPU of both together per check."""
    folder = Path(os.environ.get("TOCSIN_PEERS", "/opt/peers")) / "bin"
    blackbox, prometheus = folder / "prometheus-blackbox-exporter", folder / "prometheus"
    if not blackbox.exists() or not prometheus.exists():
        print("peer: blackbox_exporter or Prometheus is not installed")
        return
    with tempfile.TemporaryDirectory() as name:
        here, exporter, server = Path(name), free_port(), free_port()
        (here / "blackbox.yml").write_text("modules: {http_2xx: {prober: http, timeout: 10s}}\n")
        (here / "targets.json").write_text(json.dumps([{"targets": [f"http://127.0.0.1:{port}/{i}" for i in range(checks)]}]))
        (here / "prometheus.yml").write_text(
            "scrape_configs:\n- job_name: b\n  scrape_interval: 60s\n  metrics_path: /probe\n  params: {module: [http_2xx]}\n"
            f"  file_sd_configs: [{{files: ['{here}/targets.json']}}]\n  relabel_configs:\n"
            "  - {source_labels: [__address__], target_label: __param_target}\n"
            "  - {source_labels: [__param_target], target_label: instance}\n"
            f"  - {{target_label: __address__, replacement: '127.0.0.1:{exporter}'}}\n"
        )
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        processes = [
            subprocess.Popen([blackbox, f"--config.file={here}/blackbox.yml", f"--web.listen-address=127.0.0.1:{exporter}"],
                **quiet,
            ),
            subprocess.Popen(
                [prometheus, f"--config.file={here}/prometheus.yml", f"--storage.tsdb.path={here}/data",
                 f"--web.listen-address=127.0.0.1:{server}"], **quiet,
            ),
        ]  # fmt: skip
        try:
            time.sleep(8)
            before = [cpu_of(p.pid) for p in processes]
            time.sleep(seconds)
            used = [cpu_of(p.pid) - b for p, b in zip(processes, before, strict=True)]
            query = urllib.request.urlopen(
                f"http://127.0.0.1:{server}/api/v1/query?query=quantile(0.5,probe_duration_seconds)", timeout=10
            ).read()
            median = float(json.loads(query)["data"]["result"][0]["value"][1]) * 1000
        finally:
            for process in processes:
                process.terminate()
                process.wait()
    runs = checks * seconds / 60
    print(f"blackbox_exporter + Prometheus: about {runs:.0f} runs in {seconds:.0f} s")
    print(f"  latency ms     p50 {median:.2f}")
    both, exporter_ms, prometheus_ms = (cpu_s / runs * 1000 for cpu_s in (sum(used), *used))
    print(f"  CPU per check  {both:.3f} ms (exporter {exporter_ms:.3f}, Prometheus {prometheus_ms:.3f})")


def cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--checks", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=70)
    parser.add_argument("--delay-ms", type=float, default=20)
    parser.add_argument("--peer", action="store_true")
    options = parser.parse_args()
    target = subprocess.Popen(
        [sys.executable, str(HERE / "target.py"), "--delay-ms", str(options.delay_ms)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert target.stdout is not None
        port = int(target.stdout.readline())
        uvloop.run(ours(port, options.checks, options.seconds))
        if options.peer:
            peer(port, options.checks, options.seconds)
    finally:
        target.terminate()
        target.wait()


if __name__ == "__main__":
    main()
