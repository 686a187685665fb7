"""Query engine against the real Prometheus, on the expressions of its own BenchmarkRangeQuery.

    PYTHONPATH=src:. .venv/bin/python bench/promql/compare.py [--sizes one,ten,hundred] [--steps 1,100,1000] [--only TEXT]

Both hold the same series (10 s apart, a day and the longest range). Prometheus is asked over HTTP; ours is the engine and
its JSON in this process, over arrays in memory: decoding of stored blocks and our HTTP are not in these figures.
CPU is what counts on a busy machine: user and system time of the process, over as many repetitions as half a second
takes. A ratio below 1 means that we need less than Prometheus.
"""

from __future__ import annotations

import argparse
import math
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cramjam
import numpy as np
from tests.conformance.promql_compare import FLAGS
from tests.conformance.promql_peer import PrometheusClient, _field, prometheus

from tocsin.formats.prometheus_json import encode_result
from tocsin.model.labels import Labels, Matcher, all_match
from tocsin.model.ports import SelectHints
from tocsin.model.series import Float64, Int64, Selection, SeriesGroup
from tocsin.promql.engine import Engine, EngineOptions

START_MS = 1_767_225_600_000
INTERVAL_MS = 10_000
DAY = 8_640

EXPRESSIONS = (
    "a_X", "rate(a_X[1m])", "double_exponential_smoothing(a_X[1d], 0.3, 0.3)", "changes(a_X[1d])", "rate(a_X[1d])",
    "absent_over_time(a_X[1d])", "-a_X", "a_X - b_X", "a_X and b_X{l=~'.*[0-4]$'}", "a_X or b_X{l=~'.*[0-4]$'}",
    "a_X unless b_X{l=~'.*[0-4]$'}", "a_X and b_X{l='notfound'}", "abs(a_X)", "label_replace(a_X, 'l2', '$1', 'l', '(.*)')",
    "label_join(a_X, 'l2', '-', 'l', 'l')", "sum(a_X)", "avg(a_X)", "sum without (l)(h_X)", "sum without (le)(h_X)",
    "sum by (l)(h_X)", "sum by (le)(h_X)", "count_values('value', h_X)", "topk(1, a_X)", "topk(5, a_X)", "limitk(1, a_X)",
    "limitk(5, a_X)", "limit_ratio(0.1, a_X)", "limit_ratio(0.5, a_X)", "limit_ratio(-0.5, a_X)",
    "rate(a_X[1m]) + rate(b_X[1m])", "sum without (l)(rate(a_X[1m]))",
    "sum without (l)(rate(a_X[1m])) / sum without (l)(rate(b_X[1m]))", "histogram_quantile(0.9, rate(h_X[5m]))",
    "a_X + on(l) group_right a_one", "timestamp(a_X)",
)  # fmt: skip
EXTRA = (
    "sum_over_time(a_X[1h])", "avg_over_time(a_X[1h])", "max_over_time(a_X[1h])", "quantile_over_time(0.9, a_X[1h])",
    "stddev_over_time(a_X[1h])", "deriv(a_X[1h])", "predict_linear(a_X[1h], 3600)", "quantile(0.9, a_X)", "stddev(a_X)",
    "max_over_time(rate(a_X[1m])[10m:30s])",
)  # fmt: skip
SIZES = {"one": 1, "ten": 10, "hundred": 100, "thousand": 1000}
HISTOGRAM_BUCKETS = [*map(str, range(10)), "+Inf"]


class Arrays:
    """A `SampleReader` whose metrics are matrices on one grid; slicing costs nothing."""

    def __init__(self, metrics: Mapping[str, tuple[tuple[Labels, ...], Float64]], t_ms: Int64) -> None:
        self.metrics = metrics
        self.t_ms = t_ms
        self._rows: dict[tuple[Matcher, ...], list[tuple[tuple[Labels, ...], Float64]]] = {}

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int, hints: SelectHints) -> Selection:
        key = tuple(matchers)
        if key not in self._rows:
            self._rows[key] = [found for name in self.metrics if (found := self._matching(name, matchers))[0]]
        part = slice(*np.searchsorted(self.t_ms, [start_ms, end_ms + 1]).tolist())
        groups = [SeriesGroup(labels, self.t_ms[part], values[:, part]) for labels, values in self._rows[key]]
        return Selection(tuple(groups))

    def _matching(self, name: str, matchers: Sequence[Matcher]) -> tuple[tuple[Labels, ...], Float64]:
        labels, values = self.metrics[name]
        rows = [row for row, each in enumerate(labels) if all_match(matchers, each)]
        if len(rows) == len(labels):
            return labels, values
        return tuple(labels[row] for row in rows), values[rows]


def build(sizes: Sequence[str], samples: int) -> Arrays:
    """Upstream's data: value = step + a fraction that tells the series apart."""
    metrics: dict[str, tuple[tuple[Labels, ...], Float64]] = {}
    steps = np.arange(samples, dtype=np.float64)
    number = 0
    for size in dict.fromkeys(["one", *sizes]):
        for kind in "abh":
            names = [{"l": str(i)} if size != "one" else {} for i in range(SIZES[size])]
            if kind == "h":
                names = [{**each, "le": bound} for each in names for bound in HISTOGRAM_BUCKETS]
            labels = tuple(Labels({"__name__": f"{kind}_{size}", **each}) for each in names)
            offsets = (number + np.arange(len(labels))) / 1700
            number += len(labels)
            metrics[f"{kind}_{size}"] = (labels, steps[None, :] + offsets[:, None])
    return Arrays(metrics, START_MS + np.arange(samples) * INTERVAL_MS)


