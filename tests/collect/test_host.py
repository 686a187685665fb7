"""This host's figures: names and shape always, values against node_exporter where it is installed."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest
from tests.collect.fakes import ManualClock, MemoryWriter

from tocsin.collect.host import HostCollector
from tocsin.collect.host_samples import all_samples
from tocsin.collect.selfscrape import SelfCollector
from tocsin.formats.exposition import parse
from tocsin.metrics import Family, Sample


async def test_the_contract_s_names_are_there_with_job_and_instance(writer: MemoryWriter, clock: ManualClock) -> None:
    await HostCollector(writer=writer, clock=clock, instance="box").collect(clock.now_ms() // 15_000 * 15_000, grid_ms=15_000)
    assert {
        "node_cpu_seconds_total",
        "node_load1",
        "node_memory_MemTotal_bytes",
        "node_memory_MemAvailable_bytes",
        "node_filesystem_size_bytes",
        "node_filesystem_avail_bytes",
        "node_filesystem_files",
        "node_filesystem_files_free",
        "node_network_receive_bytes_total",
        "node_network_transmit_errs_total",
        "node_boot_time_seconds",
        "node_uname_info",
        "up",
    } <= writer.names()
    assert all(labels["job"] == "host" and labels["instance"] == "box" for labels in writer.samples)
    assert writer.metadata["node_cpu_seconds_total"][0] == "counter"


async def test_own_metrics_of_all_processes_are_stored_and_end_with_them(writer: MemoryWriter, clock: ManualClock) -> None:
    own = SelfCollector(writer=writer, clock=clock, instance="box")
    own.take(
        "web", [Family("tocsin_test_requests_total", "counter", "Requests.", (Sample("tocsin_test_requests_total", (), 3.0),))]
    )
    own.collect(clock.now_ms())
    assert writer.series("tocsin_test_requests_total", process="web", job="tocsin")[-1][1] == 3.0
    assert writer.series("process_resident_memory_bytes", process="core")[-1][1] > 1e6
    clock.t_ms += 60_000
    own.collect(clock.now_ms())
    assert writer.series("tocsin_test_requests_total", process="web")[-1][1] is None


@pytest.mark.peer
def test_figures_agree_with_node_exporter_within_two_percent() -> None:
    binary = Path(os.environ.get("TOCSIN_PEERS", "/opt/peers")) / "bin" / "prometheus-node-exporter"
    if not binary.exists():
        pytest.skip("prometheus-node-exporter is not installed (tools/get-peers)")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    process = subprocess.Popen(
        [str(binary), f"--web.listen-address=127.0.0.1:{port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        theirs = _when_ready(f"http://127.0.0.1:{port}/metrics")
        ours = {(name, tuple(sorted(labels.items()))): value for name, labels, value in all_samples()}
    finally:
        process.terminate()
        process.wait()
    named = {
        (sample.labels["__name__"], tuple(sorted((k, v) for k, v in sample.labels.items() if k != "__name__"))): sample.value
        for sample in parse(theirs)[0].samples
    }
    both = {key for key in ours if key in named or (key[0], _without_error(key[1])) in named}
    wanted = (
        "node_cpu_seconds_total",
        "node_memory_MemTotal_bytes",
        "node_network_receive_bytes_total",
        "node_boot_time_seconds",
    )
    assert set(wanted) <= {name for name, _ in both}
    moving = ("node_procs", "node_load", "node_sockstat", "node_filefd_allocated", "node_disk_io_now", "node_memory_")
    far = [
        (key, value, named[key])
        for key, value in ours.items()
        if key in named
        and not key[0].startswith(moving)
        and abs(value - named[key]) > max(0.02 * abs(named[key]), 2.0 if key[0].endswith("_total") else 0.0)
    ]
    far = [
        entry
        for entry in far
        if not (entry[0][0].endswith("_total") and abs(entry[1] - entry[2]) < 2e6 and "bytes" in entry[0][0])
    ]
    assert far == []
    # node_exporter lists the lines of /proc/meminfo that it knows; we take every one.
    missing = {name for name, _ in ours if not name.startswith(("node_memory_", "container_"))} - {name for name, _ in named}
    assert missing == set(), "names that node_exporter does not have"
    memory = ("node_memory_MemTotal_bytes", ())
    assert ours[memory] == named[memory]


def _without_error(labels: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    return tuple((k, v) for k, v in labels if k != "device_error")


def _when_ready(url: str) -> bytes:
    for _ in range(100):
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                body: bytes = answer.read()
                return body
        except OSError:
            time.sleep(0.05)
    raise AssertionError("node_exporter did not start")


def test_reading_takes_no_event_loop() -> None:
    async def read() -> int:
        return len(await asyncio.to_thread(all_samples))

    assert asyncio.run(read()) > 50
