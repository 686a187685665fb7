"""Over steps most of which see no sample, a range query finds what an instant query finds at each of them."""

from __future__ import annotations

import numpy as np
import pytest

from tocsin.model.labels import Labels
from tocsin.model.series import STALE_NAN, is_absent
from tocsin.promql.engine import Engine
from tocsin.promql.memory import MemoryReader

STEP_MS = 10_000
STEPS = 200
BASE_MS = 1_700_000_000_000


def reader() -> MemoryReader:
    """Series that begin and end in the middle of what is asked for: on one grid with holes, and at times of their own."""
    random = np.random.default_rng(3)
    series = []
    for number in range(12):
        first, last = (60, 110) if number % 3 else (70, 100)
        t_ms = BASE_MS + np.arange(first, last) * STEP_MS + (number * 37 if number > 8 else 0)
        t_ms = t_ms[random.random(t_ms.size) > 0.05]
        values = random.integers(0, 30, t_ms.size).cumsum() % 90 * 1.0
        if number == 4:
            values[-1] = STALE_NAN
        series.append((Labels({"__name__": "x_total", "g": f"g{number % 2}", "n": str(number)}), t_ms, values))
    return MemoryReader(series)


@pytest.mark.parametrize(
    "query",
    [
        "x_total",
        "timestamp(x_total)",
        "sum(x_total)",
        "avg by (g) (x_total)",
        "stddev by (n) (x_total)",
        "topk(2, x_total)",
        "quantile(scalar(sum(x_total)) % 1, x_total)",
        "rate(x_total[1m])",
        "sum by (g) (increase(x_total[2m] offset 1m))",
        "count_over_time(x_total[1m])",
        "quantile_over_time(scalar(vector(time() % 100 / 100)), x_total[1m])",
        "predict_linear(x_total[1m], scalar(vector(time() % 100)))",
        "x_total @ 1700000800 + x_total",
        "max_over_time(sum(x_total)[5m:30s])",
        "count(x_total) or vector(7)",
        "absent(x_total) or absent_over_time(x_total[1m])",
        "nothing_here",
    ],
)
def test_a_range_is_its_instants(query: str) -> None:
    engine = Engine(reader())
    end_ms = BASE_MS + (STEPS - 1) * STEP_MS
    found = engine.range(query, BASE_MS, end_ms, STEP_MS)
    assert found.matrix is not None
    rows = dict(zip(found.matrix.labels, found.matrix.values, strict=True))
    read = 0
    for step, t_ms in enumerate(range(BASE_MS, end_ms + 1, STEP_MS)):
        instant = engine.instant(query, t_ms)
        assert instant.vector is not None
        there = {labels: values[step] for labels, values in rows.items() if not is_absent(values)[step]}
        assert set(there) == set(instant.vector.labels)
        for labels, value in zip(instant.vector.labels, instant.vector.values.tolist(), strict=True):
            assert there[labels] == pytest.approx(value, rel=1e-12, abs=1e-12, nan_ok=True)
        read += instant.stats.samples_read
    if "@" not in query and ":" not in query:
        assert found.stats.samples_read == read


def test_what_no_step_sees_is_held_by_no_budget() -> None:
    from tocsin.promql.engine import EngineOptions

    engine = Engine(reader(), EngineOptions(max_samples=12 * 100))
    found = engine.range("x_total", BASE_MS, BASE_MS + (STEPS - 1) * STEP_MS, STEP_MS)
    assert found.matrix is not None and len(found.matrix.labels) == 12
