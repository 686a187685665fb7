"""What a query is charged for, put to a real Prometheus: samples in all, at each step, and at most at a time."""

from __future__ import annotations

import pytest
from tests.conformance.promql_peer import prometheus, write_in_order

from tocsin.model.labels import Labels
from tocsin.promql.engine import Engine, EngineOptions
from tocsin.promql.memory import MemoryReader

pytestmark = pytest.mark.peer

T = 1_700_000_000_000
SERIES = [
    (Labels({"__name__": "m", "n": str(n), "g": str(n % 2)}), [(T + 15_000 * i, float(i * n)) for i in range(100)])
    for n in range(5)
]
EXPERIMENTAL = "promql-experimental-functions"
QUERIES = [
    "m", "rate(m[2m])", "sum(m)", "sum by (g) (rate(m[2m]))", "m+m", "m + on(n) m", "1", "vector(1)", "1 + time()",
    "max_over_time(m[5m:1m])", "max_over_time(rate(m[2m])[5m:1m])", "m @ 1700000100", "rate(m[2m] @ 1700000100)",
    "absent(x)", "topk(2,m)", "count_values('v',m)", "m > 200", "label_replace(m,'a','$1','n','(.*)')", "timestamp(m)",
    "quantile(0.5,m)", "m offset 1m", "sum(m) / sum(m)", "time()", "-m", "sort(m)", "m and m", "m unless m", "m or m",
    "scalar(m)", "limitk(2,m)", "histogram_quantile(0.5,m)", "sum(rate(m[2m])) by (g) / on (g) sum(m) by (g) > 0",
]  # fmt: skip


def test_every_count_is_prometheuss(tmp_path):
    reader = MemoryReader((labels, [t for t, _ in samples], [v for _, v in samples]) for labels, samples in SERIES)
    engine = Engine(reader, EngineOptions(features=frozenset({EXPERIMENTAL})))
    differences = []
    features = f"--enable-feature={EXPERIMENTAL},promql-per-step-stats"
    with prometheus(tmp_path / "p", "--storage.tsdb.retention.time=20y", features) as peer:
        write_in_order(peer, SERIES)
        for query in QUERIES:
            for path, own, params in (
                ("query", engine.instant(query, T + 300_000), {"time": (T + 300_000) / 1000}),
                (
                    "query_range",
                    engine.range(query, T + 300_000, T + 900_000, 30_000),
                    {"start": (T + 300_000) / 1000, "end": (T + 900_000) / 1000, "step": 30},
                ),
            ):
                theirs = peer.get(f"/api/v1/{path}", query=query, stats="all", **params)["data"]["stats"]["samples"]
                want = (theirs["totalQueryableSamples"], theirs["peakSamples"], theirs["totalQueryableSamplesPerStep"])
                at = [[t_ms / 1000, count] for t_ms, count in own.stats.read_at]
                got = (own.stats.samples_read, own.stats.samples_peak, at)
                if got != want:
                    differences.append(f"{path} {query}: {want} -> {got}")
    assert not differences, "\n".join(differences)


def test_timings_are_measured():
    stats = Engine(MemoryReader()).instant("vector(1)", T).stats.timings_s
    assert stats["execTotalTime"] >= stats["innerEvalTime"] > 0
