"""How loose samples are found in a run and laid out, against the plain way."""

from __future__ import annotations

import numpy as np
import pytest

from tocsin.tsdb.piece import Loose
from tocsin.tsdb.regular import worth_a_look
from tocsin.tsdb.run import Laid, Run


def _samples(random: np.random.Generator, series: int, most: int) -> Run:
    count = int(random.integers(0, most))
    ids = random.integers(0, series, count) * 7
    return Run.of(ids, random.integers(0, 3_000, count), random.normal(size=count))


@pytest.mark.parametrize("seed", range(40))
def test_samples_of_wanted_series_within_a_span(seed: int) -> None:
    random = np.random.default_rng(seed)
    run = _samples(random, int(random.choice([2, 30])), 400)
    for _ in range(10):
        wanted = np.unique(random.integers(0, 230, random.integers(0, 40)))
        start, end = sorted(random.integers(-100, 3_200, 2).tolist())
        places = run.of_series(wanted, start, end)
        expected = np.flatnonzero(np.isin(run.ids, wanted) & (run.t_ms >= start) & (run.t_ms <= end))
        assert np.arange(len(run.ids))[places].tolist() == expected.tolist()
        assert np.arange(len(run.ids))[run.of_series(wanted)].tolist() == np.flatnonzero(np.isin(run.ids, wanted)).tolist()


@pytest.mark.parametrize("seed", range(40))
def test_laid_out_as_sorting_does_it_the_last_one_staying(seed: int) -> None:
    random = np.random.default_rng(seed)
    parts = []
    for number in range(int(random.integers(1, 5))):
        run = _samples(random, 20, 80)
        shift = 5_000 * number if seed % 2 else 0  # one after the other, or over each other
        parts.append(Loose(run.ids, run.t_ms + shift, run.values))
    if random.random() < 0.5:  # as the open table gives them, in no order
        count = int(random.integers(0, 30))
        parts.append(Loose(random.integers(0, 20, count) * 7, random.integers(0, 3_000, count), random.normal(size=count)))
    laid = Laid.of(parts)
    expected: dict[tuple[int, int], float] = {}
    for part in parts:
        expected |= dict(zip(zip(part.ids.tolist(), part.t_ms.tolist(), strict=True), part.values.tolist(), strict=True))
    found = laid.loose()
    assert list(zip(found.ids.tolist(), found.t_ms.tolist(), strict=True)) == sorted(expected)
    assert found.values.tolist() == [expected[key] for key in sorted(expected)]
    which = random.random(len(laid.ids)) < 0.5
    some = laid.some(which).loose()
    assert some.ids.tolist() == found.ids[np.isin(found.ids, laid.ids[which])].tolist()


def test_series_that_share_a_grid_are_worth_a_look_and_others_are_not() -> None:
    def starts(times: list[np.ndarray]) -> np.ndarray:
        return np.concatenate([[0], np.cumsum([len(one) for one in times])])

    alike = [np.arange(5, 50) * 1_000 for _ in range(8)]
    apart = [np.arange(5, 50) * 1_000 + phase for phase in range(8)]
    for times, worth in ((alike, True), (apart, False), (alike[:7], False), ([np.array([1])] * 20, False)):
        bounds = starts(times)
        assert worth_a_look(bounds[:-1], bounds[1:], np.concatenate(times)) is worth
