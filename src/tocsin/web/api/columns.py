"""Query results as the plain columns that the dashboard draws: None where there is no point."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from tocsin.model.series import Float64, QueryResult


def numbers(values: Float64) -> list[float | None]:
    """JSON has neither NaN nor infinity."""
    return [value if math.isfinite(value) else None for value in values.tolist()]


def aligned(result: QueryResult) -> list[float | None]:
    """The first series of a range query, one value per step; empty when there is none."""
    if result.matrix is None or not result.matrix.labels:
        return []
    return numbers(result.matrix.values[0])


def by_label(result: QueryResult, *names: str) -> dict[tuple[str, ...], float]:
    """An instant vector as {label values: value}, NaN left out."""
    if result.vector is None:
        return {}
    pairs = zip(result.vector.labels, result.vector.values.tolist(), strict=True)
    return {tuple(labels.get(name) for name in names): value for labels, value in pairs if not math.isnan(value)}


def trends(result: QueryResult, *names: str) -> dict[tuple[str, ...], list[float | None]]:
    """A matrix as {label values: values per step}."""
    if result.matrix is None:
        return {}
    rows = zip(result.matrix.labels, result.matrix.values, strict=True)
    return {tuple(labels.get(name) for name in names): numbers(values) for labels, values in rows}


def scalar(result: QueryResult) -> float | None:
    """The one value of a result; None when there is none or it is not a number."""
    if result.vector is not None and len(result.vector.values):
        value = float(result.vector.values[0])
        return value if math.isfinite(value) else None
    return None


def last(values: Sequence[float | None]) -> float | None:
    return next((value for value in reversed(values) if value is not None), None)


def worst(values: Mapping[str, float]) -> tuple[str, float] | None:
    """The key with the largest value."""
    return max(values.items(), key=lambda item: item[1]) if values else None


def grid(start_ms: int, end_ms: int, step_ms: int) -> list[int]:
    return np.arange(start_ms, end_ms + 1, step_ms).tolist()
