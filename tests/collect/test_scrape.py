"""Scraping on virtual time, from real local servers."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.collect.fakes import ManualClock, MemoryWriter, Servers, SteadyRandom, running

from tocsin.collect.layout import BadExposition, Layout, LimitError
from tocsin.collect.relabel import Action, RelabelRule
from tocsin.collect.scrape import PHASES, Scraper, next_slot
from tocsin.collect.target import FileDiscovery, HttpSettings, ScrapeJob, ScrapeLimits, Target, TargetGroup, target_of
from tocsin.errors import DiskFull
from tocsin.model.labels import Labels


class Exposer:
    """A target whose next answer a test decides."""

    def __init__(self) -> None:
        self.body: bytes | Callable[[], bytes] = b"a 1\n"
        self.status = "200 OK"
        self.headers = ["Content-Type: text/plain; version=0.0.4"]
        self.connections = 0
        self.requests: list[str] = []
        self.hang = False

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while True:
            self.requests.append((await reader.readuntil(b"\r\n\r\n")).decode())
            if self.hang:
                await asyncio.sleep(3600)
            body = self.body() if callable(self.body) else self.body
            head = [f"HTTP/1.1 {self.status}", f"Content-Length: {len(body)}", *self.headers]
            writer.write("\r\n".join(head).encode() + b"\r\n\r\n" + body)
            await writer.drain()


class Bench:
    """A scraper with one job of one exposer."""

    def __init__(self, writer: MemoryWriter, clock: ManualClock, port: int, exposer: Exposer) -> None:
        self.writer, self.clock, self.port, self.exposer = writer, clock, port, exposer
        self.scraper = Scraper(writer=writer, clock=clock, random=SteadyRandom(), changed=lambda topic, subject="": None)

    def job(self, **values: Any) -> ScrapeJob:
        group = TargetGroup((f"127.0.0.1:{self.port}",), Labels({"env": "test"}))
        return ScrapeJob(**{"name": "app", "static": (group,), "interval_ms": 15_000, **values})

    async def scrapes(self, n: int = 1) -> None:
        """Let n slots pass, and wait until each is stored."""
        for _ in range(n):
            ups = sum(len(v) for k, v in self.writer.samples.items() if k.get("__name__") == "up")
            await self.clock.advance(15_000)
            for _ in range(2000):
                if sum(len(v) for k, v in self.writer.samples.items() if k.get("__name__") == "up") > ups:
                    break
                await asyncio.sleep(0.001)
            await self.clock.settle()


@pytest.fixture
async def bench(servers: Servers, writer: MemoryWriter, clock: ManualClock) -> Bench:
    exposer = Exposer()
    return Bench(writer, clock, await servers.start(exposer), exposer)


async def test_a_scrape_stores_values_on_the_grid_with_target_labels(bench: Bench) -> None:
    bench.exposer.body = b'# TYPE a counter\n# HELP a Things.\na{x="1"} 5\nb 2.5\n'
    bench.scraper.apply([bench.job()])
    async with running(bench.scraper.run()):
        await bench.clock.settle()
        await bench.scrapes(2)
    values = bench.writer.series("a", x="1", env="test", job="app", instance=f"127.0.0.1:{bench.port}")
    assert [value for _, value in values] == [5.0, 5.0]
    assert values[1][0] - values[0][0] == 15_000
    assert values[0][0] % 15_000 % (15_000 // PHASES) == 0, "the stored time is the scheduled phase"
    assert [v for _, v in bench.writer.series("up")] == [1.0, 1.0]
    assert [v for _, v in bench.writer.series("scrape_samples_scraped")] == [2.0, 2.0]
    assert [v for _, v in bench.writer.series("scrape_series_added")] == [2.0, 0.0]
    assert bench.writer.metadata["a"] == ("counter", "Things.", "")
    assert bench.exposer.connections == 1, "the connection is kept"
    (target,) = bench.scraper.targets()["activeTargets"]
    assert (target["health"], target["lastError"], target["scrapePool"]) == ("up", "", "app")
    assert target["discoveredLabels"]["__address__"] == f"127.0.0.1:{bench.port}"


async def test_series_that_vanish_and_targets_that_fail_end_with_staleness(bench: Bench) -> None:
    bench.exposer.body = b"a 1\nb 2\n"
    bench.scraper.apply([bench.job(timeout_ms=1000)])
    async with running(bench.scraper.run()):
        await bench.clock.settle()
        await bench.scrapes()
        bench.exposer.body = b"b 3\n"
        await bench.scrapes()
        bench.exposer.status = "503 Service Unavailable"
        await bench.scrapes()
        assert bench.scraper.targets()["activeTargets"][0]["lastError"] == "server returned HTTP status 503"
        bench.exposer.status = "200 OK"
        await bench.scrapes()
    assert [v for _, v in bench.writer.series("a")] == [1.0, None]
    assert [v for _, v in bench.writer.series("b")] == [2.0, 3.0, None, 3.0]
    assert [v for _, v in bench.writer.series("up")] == [1.0, 1.0, 0.0, 1.0]


async def test_a_removed_target_ends_its_series_and_up(bench: Bench) -> None:
    bench.scraper.apply([bench.job()])
    async with running(bench.scraper.run()):
        await bench.clock.settle()
        await bench.scrapes()
        bench.scraper.apply([])
        await bench.clock.settle()
    assert bench.writer.series("a")[-1][1] is None
    assert bench.writer.series("up")[-1][1] is None
    assert bench.scraper.targets()["activeTargets"] == []


async def test_a_hung_target_times_out(bench: Bench) -> None:
    bench.exposer.hang = True
    bench.scraper.apply([bench.job(timeout_ms=50)])
    async with running(bench.scraper.run()):
        await bench.clock.settle()
        await bench.scrapes()
        assert "context deadline exceeded" in bench.scraper.targets()["activeTargets"][0]["lastError"]
    assert bench.writer.series("up")[-1][1] == 0.0


@pytest.mark.parametrize(
    ("body", "values", "said"),
    [
        (b"<html>nope</html>\n", {}, "line 1"),
        (b"a 1\nb two\n", {}, "line 2"),
        (b"a 1\nb 2\n", {"limits": ScrapeLimits(samples=1)}, "sample limit exceeded"),
        (b'a{b="1",c="2"} 1\n', {"limits": ScrapeLimits(labels=4)}, "label_limit exceeded"),
        (b'a{long_name="1"} 1\n', {"limits": ScrapeLimits(label_name_length=8)}, "label_name_length_limit"),
        (b'a{b="' + b"x" * 100 + b'"} 1\n', {"limits": ScrapeLimits(label_value_length=50)}, "label_value_length_limit"),
        (b"a 1\n" * 1000, {"limits": ScrapeLimits(body_bytes=100)}, "body size limit exceeded"),
    ],
)
async def test_garbage_and_limits_fail_the_whole_scrape(bench: Bench, body: bytes, values: dict[str, Any], said: str) -> None:
    bench.exposer.body = body
    bench.scraper.apply([bench.job(**values)])
    async with running(bench.scraper.run()):
        await bench.clock.settle()
        await bench.scrapes()
        assert said in bench.scraper.targets()["activeTargets"][0]["lastError"]
    assert bench.writer.series("up") and bench.writer.series("up")[0][1] == 0.0
    assert "a" not in bench.writer.names()


async def test_a_gzip_bomb_is_stopped_at_the_limit(bench: Bench) -> None:
    bench.exposer.body = gzip.compress(b"#" * 30_000_000)
    bench.exposer.headers.append("Content-Encoding: gzip")
    bench.scraper.apply([bench.job(limits=ScrapeLimits(body_bytes=1 << 20))])
    async with running(bench.scraper.run()):
        await bench.clock.settle()
        await bench.scrapes()
        assert "body size limit exceeded" in bench.scraper.targets()["activeTargets"][0]["lastError"]


async def test_conflicting_labels_yield_or_are_exported(bench: Bench) -> None:
    bench.exposer.body = b'a{job="own",exported_job="older"} 1\n'
    bench.scraper.apply([bench.job()])
    async with running(bench.scraper.run()):
        await bench.clock.settle()
        await bench.scrapes()
        bench.scraper.apply([bench.job(honor_labels=True)])
        await bench.clock.settle()
        await bench.scrapes()
    assert bench.writer.series("a", job="app", exported_job="older", exported_exported_job="own")
    assert bench.writer.series("a", job="own", exported_job="older", env="test")


async def test_metric_relabelling_drops_and_renames(bench: Bench) -> None:
    bench.exposer.body = b"go_threads 1\nkept 2\n"
    rules = (
        RelabelRule(Action.DROP, ("__name__",), regex="go_.*"),
        RelabelRule(source_labels=("__name__",), target_label="__name__", replacement="my_$1"),
    )
    bench.scraper.apply([bench.job(metric_relabel=rules)])
    async with running(bench.scraper.run()):
        await bench.clock.settle()
        await bench.scrapes(2)
    assert "my_kept" in bench.writer.names()
    assert not {"go_threads", "my_go_threads", "kept"} & bench.writer.names()
    assert bench.writer.series("scrape_samples_scraped")[-1][1] == 2.0
    assert bench.writer.series("scrape_samples_post_metric_relabeling")[-1][1] == 1.0


async def test_own_timestamps_are_honoured_or_not(bench: Bench) -> None:
    bench.exposer.body = b"a 1 1600000000000\n"
    bench.scraper.apply([bench.job()])
    async with running(bench.scraper.run()):
        await bench.clock.settle()
        await bench.scrapes(2)
        assert bench.writer.series("a") == [(1600000000000, 1.0)]
        bench.writer.samples.clear()
        bench.scraper.apply([bench.job(honor_timestamps=False)])
        await bench.clock.settle()
        await bench.scrapes()
    assert bench.writer.series("a")[0][0] > 1_700_000_000_000


async def test_credentials_headers_and_protocols_are_sent(bench: Bench, tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("first\n")
    http = HttpSettings(credentials_file=str(secret), headers={"X-Tenant": ("a",)})
    bench.scraper.apply([bench.job(http=http, params={"module": ("x y",)})])
    async with running(bench.scraper.run()):
        await bench.clock.settle()
        await bench.scrapes()
        secret.write_text("second\n")
        await bench.scrapes()
    first, second = bench.exposer.requests
    assert first.startswith("GET /metrics?module=x+y HTTP/1.1\r\n")
    assert "Authorization: Bearer first\r\n" in first
    assert "Authorization: Bearer second\r\n" in second
    assert "X-Tenant: a\r\n" in first
    assert "Accept: application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5" in first
    assert "Accept-Encoding: identity\r\n" in first, "packing costs more than loopback carries"


async def test_file_discovery_follows_the_file_and_survives_a_broken_one(bench: Bench, tmp_path: Path) -> None:
    file = tmp_path / "targets.json"
    file.write_text(json.dumps([{"targets": [f"127.0.0.1:{bench.port}"], "labels": {"zone": "a"}}]))
    job = ScrapeJob("files", discovery=(FileDiscovery((str(tmp_path / "*.json"),)),), interval_ms=15_000)
    bench.scraper.apply([job])

    async def settled(want: int) -> list[dict[str, Any]]:
        for _ in range(200):
            active = bench.scraper.targets()["activeTargets"]
            if len(active) == want:
                return list(active)
            await asyncio.sleep(0.005)
            await bench.clock.advance(5_000)
        raise AssertionError(f"expected {want} targets, got {active}")

    async with running(bench.scraper.run()):
        (target,) = await settled(1)
        assert target["labels"]["zone"] == "a"
        assert target["discoveredLabels"]["__meta_filepath"] == str(file)
        file.write_text("[{not json")
        for _ in range(3):
            await bench.clock.advance(5_000)
            await asyncio.sleep(0.01)
        assert len(bench.scraper.targets()["activeTargets"]) == 1, "the last good targets stay"
        file.write_text("[]")
        await settled(0)


def test_relabelling_decides_address_path_and_what_is_dropped() -> None:
    job = ScrapeJob(
        "blackbox",
        relabel=(
            RelabelRule(source_labels=("__address__",), target_label="__param_target"),
            RelabelRule(source_labels=("__param_target",), target_label="instance"),
            RelabelRule(target_label="__address__", replacement="127.0.0.1:9115"),
            RelabelRule(Action.DROP, ("instance",), regex="bad.*"),
        ),
        path="/probe",
        params={"module": ("http_2xx",)},
    )
    target, discovered = target_of(job, Labels(), "https://example.com")
    assert target is not None
    assert target.url == "http://127.0.0.1:9115/probe?module=http_2xx&target=https%3A%2F%2Fexample.com"
    assert dict(target.labels) == {"job": "blackbox", "instance": "https://example.com"}
    assert discovered["__scrape_interval__"] == "1m"
    assert target_of(job, Labels(), "bad.example")[0] is None


def test_phases_are_quantised_and_stable() -> None:
    targets = [Target(Labels({"instance": str(i)}), f"http://h{i}/metrics", 15_000, 10_000) for i in range(300)]
    offsets = {next_slot(target, 1_700_000_000_123) % 15_000 for target in targets}
    assert offsets <= {phase * 15_000 // PHASES for phase in range(PHASES)}
    assert len(offsets) == PHASES, "300 targets use every phase"
    first = targets[0]
    assert next_slot(first, next_slot(first, 5_000_000)) == next_slot(first, 5_000_000) + 15_000


# -- the layout --------------------------------------------------------------------------------------------------------


def keep(labels: Labels) -> Labels:
    return labels


def test_only_changed_lines_are_read_again() -> None:
    parsed: list[Labels] = []
    layout = Layout(lambda labels: parsed.append(labels) or labels)
    lines = [f'm{{i="{i}"}} {i}' for i in range(100)]
    first = layout.read("\n".join(lines).encode() + b"\n", "text")
    lines[7] = 'm{i="7"} 777'
    again = layout.read("\n".join(lines).encode() + b"\n", "text")
    assert len(parsed) == 100
    assert again.same_layout
    assert (len(first.fresh), again.fresh) == (100, [])
    assert again.values[7] == 777
    lines.insert(3, "new 1")
    third = layout.read("\n".join(lines).encode() + b"\n", "text")
    assert len(parsed) == 101, "known series are not parsed again when a line is added"
    assert third.values[3] == 1 and third.values[8] == 777
    assert third.origin.tolist() == [0, 1, 2, -1, *range(3, 100)]


def test_an_ordinary_nan_never_passes_for_a_staleness_marker() -> None:
    layout = Layout(keep)
    values = layout.read(b"a NaN\n", "text").values
    assert values.view(np.uint64)[0] == 0x7FF8000000000001
    layout.read(b"a 1\n", "text")
    assert layout.read(b"a NaN\n", "text").values.view(np.uint64)[0] == 0x7FF8000000000001


def test_a_repeated_series_counts_once() -> None:
    columns = Layout(keep).read(b"a 1\na 2\n", "text")
    assert (columns.scraped, columns.values.tolist()) == (2, [1.0])


def test_a_bad_value_in_a_known_layout_names_its_line() -> None:
    layout = Layout(keep)
    layout.read(b"a 1\nb 2\n", "text")
    with pytest.raises(BadExposition, match="line 2"):
        layout.read(b"a 1\nb x\n", "text")
    with pytest.raises(LimitError, match="sample limit"):
        Layout(keep, most_samples=1).read(b"a 1\nb 2\n", "text")


class FullWriter(MemoryWriter):
    """A store whose disk is full while `full`."""

    full = False

    def append_refs(self, *args: Any, **more: Any) -> Any:
        if self.full:
            raise DiskFull("no room")
        return super().append_refs(*args, **more)


async def test_a_full_disk_stops_no_target_for_longer_than_it_lasts(servers: Servers, clock: ManualClock) -> None:
    exposer, writer = Exposer(), FullWriter()
    bench = Bench(writer, clock, await servers.start(exposer), exposer)
    bench.scraper.apply([bench.job()])
    async with running(bench.scraper.run()):
        await bench.scrapes()
        writer.full = True
        for status in ("200 OK", "503 Away"):
            exposer.status = status
            asked = len(exposer.requests)
            await clock.advance(15_000)
            while len(exposer.requests) == asked:
                await asyncio.sleep(0.001)
            await clock.settle()
        while bench.scraper.targets()["activeTargets"][0]["health"] != "unknown":
            await asyncio.sleep(0.001)
        assert bench.scraper.targets()["activeTargets"][0]["lastError"] == "no room"
        writer.full, exposer.status = False, "200 OK"
        await bench.scrapes()
        assert bench.scraper.targets()["activeTargets"][0]["health"] == "up"


class KeptExemplars:
    """Remembers what it was given."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def append_exemplars(self, listed: Any) -> dict[str, int]:
        self.seen += [exemplar.labels["trace_id"] for _, exemplar in listed]
        return {}


