"""A program to scrape: any number of targets with any number of samples each, on one port, cheap to serve."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvloop

_ROUNDS = 90
"""Then the counters begin again: once in three minutes, as few real ones do."""
_EVERY_S = 2.0


def _body(samples: int, round_: int) -> bytes:
    """Half of the series move from one round to the next."""
    lines = ["# TYPE app_requests_total counter"]
    for i in range(samples):
        value = 1000 + i + (round_ * 7 if i % 2 else 0)
        lines.append(f'app_requests_total{{method="GET",path="/api/v1/resource/{i}",status="200",zone="eu-west-1"}} {value}')
    return ("\n".join(lines) + "\n").encode()


def _serve(ports: multiprocessing.Queue[int], samples: int) -> None:
    bodies = [_body(samples, n) for n in range(_ROUNDS)]

    class Web(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            if data.endswith(b"\r\n\r\n"):
                answer = bodies[int(time.time() / _EVERY_S) % _ROUNDS]
                head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: %d\r\n\r\n" % len(answer)
                self.transport.write(head + answer)  # type: ignore[attr-defined]

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(Web, "127.0.0.1", 0)
        ports.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    uvloop.run(serve())


@contextmanager
def exporter(samples: int) -> Iterator[int]:
    """The port of an exporter of `samples` samples."""
    context = multiprocessing.get_context("spawn")
    ports = context.Queue()
    process = context.Process(target=_serve, args=(ports, samples), daemon=True)
    process.start()
    try:
        yield ports.get()
    finally:
        process.terminate()
        process.join(5)


def scrape_configs(port: int, targets: int, every_s: int) -> str:
    """`targets` jobs that all scrape that port, without compression, as on one machine."""
    jobs = "".join(
        f"- {{job_name: job{i}, enable_compression: false, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}\n"
        for i in range(targets)
    )
    return (
        f"global: {{scrape_interval: {every_s}s, scrape_timeout: {every_s}s, evaluation_interval: 15s}}\nscrape_configs:\n{jobs}"
    )
