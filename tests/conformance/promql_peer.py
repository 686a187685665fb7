"""A real Prometheus with data written to it, for comparing answers. Loopback only; ended by its own process id."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import struct
import subprocess
import time
import urllib.parse
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cramjam
import pytest

from tocsin.model.labels import Labels

Sample = tuple[int, float]


def peer_binary(name: str) -> str:
    path = Path(os.environ.get("TOCSIN_PEERS", "/opt/peers")) / "bin" / name
    if not path.exists():
        pytest.skip(f"the real {name} is not installed at {path}")
    return str(path)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def prometheus(folder: Path, *flags: str, config: str = "global: {}\n") -> Iterator[PrometheusClient]:
    """A Prometheus that takes remote writes, until the block ends."""
    binary = peer_binary("prometheus")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "prometheus.yml").write_text(config)
    port = free_port()
    process = subprocess.Popen(
        [
            binary,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--web.enable-remote-write-receiver",
            "--log.level=error",
            *flags,
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    client = PrometheusClient(port)
    try:
        client.wait_ready(process)
        client.process = process
        yield client
    finally:
        client.close()
        process.terminate()
        process.wait(30)


class PrometheusClient:
    """The few API calls that comparisons need, over one kept connection."""

    process: subprocess.Popen[bytes]

    def __init__(self, port: int) -> None:
        self.port = port
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def close(self) -> None:
        self._connection.close()

    def wait_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert process.poll() is None, f"Prometheus ended with status {process.returncode}"
            try:
                if self.raw("GET", "/-/ready")[0] == 200:
                    return
            except OSError:
                self._connection.close()
            time.sleep(0.05)
        raise AssertionError("Prometheus was not ready within a minute")

    def raw(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        self._connection.request(method, path, body, headers or {})
        response = self._connection.getresponse()
        return response.status, response.read()

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        """JSON answer of a form POST: {"status": ..., "data" or "error": ...}."""
        body = urllib.parse.urlencode(params).encode("utf-8", "surrogateescape")
        _, answer = self.raw("POST", path, body, {"Content-Type": "application/x-www-form-urlencoded"})
        result: dict[str, Any] = json.loads(answer)
        return result

    def parse_error(self, query: str) -> str | None:
        """What /api/v1/parse_query says against a query, None when it accepts it."""
        answer = self.get("/api/v1/parse_query", query=query)
        return None if answer["status"] == "success" else str(answer["error"])

    def write(self, series: Iterable[tuple[Labels, Sequence[Sample]]]) -> None:
        """Remote write 1.0."""
        body = b"".join(_field(1, _time_series(labels, samples)) for labels, samples in series)
        headers = {
            "Content-Encoding": "snappy",
            "Content-Type": "application/x-protobuf",
            "X-Prometheus-Remote-Write-Version": "0.1.0",
        }
        status, answer = self.raw("POST", "/api/v1/write", bytes(cramjam.snappy.compress_raw(body)), headers)
        assert status // 100 == 2, answer


def write_in_order(client: PrometheusClient, series: Sequence[tuple[Labels, Sequence[Sample]]], slice_ms: int = 600_000) -> None:
    """All samples, time slice after time slice, because a head refuses what is much older than its newest sample."""
    start = min(samples[0][0] for _, samples in series if samples)
    end = max(samples[-1][0] for _, samples in series if samples)
    positions = [0] * len(series)
    for limit in range(start + slice_ms, end + slice_ms + 1, slice_ms):
        part = []
        for number, (labels, samples) in enumerate(series):
            begin = at = positions[number]
            while at < len(samples) and samples[at][0] < limit:
                at += 1
            positions[number] = at
            if at > begin:
                part.append((labels, samples[begin:at]))
        for chunk in range(0, len(part), 2000):
            client.write(part[chunk : chunk + 2000])


def _time_series(labels: Labels, samples: Sequence[Sample]) -> bytes:
    out = [_field(1, _field(1, name.encode()) + _field(2, value.encode())) for name, value in labels.pairs]
    out += [_field(2, b"\x09" + struct.pack("<d", value) + b"\x10" + _varint(t_ms)) for t_ms, value in samples]
    return b"".join(out)


def _field(number: int, payload: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(payload)) + payload


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
