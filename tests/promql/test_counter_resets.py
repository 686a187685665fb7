"""Counters that fall never, once or often inside what is read: rate adds what Prometheus adds."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from tocsin.model.labels import Labels
from tocsin.model.series import is_absent
from tocsin.promql.engine import Engine
from tocsin.promql.memory import MemoryReader

EVERY_MS = 15_000
BASE_MS = 1_700_000_000_000
SAMPLES = 40


def counters(seed: int) -> np.ndarray:
    """[30, SAMPLES]: whole numbers, decimals, one with NaN, one with infinities."""
    random = np.random.default_rng(seed)
    rows = random.integers(0, 9, (30, SAMPLES)).cumsum(axis=1) / np.where(np.arange(30) % 2, 1, 7)[:, None]
    for row in range(30):
        for at in random.integers(1, SAMPLES, row % 4):  # 0, 1, 2 or 3 resets
            rows[row, at:] -= rows[row, at] - random.integers(0, 3)
    rows[28, 10], rows[29, 20] = np.nan, np.inf
    return rows


def expected(values: list[float], t_ms: list[int], start_ms: int, end_ms: int) -> float | None:
    """increase() as Prometheus works it out, sample by sample."""
    if len(values) < 2:
        return None
    change = values[-1] - values[0]
    for before, after in pairwise(values):
        if after < before:
            change += before
    sampled = (t_ms[-1] - t_ms[0]) / 1000
    spacing = sampled / (len(values) - 1)
    to_start, to_end = (t_ms[0] - start_ms) / 1000, (end_ms - t_ms[-1]) / 1000
    to_start = spacing / 2 if to_start >= spacing * 1.1 else to_start
    to_end = spacing / 2 if to_end >= spacing * 1.1 else to_end
    if change > 0 and values[0] >= 0:
        to_start = min(to_start, sampled * (values[0] / change))
    return change * ((sampled + to_start + to_end) / sampled)


@pytest.mark.parametrize("steps", [1, 25])
@pytest.mark.parametrize("seed", range(4))
def test_increase_is_added_sample_by_sample(seed: int, steps: int) -> None:
    rows = counters(seed)
    times = [BASE_MS + i * EVERY_MS for i in range(SAMPLES)]
    reader = MemoryReader([(Labels({"__name__": "c_total", "n": str(n)}), times, row) for n, row in enumerate(rows)])
    start_ms = times[-1] - (steps - 1) * 20_000
    found = Engine(reader).range("increase(c_total[3m])", start_ms, times[-1], 20_000).matrix
    assert found is not None
    by_name = {labels["n"]: values for labels, values in zip(found.labels, found.values, strict=True)}
    for number, row in enumerate(rows):
        for step in range(steps):
            end_ms = start_ms + step * 20_000
            inside = [i for i, t in enumerate(times) if end_ms - 180_000 < t <= end_ms]
            wanted = expected([float(row[i]) for i in inside], [times[i] for i in inside], end_ms - 180_000, end_ms)
            value = by_name[str(number)][step : step + 1]
            assert (wanted is None) == bool(is_absent(value)[0])
            if wanted is not None:
                assert value[0] == pytest.approx(wanted, rel=1e-12, abs=1e-12, nan_ok=True)
