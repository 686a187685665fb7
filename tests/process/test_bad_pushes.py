"""Bad bodies at every door for samples of the real program: the status of the rule, a text that says why, and a small core."""

from __future__ import annotations

import gzip
import json
import struct
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cramjam
import numpy as np
import pytest
from tests.process.both import prometheus_in, send

from tocsin.formats.protobuf_write import delimited, sample_fields, to_varint

pytestmark = pytest.mark.process
MIB = 1024 * 1024
YEAR_MS = 365 * 86_400_000
WRITE, OTLP, PUSH = "/api/v1/write", "/api/v1/otlp/v1/metrics", "/metrics/job/pushed"
PROTOBUF = {"Content-Type": "application/x-protobuf"}
V2 = {"Content-Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request", "X-Prometheus-Remote-Write-Version": "2.0.0"}


def snappy(body: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(body))


def zstd(body: bytes) -> bytes:
    return bytes(cramjam.zstd.compress(body))


def v2(symbols: list[str], references: list[int], *samples: tuple[int, float]) -> bytes:
    """One series of a remote write 2.0."""
    series = delimited(1, b"".join(map(to_varint, references)))
    series += sample_fields(np.array([t for t, _ in samples]), np.array([float(v) for _, v in samples]))
    return b"".join(delimited(4, one.encode()) for one in symbols) + delimited(5, series)


def named(name: str, *samples: tuple[int, float]) -> bytes:
    return v2(["", "__name__", name], [1, 2], *samples)


def otlp(name: str, *points: bytes) -> bytes:
    metric = delimited(1, name.encode()) + delimited(5, b"".join(delimited(1, point) for point in points))
    return delimited(1, delimited(2, delimited(2, metric)))


def point(t_ms: int, value: float, attributes: int = 0) -> bytes:
    pairs = (delimited(1, b"l%d" % n) + delimited(2, delimited(1, b"x")) for n in range(attributes))
    filled = b"".join(delimited(7, pair) for pair in pairs)
    return filled + to_varint(3 << 3 | 1) + struct.pack("<Q", t_ms * 1_000_000) + to_varint(4 << 3 | 1) + struct.pack("<d", value)


Case = tuple[str, bytes, dict[str, str], int, str]


def cases(now_ms: int) -> dict[str, Case]:
    """Name -> path, body, headers, status, what the text says."""
    wide = ["", "__name__", "wide", *(text for n in range(300_000) for text in (f"l{n}", "x"))]
    many = b"a{" + b",".join(b'l%d="x"' % n for n in range(300_000)) + b"} 1\n"
    snappied, gzipped, zstded = ({"Content-Encoding": name} for name in ("snappy", "gzip", "zstd"))
    first = {**V2, **snappied}
    return {
        "2.0, a bomb": (WRITE, snappy(bytes(40 * MIB)), first, 413, "41943040 bytes when decompressed; the limit is 33554432"),
        "2.0, a length that lies": (WRITE, b"\xff\xff\xff\xff\x0f" + bytes(10), first, 413, "4294967295 bytes"),
        "2.0, a bomb of zstd": (WRITE, zstd(bytes(300 * MIB)), {**V2, **zstded}, 413, "when decompressed"),
        "2.0, 1970": (WRITE, snappy(named("old", (1000, 1))), first, 204, ""),
        "2.0, next year": (WRITE, snappy(named("new", (now_ms + YEAR_MS, 1))), first, 400, "too far in the future"),
        "2.0, a label twice": (
            WRITE,
            snappy(v2(["", "__name__", "twice", "a", "1", "2"], [1, 2, 3, 4, 3, 5], (now_ms, 1))),
            first,
            400,
            "duplicated label a",
        ),
        "2.0, no such symbol": (
            WRITE,
            snappy(v2(["", "__name__", "m"], [1, 2000], (now_ms, 1))),
            first,
            400,
            "do not fit the symbols",
        ),
        "2.0, half a pair": (
            WRITE,
            snappy(v2(["", "__name__", "m"], [1, 2, 1], (now_ms, 1))),
            first,
            400,
            "do not fit the symbols",
        ),
        "2.0, three hundred thousand labels": (
            WRITE,
            snappy(v2(wide, list(range(1, len(wide))), (now_ms, 1))),
            first,
            400,
            "refused by a limit",
        ),
        "OTLP, a bomb": (OTLP, gzip.compress(bytes(300 * MIB)), {**PROTOBUF, **gzipped}, 413, "when decompressed"),
        "OTLP, a bomb of zstd": (OTLP, zstd(bytes(300 * MIB)), {**PROTOBUF, **zstded}, 413, "when decompressed"),
        "OTLP, torn": (OTLP, gzip.compress(otlp("g", point(now_ms, 1)))[:-9], {**PROTOBUF, **gzipped}, 400, "ends too early"),
        "OTLP, garbage": (OTLP, b"\xff" * 100, PROTOBUF, 400, "varint"),
        "OTLP, JSON without end": (OTLP, b"[" * 100_000, {"Content-Type": "application/json"}, 415, "http/protobuf"),
        "OTLP, 1970": (OTLP, otlp("otlp_old", point(1000, 1)), PROTOBUF, 200, ""),
        "OTLP, next year": (OTLP, otlp("otlp_new", point(now_ms + YEAR_MS, 1)), PROTOBUF, 200, "too far in the future"),
        "OTLP, another value": (OTLP, otlp("otlp_twice", point(now_ms, 1), point(now_ms, 2)), PROTOBUF, 200, "duplicate sample"),
        "OTLP, labels without end": (OTLP, otlp("otlp_wide", point(now_ms, 1, 300_000)), PROTOBUF, 200, "refused by a limit"),
        "push, a bomb": (PUSH, gzip.compress(b"#" * (300 * MIB)), gzipped, 413, "when decompressed"),
        "push, zstd": (PUSH, zstd(b"a 1\n"), zstded, 415, "use gzip or none"),
        "push, 1970": (PUSH, b"a 1 1000\n", {}, 400, "must not have timestamps"),
        "push, a sample twice": (PUSH, b"a 1\na 2\n", {}, 400, "is there twice"),
        "push, a label twice": (PUSH, b'a{x="1",x="2"} 1\n', {}, 400, "given twice"),
        "push, labels without end": (PUSH, many, {}, 400, "the limit is 1048576"),
        "push, a million samples": (PUSH, b"".join(b"a%d 1\n" % n for n in range(1_000_000)), {}, 413, "the limit is 10000"),
        "push, garbage": (PUSH, b"\x00\xff\n", {}, 400, "expected a metric name"),
    }