def load(client: PrometheusClient, arrays: Arrays, slice_steps: int = 120) -> None:
    """Remote write, time slice after time slice; every timestamp's varint has six bytes, so a sample is a row of bytes."""
    heads = {
        name: [b"".join(_field(1, _field(1, n.encode()) + _field(2, v.encode())) for n, v in each.pairs) for each in labels]
        for name, (labels, _) in arrays.metrics.items()
    }
    headers = {
        "Content-Encoding": "snappy",
        "Content-Type": "application/x-protobuf",
        "X-Prometheus-Remote-Write-Version": "0.1.0",
    }
    for begin in range(0, arrays.t_ms.size, slice_steps):
        part = slice(begin, begin + slice_steps)
        times = arrays.t_ms[part]
        rows = np.empty((times.size, 18), np.uint8)
        rows[:, :3], rows[:, 11] = (0x12, 16, 0x09), 0x10
        for byte in range(6):
            rows[:, 12 + byte] = (times >> (7 * byte)) & 0x7F | (0x80 if byte < 5 else 0)
        for name, (_, values) in arrays.metrics.items():
            body = []
            for head, series in zip(heads[name], values[:, part], strict=True):
                rows[:, 3:11] = np.ascontiguousarray(series).view(np.uint8).reshape(-1, 8)
                body.append(_field(1, head + rows.tobytes()))
            status, answer = client.raw("POST", "/api/v1/write", bytes(cramjam.snappy.compress_raw(b"".join(body))), headers)
            assert status // 100 == 2, answer


def process_cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(run: Callable[[], object], cpu: Callable[[], float], least_s: float) -> tuple[float, float]:
    """Milliseconds of wall and CPU time per run, after one run to warm up."""
    run()
    count, wall, used = 0, time.perf_counter(), cpu()
    while time.perf_counter() - wall < least_s:
        run()
        count += 1
    return (time.perf_counter() - wall) / count * 1000, (cpu() - used) / count * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="one,ten,hundred")
    parser.add_argument("--steps", default="1,100,1000")
    parser.add_argument("--only", default="")
    parser.add_argument("--skip", default="none", help="leave out expressions with this text")
    parser.add_argument("--extra", action="store_true", help="also functions that upstream's list leaves out")
    parser.add_argument("--seconds", type=float, default=0.5)
    options = parser.parse_args()
    sizes, all_steps = options.sizes.split(","), [int(each) for each in options.steps.split(",")]
    arrays = build(sizes, DAY + max(all_steps) + 40)
    engine = Engine(arrays, EngineOptions(features=frozenset({"promql-experimental-functions"})))  # type: ignore[arg-type]
    end_ms = int(arrays.t_ms[-1])
    ratios: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder, prometheus(Path(folder), FLAGS) as client:
        load(client, arrays)
        print(f"{'expression':58} {'steps':>5} {'Prometheus':>17} {'ours':>17} {'wall':>6} {'CPU':>6}")
        for expression in EXPRESSIONS + (EXTRA if options.extra else ()):
            for size in sizes if "X" in expression else ["one"]:
                query = expression.replace("X", size)
                if options.only not in query or options.skip in query:
                    continue
                # As upstream: a series per value and a value per cell make more steps pointless.
                for steps in all_steps if "count_values" not in query else [each for each in all_steps if each <= 100]:
                    start_ms = end_ms - (steps - 1) * INTERVAL_MS
                    window = {"start": start_ms / 1000, "end": end_ms / 1000, "step": INTERVAL_MS / 1000}
                    theirs = measure(
                        lambda q=query, w=window: client.raw("GET", "/api/v1/query_range?" + _form(q, w)),  # type: ignore[misc]
                        lambda: process_cpu_s(client.process.pid),
                        options.seconds,
                    )
                    ours = measure(
                        lambda q=query, s=start_ms: encode_result(engine.range(q, s, end_ms, INTERVAL_MS)),  # type: ignore[misc]
                        time.process_time,
                        options.seconds,
                    )
                    wall, cpu = ours[0] / theirs[0], ours[1] / max(theirs[1], 0.01)
                    ratios.setdefault(f"{size}, {steps} steps", []).append((wall, cpu))
                    shown = f"{theirs[0]:8.2f} ({theirs[1]:6.2f}) {ours[0]:8.2f} ({ours[1]:6.2f})"
                    print(f"{query:58} {steps:5} {shown} {wall:6.2f} {cpu:6.2f}", flush=True)
    for name, pairs in ratios.items():
        print(f"{name:30} geometric mean: wall {_mean(p[0] for p in pairs):.2f}, CPU {_mean(p[1] for p in pairs):.2f}")
    every = [pair for pairs in ratios.values() for pair in pairs]
    print(f"{'all':30} geometric mean: wall {_mean(p[0] for p in every):.2f}, CPU {_mean(p[1] for p in every):.2f}")


def _form(query: str, window: Mapping[str, float]) -> str:
    from urllib.parse import urlencode

    return urlencode({"query": query, **window})


def _mean(values: object) -> float:
    numbers = [math.log(value) for value in values]  # type: ignore[attr-defined]
    return math.exp(sum(numbers) / len(numbers))


if __name__ == "__main__":
    main()