async def test_exemplars_are_kept_from_the_moment_that_somebody_wants_them(bench: Bench) -> None:
    kept = KeptExemplars()
    bench.exposer.headers = ["Content-Type: application/openmetrics-text; version=1.0.0"]
    bench.scraper.apply([bench.job()])
    async with running(bench.scraper.run()):
        await bench.clock.settle()
        for number, writer in enumerate((None, kept, None)):
            bench.scraper.keep_exemplars(writer)
            bench.exposer.body = f'a_total {number} # {{trace_id="t{number}"}} 1\n# EOF\n'.encode()
            await bench.scrapes()
    assert kept.seen == ["t1"]


async def test_series_that_the_store_refuses_are_named_and_the_rest_of_the_target_is_watched(bench: Bench) -> None:
    bench.exposer.body = b"many 1\ngood 2\n"
    bench.writer.refused = lambda labels: labels.get("__name__") == "many"
    bench.scraper.apply([bench.job()])
    async with running(bench.scraper.run()):
        await bench.clock.settle()
        await bench.scrapes()
        (target,) = bench.scraper.targets()["activeTargets"]
        assert (target["health"], "1 of 2 series are not stored, many is the first" in target["lastError"]) == ("up", True)
        bench.writer.refused = lambda labels: False
        bench.exposer.body = b"few 1\ngood 2\n"
        await bench.scrapes()
        assert bench.scraper.targets()["activeTargets"][0]["lastError"] == ""
    assert [value for _, value in bench.writer.series("good")][:2] == [2.0, 2.0]
