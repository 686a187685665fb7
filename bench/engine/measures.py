"""What is measured: each function starts the programs it needs and answers (what, unit, goal, figure per program)."""

from __future__ import annotations

import math
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
from bench.engine.delay import delays
from bench.engine.exporter import exporter, scrape_configs
from bench.engine.servers import PEERS, Server, free_port, running
from bench.engine.store import Values, VirtualClock, target_labels
from bench.promql.compare import EXPRESSIONS, SIZES

from tocsin.formats.exposition import parse
from tocsin.formats.remote_write import encode
from tocsin.model.labels import METRIC_NAME, Labels, quote
from tocsin.model.series import Batch
from tocsin.tsdb.db import Store
from tocsin.tsdb.settings import StoreSettings

Figures = list[tuple[str, str, str, dict[str, float]]]
_WARM_S = 20.0
_SETTLE_S = 16.0
"""One interval of the rules."""
_EVERY_S = 5
HEADERS = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-protobuf",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}


def ingest(names: Sequence[str], seconds: float, series: int) -> Figures:
    """Scrapes every 5 s: CPU of all processes per million samples; memory per series of the first layout."""
    found: Figures = []
    for targets, samples in ((50, series // 50), (200, 700)):
        with exporter(samples) as port, running(names, scrape_configs(port, targets, _EVERY_S)) as servers:
            time.sleep(_WARM_S)
            before = {name: server.cpu_s() for name, server in servers.items()}
            began = time.monotonic()
            time.sleep(seconds)
            millions = targets * samples * (time.monotonic() - began) / _EVERY_S / 1e6
            used = {name: (server.cpu_s() - before[name]) / millions for name, server in servers.items()}
            found.append((f"scrape and store, {targets} targets x {samples} samples", "CPU s / M", "<= 0.77", used))
            if targets == 50:
                pss = {name: server.pss_bytes() / (targets * samples) for name, server in servers.items()}
                found.append((f"memory, whole program, {targets * samples} series", "bytes / series", "<= 0.67", pss))
    return found


def memory(names: Sequence[str], series: int) -> Figures:
    """PSS of all processes per series once all are known and scraped a few times, every 15 s."""
    targets = max(1, series // 10_000)
    with exporter(series // targets) as port, running(names, scrape_configs(port, targets, 15)) as servers:
        deadline = time.monotonic() + 120
        while min(server.samples_in(series // targets) for server in servers.values()) < targets and time.monotonic() < deadline:
            time.sleep(2)
        time.sleep(_WARM_S)
        pss = {name: server.pss_bytes() / series for name, server in servers.items()}
    return [(f"memory, whole program, {series} series", "bytes / series", "<= 0.67", pss)]


def delay(seconds: float) -> Figures:
    """p99 lateness of the loop of scrapes and rules, ours alone."""
    found = delays(50_000, seconds)
    return [
        (f"loop p99: {what}", "ms late", "as idle", {"tocsin": float(np.percentile(late, 99))}) for what, late in found.items()
    ]


def rules(names: Sequence[str], seconds: float, series: int) -> Figures:
    """1,000 alerting rules over all series, every 15 s: CPU beyond that of the same scrapes without rules."""
    targets, names = 50, [name for name in names if name != "victoria"]
    text = "groups:\n" + "".join(
        f"- name: g{group}\n  interval: 15s\n  rules:\n"
        + "".join(
            f"  - alert: A{group}x{i}\n    expr: sum by (job) (rate(app_requests_total"
            f'{{job="job{(group * 20 + i) % targets}"}}[1m])) > 1e9\n    for: 1m\n'
            for i in range(20)
        )
        for group in range(50)
    )
    spent: dict[str, list[float]] = {name: [] for name in names}
    made: dict[str, float] = {}
    with exporter(series // targets) as port, running(names, scrape_configs(port, targets, _EVERY_S)) as servers:
        time.sleep(_WARM_S)
        # The same programs without, with and without rules again: two runs differ by more than the rules cost.
        for given in ("", text, ""):
            for server in servers.values():
                server.reload_rules(given)
            time.sleep(_SETTLE_S)
            before = {name: server.cpu_s() for name, server in servers.items()}
            counted = {name: server.rule_evaluations() for name, server in servers.items()}
            time.sleep(seconds)
            for name, server in servers.items():
                spent[name].append(server.cpu_s() - before[name])
                made[name] = max(made.get(name, 0), server.rule_evaluations() - counted[name])
    # On a busy machine evaluations are missed, and not by both alike: what one costs is compared.
    each = {name: max(0.0, during - (ahead + after) / 2) / made[name] * 1e3 for name, (ahead, during, after) in spent.items()}
    return [(f"1,000 rules, each over {series // targets} of {series} series", "CPU s / 1,000", "<= 0.33", each)]


def restart(names: Sequence[str], series: int) -> Figures:
    """Killed after two minutes of scraping, started again: seconds and CPU until ready."""
    ready: dict[str, float] = {}
    cpu: dict[str, float] = {}
    with exporter(series // 50) as port, running(names, scrape_configs(port, 50, _EVERY_S)) as servers:
        time.sleep(120)
        for server in servers.values():
            server.kill()
        for name, server in servers.items():
            ready[name] = server.start()
            cpu[name] = server.cpu_s()
            server.kill()
    return [
        (f"killed with {series} series, ready again", "s", "<= 1", ready),
        (f"killed with {series} series, ready again", "CPU s", "", cpu),
    ]


def remote_write(names: Sequence[str], seconds: float) -> Figures:
    """2,000 series, five samples each per request, one request after the other."""
    base = {"__name__": "http_requests_total", "job": "app", "code": "200", "handler": "/api/v1/query"}
    labels = [Labels({**base, "instance": f"host-{i:04d}:9100"}) for i in range(2_000)]
    used: dict[str, float] = {}
    with running(names) as servers:
        for name, server in servers.items():
            t_ms = int(time.time() * 1000) // 15_000 * 15_000 - 3_600_000
            before, began, count = server.cpu_s(), time.monotonic(), 0
            while time.monotonic() - began < seconds / 4 and count < 40:
                times = np.tile(t_ms + 15_000 * np.arange(5), len(labels))
                repeated = [one for one in labels for _ in range(5)]
                body = encode(Batch(repeated, times, np.arange(len(times)) * 0.5 + count))
                status, answer = server.send("/api/v1/write", body, HEADERS)
                assert status // 100 == 2, (name, status, answer[:300])
                t_ms += 75_000
                count += 1
            used[name] = (server.cpu_s() - before) / (count * len(labels) * 5) * 1e6
    return [("remote write 1.0, 10,000 samples a request", "CPU s / M", "<= 1.4", used)]


def queries(names: Sequence[str], sizes: Sequence[str], steps: Sequence[int], seconds: float) -> Figures:
    """Prometheus's own benchmark expressions over HTTP: CPU of the whole program per query, geometric mean over expressions."""
    end_ms = int(time.time() * 1000) // 10_000 * 10_000
    found: Figures = []
    with running(names) as servers:
        for server in servers.values():
            _load(server, sizes, end_ms, samples=8_640 + max(steps) + 40)
        time.sleep(3)
        for size in sizes:
            for count in steps:
                spent: dict[str, list[float]] = {name: [] for name in names}
                for expression in EXPRESSIONS:
                    if "X" not in expression and size != sizes[0]:
                        continue
                    if "count_values" in expression and count > 100:
                        continue
                    query = expression.replace("X", size)
                    form = {"query": query, "start": (end_ms - (count - 1) * 10_000) / 1000, "end": end_ms / 1000, "step": 10}
                    path = "/api/v1/query_range?" + urlencode(form)
                    ms = {name: cost(server, path, seconds / 200) for name, server in servers.items()}
                    if all(ms[name] for name in names if name != "victoria"):
                        for name in names:
                            if ms[name]:
                                spent[name].append(ms[name])
                means = {name: math.exp(sum(map(math.log, each)) / len(each)) for name, each in spent.items() if each}
                found.append(
                    (
                        f"range queries, {SIZES[size]} series, {count} steps",
                        "CPU ms",
                        "<= 0.77" if count == 1 else "<= 0.5",
                        means,
                    )
                )
    return found


def cost(server: Server, path: str, least_s: float) -> float:
    """CPU milliseconds of one query over HTTP; 0 where the program does not answer it."""
    if server.get(path)[0] != 200:
        return 0.0
    began, before, count = time.monotonic(), server.cpu_s(), 0
    while time.monotonic() - began < least_s or count < 3 or (server.cpu_s() - before < 0.03 and count < 400):
        server.get(path)
        count += 1
    return max(server.cpu_s() - before, 0.005) / count * 1000


def _load(server: Server, sizes: Sequence[str], end_ms: int, samples: int) -> None:
    """Upstream's benchmark data, 10 s apart, by remote write in the order of time."""
    names = []
    for size in dict.fromkeys(["one", *sizes]):
        for kind in "abh":
            each = [{"l": str(i)} if size != "one" else {} for i in range(SIZES[size])]
            if kind == "h":
                each = [{**one, "le": bound} for one in each for bound in [*map(str, range(10)), "+Inf"]]
            names += [Labels({"__name__": f"{kind}_{size}", **one}) for one in each]
    at_once = max(1, 50_000 // len(names))
    for first in range(0, samples, at_once):
        numbers = np.arange(first, min(samples, first + at_once))
        times = end_ms - (samples - 1 - numbers) * 10_000
        batch = Batch(
            [one for one in names for _ in numbers],
            np.tile(times, len(names)),
            (numbers[None, :] + np.arange(len(names))[:, None] / 1700).ravel(),
        )
        status, answer = server.send("/api/v1/write", encode(batch), HEADERS)
        assert status // 100 == 2, (server.name, status, answer[:300])


def bytes_per_sample(names: Sequence[str], seconds: float) -> Figures:
    """Two data sets, each appended as scrapes 15 s apart and then brought into blocks: a real node_exporter, read every half
    second, and targets that are made up."""
    read = [_samples(text) for text in _node_exporter(max(120, int(seconds * 4)))]
    made = [dict(zip(labels, values, strict=True)) for labels, values in _made_up(2_000, 240)]
    return [*_bytes_of("node_exporter", read, names), *_bytes_of("made up", made, names)]


def _made_up(series: int, scrapes: int) -> Iterator[tuple[list[Labels], list[float]]]:
    """Counters, gauges with two decimals, constants, some full-precision floats (bench/engine/store.py)."""
    labels, values = target_labels(0, series), Values(series, 0)
    for _ in range(scrapes):
        yield labels, values.step().tolist()


def _bytes_of(what: str, scrapes: Sequence[Mapping[Labels, float]], names: Sequence[str]) -> Figures:
    count = sum(map(len, scrapes))
    # All in one block of two hours, as far as they fit.
    end_ms = int(time.time() * 1000) // 7_200_000 * 7_200_000 - 14_400_000 - 15_000
    times = [end_ms - (len(scrapes) - 1 - number) * 15_000 for number in range(len(scrapes))]
    figures = {"tocsin": _tocsin_blocks(scrapes, times) / count}
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder:
        path = Path(folder) / "scrapes.om"
        _open_metrics(path, scrapes, times)
        if "prometheus" in names:
            figures["prometheus"] = _prometheus_blocks(path) / count
        with running([name for name in names if name == "victoria"]) as servers:
            for name, server in servers.items():
                server.send("/api/v1/import/prometheus", _with_milliseconds(scrapes, times), {})
                server.get("/internal/force_flush")
                server.get("/internal/force_merge")
                time.sleep(5)
                figures[name] = server.disk_bytes("data", "indexdb") / count
    return [(f"{what}, {count} samples in blocks, index included", "bytes / sample", "<= 0.5", figures)]


def _node_exporter(rounds: int) -> list[str]:
    port = free_port()
    command = [str(PEERS / "prometheus-node-exporter"), f"--web.listen-address=127.0.0.1:{port}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    texts: list[str] = []
    try:
        deadline = time.monotonic() + 30
        while len(texts) < rounds and time.monotonic() < deadline + rounds:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                    texts.append(answer.read().decode())
            except OSError:
                pass
            time.sleep(0.5)
    finally:
        process.terminate()
        process.wait()
    return texts


def _samples(text: str) -> dict[Labels, float]:
    """One scrape as it would be stored."""
    exposition, _ = parse(text.encode())
    own = {"job": "node", "instance": "host:9100"}
    return {sample.labels.merged(own): sample.value for sample in exposition.samples}


def _tocsin_blocks(scrapes: Sequence[Mapping[Labels, float]], times: Sequence[int]) -> int:
    """Appended as the scraper does, then cut to blocks."""
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder:
        clock = VirtualClock(times[0])
        store = Store(path=Path(folder), settings=StoreSettings(), clock=clock)
        store.open()
        for scrape, t_ms in zip(scrapes, times, strict=True):
            clock.now = t_ms
            store.append_refs(store.refs(list(scrape)), t_ms, np.array(list(scrape.values())), grid_ms=15_000)
            store.flush()
        for _ in range(8):
            clock.now += 3_600_000
            store.maintain()
        size = store.blocks.total_bytes()
        store.close()
        return size


def _prometheus_blocks(path: Path) -> int:
    out = path.parent / "blocks"
    command = [str(PEERS / "promtool"), "tsdb", "create-blocks-from", "openmetrics", str(path), str(out)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return sum(file.stat().st_size for file in out.rglob("*") if file.is_file())


def _open_metrics(path: Path, scrapes: Sequence[Mapping[Labels, float]], times: Sequence[int]) -> None:
    """Grouped by series, ended as the format wants it."""
    lines: dict[Labels, list[str]] = {}
    for scrape, t_ms in zip(scrapes, times, strict=True):
        for labels, value in scrape.items():
            lines.setdefault(labels, []).append(f"{_text(labels)} {value!r} {t_ms / 1000}\n")
    with path.open("w") as file:
        for labels in sorted(lines):
            file.writelines(lines[labels])
        file.write("# EOF\n")


def _with_milliseconds(scrapes: Sequence[Mapping[Labels, float]], times: Sequence[int]) -> bytes:
    return "".join(
        f"{_text(labels)} {value!r} {t_ms}\n"
        for scrape, t_ms in zip(scrapes, times, strict=True)
        for labels, value in scrape.items()
    ).encode()


def _text(labels: Labels) -> str:
    """A series as exporters write it."""
    inside = ",".join(f"{name}={quote(value)}" for name, value in labels.pairs if name != METRIC_NAME)
    return f"{labels[METRIC_NAME]}{{{inside}}}"
