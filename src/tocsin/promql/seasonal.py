"""A seasonal robust baseline, sample after sample: what a series usually is at this hour of the day, and how much it strays.

Each series has a slow level, a correction per hour of the day that is trusted as it gathers samples, a deviation for each,
and a width that adjusts itself until about one sample in a thousand lies outside. Large residuals are clipped before they
teach anything, so an incident does not become normal. Only the past is used. O(1) per sample, arrays over series.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tocsin.model.series import Bool, Float64, Int64

_TO_SIGMA = 1.2533
"""Mean absolute deviation -> standard deviation of a normal distribution."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """One configuration for every series; hours unless said."""

    shrink_h: float = 0.5
    """An hour's correction counts half after this much of its own data."""
    memory_h: float = 120.0
    """Half-life of the level."""
    bucket_rate: float = 0.05
    """How fast an hour's correction learns, per hour of data."""
    floor: float = 0.035
    """Deviation never below this share of the usual magnitude."""
    tail: float = 0.001
    gain: float = 0.15
    least_width: float = 2.0
    """Of the band, in deviations."""
    smoothing: int = 2
    """Samples."""
    clip: float = 2.0
    """Deviations beyond which a residual teaches nothing more."""
    warm_up_h: float = 6.0
    warm_up_samples: int = 20


@dataclass(frozen=True, slots=True)
class Judgement:
    """expected, half_width and score [k]: the band is expected +- half_width, score 1 its edge, 0 while learning."""

    expected: Float64
    half_width: Float64
    score: Float64


class SeasonalBaseline:
    """State of k series; `update` takes one sample of each that has one."""

    def __init__(self, step_h: Float64, tuning: Tuning = Tuning()) -> None:
        """step_h float64 [k]: the usual spacing of samples."""
        size = step_h.size
        self.tuning = tuning
        self._trust = tuning.shrink_h / step_h
        self._level_rate = 1 - 0.5 ** (step_h / tuning.memory_h)
        self._hour_rate = tuning.bucket_rate * step_h
        self._warm_at = np.maximum(tuning.warm_up_samples, tuning.warm_up_h / step_h)
        self._seen = np.zeros(size)
        self._width = np.full(size, tuning.least_width)
        self._level, self._spread, self._magnitude, self._smooth = (np.zeros(size) for _ in range(4))
        self._hour_shift, self._hour_spread, self._hour_seen = (np.zeros((size, 24)) for _ in range(3))

    def update(self, t_ms: Int64, values: Float64, active: Bool) -> Judgement:
        """t_ms int64 [k], values float64 [k]; series that are not active neither learn nor are judged (score 0)."""
        tuning = self.tuning
        first = self._seen == 0
        hour = (t_ms // 3_600_000) % 24
        rows = np.arange(values.size)
        values = np.where(active, values, self._smooth)
        magnitude = self._magnitude + np.maximum(1 / (self._seen + 1), 0.001) * (np.abs(values) - self._magnitude)
        smooth = np.where(first, values, self._smooth + (values - self._smooth) * (2 / (tuning.smoothing + 1)))
        level = np.where(first, values, self._level)
        seen_hour, shift, spread = self._hour_seen[rows, hour], self._hour_shift[rows, hour], self._hour_spread[rows, hour]
        weight = seen_hour / (seen_hour + self._trust)
        expected = level + weight * shift
        sigma = _TO_SIGMA * ((1 - weight) * self._spread + weight * spread) + tuning.floor * magnitude + 1e-9
        residual = smooth - expected
        distance = np.abs(residual) / sigma
        warm = self._seen > self._warm_at
        judgement = Judgement(expected, sigma * self._width, np.where(warm & active, distance / self._width, 0.0))

        adjusted = self._width * (1 + tuning.gain * np.where(distance > self._width, 1 - tuning.tail, -tuning.tail))
        width = np.where(warm, np.maximum(adjusted, tuning.least_width), self._width)
        limit = tuning.clip * sigma
        learned = np.where(warm, np.clip(residual, -limit, limit), residual)
        strayed = np.where(warm, np.minimum(np.abs(residual), 1.5 * limit), np.abs(residual))
        level_rate = np.maximum(self._level_rate, 1 / (self._seen + 1))
        hour_rate = np.maximum(self._hour_rate, 1 / (seen_hour + 1))
        self._keep(active, magnitude, smooth, width, level + level_rate * learned, level_rate * (strayed - self._spread))
        self._hour_shift[rows, hour] = np.where(active & (seen_hour > 0), shift + hour_rate * learned, shift)
        self._hour_spread[rows, hour] = np.where(active, spread + hour_rate * (strayed - spread), spread)
        self._hour_seen[rows, hour] += active
        self._seen += active
        return judgement

    def _keep(
        self, active: Bool, magnitude: Float64, smooth: Float64, width: Float64, level: Float64, spread_change: Float64
    ) -> None:
        self._magnitude = np.where(active, magnitude, self._magnitude)
        self._smooth = np.where(active, smooth, self._smooth)
        self._width = np.where(active, width, self._width)
        self._level = np.where(active, level, self._level)
        self._spread = np.where(active, self._spread + spread_change, self._spread)
