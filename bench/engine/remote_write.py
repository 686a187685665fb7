"""Remote write: CPU of decoding a body and of storing it, by samples per series and request.

    PYTHONPATH=src python bench/engine/remote_write.py

Bodies of 2,000 series with six labels, as Prometheus sends them, over and over with new times. CPU of this process.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

import numpy as np

from tocsin.clock import SystemClock
from tocsin.formats.remote_write import Decoder, decompress, encode
from tocsin.model.labels import Labels
from tocsin.model.series import Batch
from tocsin.tsdb.db import Store
from tocsin.tsdb.settings import StoreSettings

SERIES = 2000


def bodies(per_series: int, requests: int, start_ms: int) -> list[bytes]:
    base = {"__name__": "http_requests_total", "job": "app", "code": "200", "handler": "/api/v1/query"}
    labels = [Labels({**base, "instance": f"host-{number:04d}:9100"}) for number in range(SERIES)]
    out = []
    for request in range(requests):
        repeated = [one for one in labels for _ in range(per_series)]
        first = start_ms + request * per_series * 15_000
        times = np.tile(first + 15_000 * np.arange(per_series), SERIES)
        out.append(encode(Batch(repeated, times, np.arange(len(times)) * 0.5 + request)))
    return out


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="tocsin-bench-"))
    clock = SystemClock()
    try:
        for per_series in (1, 5, 40):
            store = Store(path=folder / str(per_series), settings=StoreSettings(), clock=clock)
            store.open()
            requests = max(10, 200 // per_series)
            start = clock.now_ms() // 15_000 * 15_000 - requests * per_series * 15_000
            sent = bodies(per_series, requests, start)
            decoder = Decoder()
            store.append(decoder.decode(decompress(sent[0], "snappy")).batch)
            spent = {"decode": 0.0, "store": 0.0}
            for body in sent[1:]:
                began = time.process_time()
                batch = decoder.decode(decompress(body, "snappy")).batch
                middle = time.process_time()
                result = store.append(batch)
                spent["store"] += time.process_time() - middle
                spent["decode"] += middle - began
                assert result.accepted == len(batch.labels)
                store.maintain()
            samples = (requests - 1) * SERIES * per_series
            line = ", ".join(f"{name} {seconds / samples * 1e6:.3f}" for name, seconds in spent.items())
            print(f"{per_series:3d} samples per series: {line} us CPU per sample; WAL {store.wal_bytes() / samples:.1f} B")
            store.close()
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
