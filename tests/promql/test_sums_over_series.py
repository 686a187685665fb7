"""Sums over many series: exact to the last bits in every shape, and infinities and NaN as an addition would give them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tocsin.promql.sums import total


@pytest.mark.parametrize(
    "shape", [(1, 1), (3, 1), (2_001, 1), (40, 30), (1_000, 3), (777, 130), (20, 5_000), (90, 7, 11), (5, 40_000)]
)
def test_sums_are_those_of_exact_arithmetic(shape: tuple[int, ...]) -> None:
    random = np.random.default_rng(len(shape))
    rows = random.normal(size=shape) * 10.0 ** random.integers(-9, 9, size=shape)
    exact = [math.fsum(column) for column in rows.reshape(shape[0], -1).T.tolist()]
    found = total(rows)
    assert found.shape == shape[1:]
    assert found.ravel().tolist() == pytest.approx(exact, rel=1e-15)


@pytest.mark.parametrize("rows", [3, 1_500])
@pytest.mark.parametrize("steps", [1, 20])
def test_what_is_not_finite_stays_so(rows: int, steps: int) -> None:
    cells = np.ones((rows, steps))
    for value, wanted in ((np.inf, np.inf), (-np.inf, -np.inf), (np.nan, np.nan)):
        cells[rows // 2, 0] = value
        found = total(cells)
        assert found[0] == pytest.approx(wanted, nan_ok=True)
        assert found[1:].tolist() == [rows] * (steps - 1)
    cells[0, 0], cells[1, 0] = np.inf, -np.inf
    assert math.isnan(total(cells)[0])
