"""topk and bottomk choose what a heap that goes through the series one by one would keep, ties and NaN included."""

from __future__ import annotations

import heapq

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tocsin.promql.ranking import _smallest

VALUES = st.sampled_from([0.0, 1.0, 2.0, 3.0, float("nan"), float("inf"), -1.5])


@given(
    arrays.arrays(np.float64, st.tuples(st.integers(1, 300), st.integers(1, 3)), elements=VALUES), st.integers(1, 8), st.data()
)
def test_the_values_that_remain_are_the_smallest(values, k, data):
    present = data.draw(arrays.arrays(np.bool_, values.shape))
    chosen = _smallest(values, present, np.full(values.shape[1], min(k, len(values))))
    assert not (chosen & ~present).any()
    for column in range(values.shape[1]):
        there = values[present[:, column], column]
        ordered = heapq.nsmallest(k, there.tolist(), key=lambda value: (np.isnan(value), value))
        kept = sorted(values[chosen[:, column], column].tolist(), key=lambda value: (np.isnan(value), value))
        assert [repr(value) for value in kept] == [repr(value) for value in ordered]


def test_many_equal_values_are_resolved_as_by_the_heap():
    rng = np.random.default_rng(3)
    values = rng.integers(0, 5, (700, 4)).astype(float)
    quick = _smallest(values, np.ones(values.shape, bool), np.full(4, 6))
    # The same with an infinite value that is never chosen goes the slow way.
    slow = _smallest(np.vstack([values, np.full(4, np.inf)]), np.ones((701, 4), bool), np.full(4, 6))
    assert (quick == slow[:-1]).all()
