"""A real Prometheus and our web application with the same samples, to be asked the same questions."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import uvicorn

from tocsin.formats.remote_write import encode
from tocsin.model.labels import Labels
from tocsin.model.series import Batch


def peer_binary(name: str) -> Path:
    path = Path(os.environ.get("TOCSIN_PEERS", "/opt/peers")) / "bin" / name
    if not path.exists():
        pytest.skip(f"the peer binary {name} is not installed (tools/get-peers)")
    return path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes
    content_type: str

    def json(self) -> Any:
        return orjson.loads(self.body)


def ask(base: str, path: str, pairs: list[tuple[str, str]], *, method: str = "GET") -> Reply:
    text = urllib.parse.urlencode(pairs)
    url = f"{base}{path}" + (f"?{text}" if method == "GET" and text else "")
    request = urllib.request.Request(url, method=method, data=text.encode() if method == "POST" else None)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return Reply(answer.status, answer.read(), answer.headers["content-type"] or "")
    except urllib.error.HTTPError as error:
        return Reply(error.code, error.read(), error.headers["content-type"] or "")


def wait_until_ready(base: str, path: str = "/-/ready") -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            if ask(base, path, []).status == 200:
                return
        except OSError:
            pass
        assert time.monotonic() < deadline, f"{base} did not get ready"
        time.sleep(0.05)


def push(base: str, batch: Batch) -> None:
    headers = {
        "content-type": "application/x-protobuf",
        "content-encoding": "snappy",
        "x-prometheus-remote-write-version": "0.1.0",
    }
    request = urllib.request.Request(f"{base}/api/v1/write", data=encode(batch), headers=headers, method="POST")
    urllib.request.urlopen(request, timeout=30).close()


@contextmanager
def prometheus(folder: Path) -> Iterator[str]:
    """A Prometheus that takes remote write and scrapes nothing; yields its base URL."""
    config = folder / "prometheus.yml"
    config.write_text("global: {}\n")
    port = free_port()
    command = [
        str(peer_binary("prometheus")), f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}", "--web.enable-remote-write-receiver", "--storage.tsdb.retention.time=20y",
        "--log.level=error",
    ]  # fmt: skip
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            base = f"http://127.0.0.1:{port}"
            wait_until_ready(base)
            yield base
        finally:
            process.terminate()
            process.wait(10)


@contextmanager
def served(app: Any) -> Iterator[str]:
    """The application behind a real HTTP server on a thread of its own; yields its base URL."""
    port = free_port()
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", access_log=False, http="httptools", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    try:
        base = f"http://127.0.0.1:{port}"
        wait_until_ready(base, "/-/healthy")
        yield base
    finally:
        server.should_exit = True
        thread.join(10)


def demo_batch(end_ms: int) -> Batch:
    """An hour of counters, gauges and a histogram at 15 s, with a reset, a gap, a NaN and odd label values."""
    t_ms = np.arange(end_ms - 3_600_000, end_ms + 1, 15_000, dtype=np.int64)
    steps = np.arange(len(t_ms), dtype=np.float64)
    columns: list[tuple[Labels, np.ndarray, np.ndarray]] = []

    def add(values: np.ndarray, keep: np.ndarray | None = None, **labels: str) -> None:
        kept = np.ones(len(t_ms), bool) if keep is None else keep
        columns.append((Labels(labels), t_ms[kept], values[kept]))

    for instance in ("a:1", "b:2"):
        up = np.ones(len(t_ms))
        up[100:110] = 0
        add(up, __name__="up", job="shop", instance=instance)
        requests = np.where(steps < 120, steps * 7, (steps - 120) * 7)
        for code in ("200", "500"):
            add(
                requests * (1 if code == "200" else 0.02),
                __name__="http_requests_total",
                code=code,
                job="shop",
                instance=instance,
            )
        for place, bound in enumerate(("0.1", "1", "+Inf")):
            add(steps * (place + 1), __name__="latency_seconds_bucket", le=bound, job="shop", instance=instance)
    add(np.sin(steps / 9) * 40, (steps < 50) | (steps > 90), __name__="temperature", room='Küche "1"\n', job="home")
    add(np.where(steps % 40 == 0, np.nan, steps / 3), __name__="odd", job="home")
    labels, times, values = [], [], []
    for own, at, column in columns:
        labels += [own] * len(at)
        times.append(at)
        values.append(column)
    return Batch(labels, np.concatenate(times), np.concatenate(values))