def test_every_door_refuses_what_it_should_and_stays_small(tocsin: Any) -> None:
    tocsin.start()
    now_ms = int(time.time() * 1000)
    assert send(tocsin.port, WRITE, snappy(named("good", (now_ms, 1))), {**V2, "Content-Encoding": "snappy"})[0] == 204
    core = tocsin.children()["core"]
    before = core.memory_info().rss
    for name, (path, body, headers, status, said) in cases(now_ms).items():
        answer = send(tocsin.port, path, body, headers)
        assert answer[0] == status, (name, answer)
        assert said in answer[1], (name, answer)
    assert core.pid == tocsin.children()["core"].pid, "nothing of this ended the process"
    assert core.memory_info().rss - before < 400 * MIB
    stored = {labels["__name__"] for labels, _ in tocsin.query('{__name__=~"good|otlp_.*|new|twice|wide|a"}')}
    assert stored == {"good", "otlp_twice"}, "what was accepted stays, and nothing else"
    assert tocsin.query("old @ 2") == [({"__name__": "old"}, 1.0)]


class Pages(BaseHTTPRequestHandler):
    """What careless targets say, by path."""

    pages: dict[str, tuple[bytes, dict[str, str]]]

    def do_GET(self) -> None:
        body, headers = self.pages[self.path]
        self.send_response(200)
        for name, value in {"Content-Type": "text/plain; version=0.0.4", **headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def targets() -> Iterator[Callable[[dict[str, tuple[bytes, dict[str, str]]]], int]]:
    servers = []

    def serve(pages: dict[str, tuple[bytes, dict[str, str]]]) -> int:
        handler = type("Handler", (Pages,), {"pages": pages})
        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return int(servers[-1].server_address[1])

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.peer
def test_what_targets_say_is_taken_as_prometheus_takes_it(tocsin: Any, targets: Any, tmp_path: Path) -> None:
    now_ms = int(time.time() * 1000)
    good = b"good 1\n"
    pages = {
        "/good": (good, {}),
        "/duplicate": (good + b"good 1\ngood 2\n", {}),
        "/old": (good + b"old 1 1000\n", {}),
        "/next_year": (good + b"new 1 %d\n" % (now_ms + YEAR_MS), {}),
        "/label_twice": (good + b'bad{a="1",a="2"} 1\n', {}),
        "/garbage": (good + b"<html>\n", {}),
        "/zero": (good + b"\x00\n", {}),
        "/torn_gzip": (gzip.compress(good)[:-9], {"Content-Encoding": "gzip"}),
        "/bomb": (gzip.compress(b"#" * (100 * MIB) + b"\n"), {"Content-Encoding": "gzip"}),
        "/no_end": (b"good 1\n", {"Content-Type": "application/openmetrics-text; version=1.0.0"}),
    }
    port = targets(pages)
    jobs = "".join(
        f"- {{job_name: {path[1:]}, metrics_path: {path}, scrape_interval: 1s, scrape_timeout: 1s, body_size_limit: 50MB,"
        f" static_configs: [{{targets: ['127.0.0.1:{port}']}}],\n"
        # It would take a backtracking engine longer than there is time.
        f"   metric_relabel_configs: [{{source_labels: [__name__], regex: '((a+)+)+$', action: drop}}]}}\n"
        for path in pages
    )
    tocsin.folder.mkdir(parents=True)
    (tocsin.folder / "tocsin.yaml").write_text(f"host: {{enabled: false}}\nscrape_configs:\n{jobs}")
    tocsin.start()
    core = tocsin.children()["core"]

    def up(port: int) -> dict[str, float]:
        found = json.loads(send(port, f"/api/v1/query?query=up{{instance=%22127.0.0.1:{targets_port}%22}}", None)[1])
        return {one["metric"]["job"]: float(one["value"][1]) for one in found["data"]["result"]}

    targets_port = port
    with prometheus_in(tmp_path, f"scrape_configs:\n{jobs}") as theirs:
        tocsin.until(lambda: len(up(theirs)) == len(pages) == len(up(tocsin.port)), 40, "every target has been scraped by both")
        # A byte of zero is the end of what Prometheus reads; a target that sends one is broken.
        assert up(tocsin.port) == {**up(theirs), "zero": 0.0}
        for port in (theirs, tocsin.port):
            listed = json.loads(send(port, "/api/v1/targets", None)[1])["data"]["activeTargets"]
            down = {one["labels"]["job"]: one["lastError"] for one in listed if one["health"] == "down"}
            assert all(down.values()), "a target that is down says why"
    assert core.pid == tocsin.children()["core"].pid
    assert core.memory_info().rss < 400 * MIB
