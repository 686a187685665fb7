"""Many series: 1,000 and 10,000 of one target, and 1,000 targets of one series, each at its own instants with some missed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from urllib.parse import urlencode

import numpy as np
from bench.engine.measures import HEADERS, Figures, cost
from bench.engine.servers import Server, running

from tocsin.formats.remote_write import encode
from tocsin.model.labels import Labels
from tocsin.model.series import Batch

_STEP_MS = 10_000
_AT_ONCE = 20
_AGO_MS = 16_200_000
"""How far back the older instants lie: in blocks, once a program has made some."""
_QUERIES = (
    ("sum(a_thousand)", 1_000), ("rate(a_thousand[1m])", 1_000), ("a_thousand - b_thousand", 1_000),
    ("sum(rate(a_thousand[1m]))", 1_000), ("sum(a_tenk)", 10_000), ("sum(rate(a_tenk[1m]))", 10_000),
    ("sum(own)", 1_000), ("sum(rate(own[5m]))", 1_000), ("own", 1_000), ("rate(own[5m])", 1_000),
    ("a_thousand", 1_000), ("a_tenk", 10_000),
)  # fmt: skip


def wide(names: Sequence[str], steps: Sequence[int], seconds: float, samples: int = 2_300) -> Figures:
    """CPU of the whole program per query: instant (0 steps) and range, by size."""
    end_ms = int(time.time() * 1000) // _STEP_MS * _STEP_MS
    found: Figures = []
    with running(names) as servers:
        for server in servers.values():
            _load(server, end_ms, samples)
        time.sleep(3)
        for query, series in _QUERIES:
            for count in (0, *(count for count in steps if 1 < count < samples)):
                figures = {name: cost(server, _path(query, end_ms, count), seconds / 100) for name, server in servers.items()}
                what = f"{query}, {series} series, {f'{count} steps' if count else 'instant'}"
                found.append((what, "CPU ms", "<= 0.5" if count else "<= 1", {name: ms for name, ms in figures.items() if ms}))
            if series == 1_000:
                ago = {name: cost(server, _path(query, end_ms - _AGO_MS, 0), seconds / 100) for name, server in servers.items()}
                found.append((f"{query}, {series} series, an instant 4.5 h ago", "CPU ms", "<= 1", ago))
    return found


def _path(query: str, end_ms: int, steps: int) -> str:
    if not steps:
        return "/api/v1/query?" + urlencode({"query": query, "time": end_ms / 1000})
    start_ms = end_ms - (steps - 1) * _STEP_MS
    return "/api/v1/query_range?" + urlencode({"query": query, "start": start_ms / 1000, "end": end_ms / 1000, "step": 10})


def _load(server: Server, end_ms: int, samples: int) -> None:
    """Everything in the order of time; of the 10,000 only the last hour."""
    random = np.random.default_rng(1)
    shared = [Labels({"__name__": f"{kind}_thousand", "l": str(i)}) for kind in "ab" for i in range(1_000)]
    many = [Labels({"__name__": "a_tenk", "l": str(i)}) for i in range(10_000)]
    own = [Labels({"__name__": "own", "instance": f"t{i}"}) for i in range(1_000)]
    phases = np.arange(1_000) * 7_919 % _STEP_MS
    for first in range(0, samples, _AT_ONCE):
        numbers = np.arange(first, first + _AT_ONCE)
        times = end_ms - (samples - 1 - numbers) * _STEP_MS
        _send(server, shared, np.tile(times, (len(shared), 1)), numbers)
        missed = random.random((len(own), len(times))) < 0.002
        _send(server, own, times - phases[:, None], numbers, missed)
        if first >= samples - 400:
            for start in range(0, len(many), 2_500):
                _send(server, many[start : start + 2_500], np.tile(times, (2_500, 1)), numbers)


def _send(server: Server, names: list[Labels], t_ms: np.ndarray, numbers: np.ndarray, missed: np.ndarray | None = None) -> None:
    values = numbers + np.arange(len(names))[:, None] / 1700
    kept = np.ones(t_ms.shape, bool) if missed is None else ~missed
    labels = [names[row] for row in np.nonzero(kept)[0].tolist()]
    status, answer = server.send("/api/v1/write", encode(Batch(labels, t_ms[kept], values[kept])), HEADERS)
    assert status // 100 == 2, (server.name, status, answer[:300])
