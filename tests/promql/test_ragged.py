"""Series end to end: every way of finding where they stand says the same as looking at each by itself."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from tocsin.model.labels import Labels
from tocsin.model.series import STALE_NAN, Int64, Ragged, Selection, SeriesGroup, absent
from tocsin.promql import ragged
from tocsin.promql.functions.rate import extrapolated
from tocsin.promql.select import instants, windows


def _random(random: np.random.Generator, series: int) -> Ragged:
    times = [np.unique(random.integers(0, 5_000, random.integers(0, 60))) for _ in range(series)]
    starts = np.concatenate([[0], np.cumsum([len(one) for one in times])]).astype(np.int64)
    t_ms = np.concatenate([*times, np.empty(0, np.int64)])
    values = random.normal(size=len(t_ms))
    values[random.random(len(values)) < 0.05] = STALE_NAN
    return Ragged(tuple(Labels({"n": str(i)}) for i in range(series)), starts, t_ms, values)


def _one_by_one(flat: Ragged, at_ms: Int64) -> Int64:
    bounds = flat.starts.tolist()
    rows = [flat.t_ms[a:b].searchsorted(at_ms, "right") + a for a, b in pairwise(bounds)]
    return np.array(rows, np.int64).reshape(len(flat.labels), at_ms.size)


@pytest.mark.parametrize("seed", range(30))
def test_positions_are_those_of_each_series(seed: int) -> None:
    random = np.random.default_rng(seed)
    flat = _random(random, int(random.integers(1, 40)))
    even = int(random.integers(-500, 4_000)) + int(random.integers(1, 400)) * np.arange(random.integers(1, 50))
    for at_ms in (even, np.sort(random.integers(-100, 6_000, 20)), np.full(9, 1_234), even[:3]):
        expected = _one_by_one(flat, at_ms)
        assert (ragged.behind(flat, at_ms) == expected).all()
        if flat.t_ms.size:
            assert (ragged._bisected(flat, at_ms) == expected).all()
        if at_ms.size > 1:
            assert (ragged._counted(flat, at_ms) == expected).all()


@pytest.mark.parametrize("seed", range(10))
def test_a_selection_answers_the_same_whether_laid_end_to_end_or_in_groups(seed: int) -> None:
    random = np.random.default_rng(seed)
    flat = _random(random, 30)
    at_ms = 700 + 130 * np.arange(int(random.choice([1, 3, 25])))
    grouped = Selection(flat.groups())
    frames = [instants(selection, at_ms, 400)[0] for selection in (Selection((), ragged=flat), grouped)]
    found = [
        {
            labels.get("n"): np.where(frame.mask()[row], frame.values[row], -1.0).tolist()
            for row, labels in enumerate(frame.labels)
        }
        for frame in frames
    ]
    empty = {one for one, cells in found[0].items() if set(cells) == {-1.0}}
    assert {one: cells for one, cells in found[0].items() if one not in empty} == {
        one: cells for one, cells in found[1].items() if one not in empty
    }
    counts = []
    for selection in (Selection((), ragged=flat), grouped):
        labels, pieces = windows(selection, at_ms, 900)
        rows = np.zeros((len(labels), at_ms.size), np.int64)
        for piece in pieces:
            rows[piece.rows] = piece.windows.count
        counts.append({one.get("n"): rows[row].tolist() for row, one in enumerate(labels)})
    assert counts[0] == counts[1]


def test_series_with_the_same_times_share_a_group() -> None:
    flat = Ragged(
        (Labels({"n": "a"}), Labels({"n": "b"}), Labels({"n": "c"})),
        np.array([0, 2, 4, 5]),
        np.array([1, 2, 1, 2, 1]),
        np.arange(5.0),
    )
    groups = flat.groups()
    assert [[one.get("n") for one in group.labels] for group in groups] == [["a", "b"], ["c"]]
    assert groups[0].values.tolist() == [[0.0, 1.0], [2.0, 3.0]]
    assert Selection((), ragged=flat).series_count == 3


def test_small_groups_are_laid_out_without_their_holes() -> None:
    values = absent((2, 3))
    values[0, 1], values[1, 2] = 1.0, STALE_NAN
    flat = ragged.lay_out([SeriesGroup((Labels({"n": "a"}), Labels({"n": "b"})), np.array([10, 20, 30]), values)])
    assert (flat.starts.tolist(), flat.t_ms.tolist()) == ([0, 1, 2], [20, 30])
    assert ragged.without_stale(flat).starts.tolist() == [0, 1, 1]


@pytest.mark.parametrize("seed", range(20))
def test_edges_of_windows_are_where_each_instant_stands(seed: int) -> None:
    random = np.random.default_rng(seed)
    flat = _random(random, int(random.integers(1, 40)))
    step = int(random.integers(1, 300))
    even = int(random.integers(-500, 3_000)) + step * np.arange(int(random.integers(1, 40)))
    for end_ms, range_ms in (
        (even, 3 * step),
        (even, 3 * step + 1),
        (even, 50 * step),
        (np.sort(random.integers(0, 5_000, 9)), 700),
    ):
        low, high = ragged.edges(flat, end_ms, range_ms)
        assert (low == _one_by_one(flat, end_ms - range_ms)).all() and (high == _one_by_one(flat, end_ms)).all()


@pytest.mark.parametrize("resets", [0, 1, 40])
def test_rates_of_series_end_to_end_are_those_of_each_by_itself(resets: int) -> None:
    """The next series begins lower than this one ends: that is no reset."""
    random = np.random.default_rng(resets)
    flat = _random(random, 30)
    rising = random.uniform(0, 1, flat.values.size).cumsum()
    for first, last in pairwise(flat.starts.tolist()):
        rising[first:last] -= 0.9 * rising[first] if first < last else 0
    for at in random.choice(flat.values.size, resets, replace=False).tolist():
        end = int(flat.starts[flat.starts.searchsorted(at, "right")])
        rising[at:end] -= rising[at]
    flat = Ragged(flat.labels, flat.starts, flat.t_ms, rising)
    ends = 700 + 130 * np.arange(25)
    _, (piece,) = windows(Selection((), ragged=flat), ends, 390)
    together, _ = extrapolated(piece.windows, counter=True, per_second=True)
    for row, (first, last) in enumerate(pairwise(flat.starts.tolist())):
        if last - first < 2:
            continue
        alone = Selection((SeriesGroup(flat.labels[row : row + 1], flat.t_ms[first:last], rising[None, first:last]),))
        _, (own,) = windows(alone, ends, 390)
        cells, enough = extrapolated(own.windows, counter=True, per_second=True)
        there = np.broadcast_to(enough, cells.shape)[0]
        np.testing.assert_allclose(together[row][there], cells[0][there], rtol=1e-12)
