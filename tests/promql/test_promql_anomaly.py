"""The seasonal baseline behind `baseline` and `anomaly_score`: it learns the day, sees the odd hour, is not taught by it."""

from __future__ import annotations

import numpy as np

from tocsin.model.labels import Labels
from tocsin.promql.engine import Engine, EngineOptions
from tocsin.promql.memory import MemoryReader

DAY_MS = 86_400_000
STEP_MS = 300_000


def seasonal(days: int = 10, *, spike_at_ms: int = 0) -> Engine:
    """Requests that rise and fall with the day, with noise; ten minutes of a fivefold value at `spike_at_ms`."""
    t_ms = np.arange(0, days * DAY_MS, STEP_MS)
    rng = np.random.default_rng(3)
    values = 100 + 50 * np.sin(2 * np.pi * t_ms / DAY_MS) + rng.normal(0, 3, t_ms.size)
    if spike_at_ms:
        values = np.where((t_ms >= spike_at_ms) & (t_ms < spike_at_ms + 900_000), values * 5, values)
    reader = MemoryReader()
    reader.append(Labels({"__name__": "requests", "a": "1"}), t_ms, values)
    reader.append(Labels({"__name__": "requests", "a": "2"}), t_ms[5:], values[5:])
    return Engine(reader, EngineOptions(features=frozenset({"tocsin-anomaly"})))


def column(engine: Engine, query: str, start_ms: int, end_ms: int) -> np.ndarray:
    matrix = engine.range(query, start_ms, end_ms, STEP_MS).matrix
    assert matrix is not None
    return np.asarray(matrix.values[0])


def test_the_band_follows_the_day_and_holds_nearly_every_value() -> None:
    engine = seasonal()
    window = (8 * DAY_MS, 10 * DAY_MS - STEP_MS)
    value = column(engine, "requests", *window)
    lower, upper = (column(engine, f"baseline_{edge}(requests[9d])", *window) for edge in ("lower", "upper"))
    assert ((lower < value) & (value < upper)).mean() > 0.97
    expected = column(engine, "baseline(requests[9d])", *window)
    assert np.corrcoef(expected, value)[0, 1] > 0.9


def test_a_spike_scores_above_one_and_does_not_become_normal() -> None:
    spike_at = 8 * DAY_MS + 6 * 3_600_000
    engine = seasonal(spike_at_ms=spike_at)
    score = column(engine, "anomaly_score(requests[9d])", spike_at - 3_600_000, spike_at + 600_000)
    assert score[-1] > 3
    assert score[:-4].max() < 1.5
    assert column(engine, "anomaly_score(requests[9d])", spike_at + 7_200_000, spike_at + 10_800_000).max() < 1.5


def test_nothing_is_judged_before_six_hours_are_seen() -> None:
    score = column(seasonal(), "anomaly_score(requests[9d])", 0, 5 * 3_600_000)
    assert not score.any()


def test_a_series_alone_on_its_timestamps_is_judged_as_in_a_group() -> None:
    vector = seasonal().instant("anomaly_score(requests[9d])", 9 * DAY_MS).vector
    assert vector is not None
    assert len(vector.labels) == 2 and np.isfinite(vector.values).all()
