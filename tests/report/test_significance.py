"""What counts as a change: checked against every possible order, and against what chance does."""

from __future__ import annotations

from itertools import combinations
from math import comb, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.report.significance import of_counts, of_samples, rank_sum_p


def by_hand(a: list[float], b: list[float]) -> float:
    """Two-sided p over all ways to choose which ranks are a's."""
    ranks = {value: rank for rank, value in enumerate(sorted([*a, *b]), 1)}
    m, n = len(a), len(b)
    seen = abs(sum(ranks[value] for value in a) - m * (m + n + 1) / 2)
    sums = [abs(sum(chosen) - m * (m + n + 1) / 2) for chosen in combinations(range(1, m + n + 1), m)]
    return sum(value >= seen - 1e-9 for value in sums) / comb(m + n, m)


@given(st.lists(st.integers(-1000, 1000), min_size=6, max_size=10, unique=True), st.integers(3, 7))
def test_the_rank_sum_test_is_exact_where_samples_are_small(values: list[int], cut: int) -> None:
    a, b = [float(v) for v in values[: min(cut, len(values) - 3)]], [float(v) for v in values[min(cut, len(values) - 3) :]]
    assert rank_sum_p(np.array(a), np.array(b)) == pytest.approx(by_hand(a, b))


def test_a_slower_week_is_told_from_the_weather() -> None:
    calm = [0.101, 0.099, 0.103, 0.098, 0.102, 0.100, 0.104]
    slower = [value * 1.3 for value in calm]
    change = of_samples(calm, slower)
    assert change.significant and change.ratio == pytest.approx(0.3) and change.p < 0.01
    assert not of_samples(calm, [0.100, 0.102, 0.099, 0.101, 0.103, 0.098, 0.1045]).significant
    assert of_samples(calm[:2], slower).p == 1.0, "two days are nothing to compare with"
    assert of_samples([nan] * 7, slower).before is None and of_samples([1.0] * 7, [1.0] * 7).p == 1.0


def test_ties_and_many_days_use_the_normal_approximation() -> None:
    rng = np.random.default_rng(7)
    quiet, same = rng.integers(0, 9, 40).astype(float), rng.integers(0, 9, 40).astype(float)
    assert rank_sum_p(quiet, same) > 0.05 and rank_sum_p(quiet, same + 5) < 1e-6


def test_chance_alone_is_called_significant_no_more_often_than_said() -> None:
    rng = np.random.default_rng(1)
    found = sum(rank_sum_p(rng.normal(size=7), rng.normal(size=7)) < 0.05 for _ in range(2000))
    assert found / 2000 < 0.06
    counts = rng.poisson(6, size=(2000, 2))
    assert sum(of_counts(int(a), int(b)).significant for a, b in counts) / 2000 < 0.05


@pytest.mark.parametrize(("before", "after", "said"), [(0, 0, False), (3, 6, False), (2, 12, True), (40, 20, True), (0, 6, True)])
def test_counts_are_compared_as_counts(before: int, after: int, *, said: bool) -> None:
    assert of_counts(before, after).significant is said
