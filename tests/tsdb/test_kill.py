"""kill -9 of the writing process: what it acknowledged is there afterwards."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tocsin.model.labels import Labels
from tocsin.tsdb.db import Store
from tocsin.tsdb.settings import StoreSettings

pytestmark = pytest.mark.process

WRITER = """
import sys
from pathlib import Path
import numpy as np
from tocsin.clock import SystemClock
from tocsin.model.labels import Labels
from tocsin.model.series import Batch
from tocsin.tsdb.db import Store
from tocsin.tsdb.settings import StoreSettings

store = Store(path=Path(sys.argv[1]), settings=StoreSettings(segment_bytes=200_000), clock=SystemClock())
store.open()
labels = [Labels({"__name__": "pushed", "n": str(n)}) for n in range(20)]
scraped = [Labels({"__name__": "scraped", "n": str(n)}) for n in range(20)]
start = SystemClock().now_ms() // 1000 * 1000 - 1_000_000
for number in range(1_000_000):
    t = start + number * 100
    store.append_refs(store.refs(scraped), t, np.full(20, float(number)), grid_ms=100)
    store.append(Batch(labels, np.full(20, t + 7), np.full(20, float(number))))
    store.maintain()
    print(t, flush=True)  # the acknowledgement
"""


@pytest.mark.parametrize("acknowledged", [1, 37, 400])
def test_acknowledged_samples_survive_kill_minus_nine(
    tmp_path: Path, clock: Any, ask: Callable[..., dict[Any, list[tuple[int, int]]]], acknowledged: int
) -> None:
    folder = tmp_path / "store"
    with subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        times = [int(writer.stdout.readline()) for _ in range(acknowledged)]
        writer.send_signal(signal.SIGKILL)
        times += [int(line) for line in writer.stdout.read().splitlines() if line]
    clock.now = times[-1] + 3_600_000
    store = Store(path=folder, settings=StoreSettings(), clock=clock)
    store.open()
    found = ask(store, 0, 1 << 50)
    store.close()
    for metric, offset in (("pushed", 7), ("scraped", 0)):
        for number in range(20):
            there = {t_ms for t_ms, _ in found[Labels({"__name__": metric, "n": str(number)})]}
            assert {t_ms + offset for t_ms in times} <= there
