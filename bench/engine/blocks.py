"""Instants that lie in blocks: the same blocks under each program, every question at another instant."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
from bench.engine.measures import Figures
from bench.engine.servers import PEERS, Server, running

_SERIES = 1_000
_HOURS = 6
_STEP_MS = 15_000
_QUERIES = ('counted_total{l="7"}', "sum(counted_total)", "sum(rate(counted_total[5m]))", "counted_total")
_WARM = 6
_ASKED = 60


def instants_from_blocks(names: Sequence[str]) -> Figures:
    """CPU of the whole program per query. Of the programs that can read such blocks."""
    names = [name for name in names if name != "victoria"]
    end_ms = int(time.time() * 1000) // 7_200_000 * 7_200_000 - 14_400_000
    found: Figures = []
    with running(names) as servers:
        for server in servers.values():
            server.kill()
            _fill(server, end_ms)
            server.start()
        time.sleep(3)
        for query in _QUERIES:
            figures = {name: _cost(server, query, end_ms) for name, server in servers.items()}
            found.append((f"{query}, instant out of blocks, {_SERIES} series", "CPU ms", "<= 1", figures))
    return found


def _fill(server: Server, end_ms: int) -> None:
    """Blocks by promtool; Tocsin takes them over with its own command."""
    blocks = server.folder / ("data" if server.name == "prometheus" else "blocks")
    text = server.folder / "samples.om"
    _write(text, end_ms)
    _run([str(PEERS / "promtool"), "tsdb", "create-blocks-from", "openmetrics", str(text), str(blocks)], server)
    if server.name == "tocsin":
        _run([sys.executable, "-m", "tocsin", "tsdb", "import-prometheus", "blocks", "--data-dir", "data"], server)


def _run(command: list[str], server: Server) -> None:
    subprocess.run(command, cwd=server.folder, env={**os.environ, **server.environment}, check=True, stdout=subprocess.DEVNULL)


def _write(path: Path, end_ms: int) -> None:
    """Counters of uneven pace, series by series."""
    times = (end_ms - _STEP_MS * np.arange(_HOURS * 3_600_000 // _STEP_MS, 0, -1)) / 1000
    random = np.random.default_rng(1)
    with path.open("w") as file:
        file.write("# TYPE counted counter\n")
        for number in range(_SERIES):
            values = np.cumsum(random.poisson(1 + number % 50, len(times)))
            pairs = zip(values.tolist(), times.tolist(), strict=True)
            file.writelines(f'counted_total{{l="{number}"}} {value} {t}\n' for value, t in pairs)
        file.write("# EOF\n")


def _cost(server: Server, query: str, end_ms: int) -> float:
    """CPU milliseconds of one question, each at another instant of the last hours."""
    moments = itertools.cycle(range(end_ms - 3_600_000 * (_HOURS - 1), end_ms, 337_000))
    before = 0.0
    for number in range(_WARM + _ASKED):
        if number == _WARM:
            before = server.cpu_s()
        status, body = server.get("/api/v1/query?" + urlencode({"query": query, "time": next(moments) / 1000}))
        assert status == 200 and b'"result":[]' not in body, (server.name, query, body[:300])
    return max(server.cpu_s() - before, 0.005) / _ASKED * 1000
